"""The kernel's files about InfiniBand ports, as `grep -r . /sys/class/infiniband` prints them.

    /sys/class/infiniband/mlx5_0/ports/1/counters/port_rcv_data:230539874932483
    /sys/class/infiniband/mlx5_0/ports/1/rate:400 Gb/sec (4X NDR)

Anything may stand before the device's name. Nothing in the lines says when or on which host they
were read: that is the file's own time, and `--node`. Counters, states and rates are samples;
what else is there (firmware, addresses, partition keys) is set aside.
"""

import re

import polars as pl

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.port_readings import READINGS, sampled
from transforms.sources.text import numbered_lines
from transforms.tables.samples import LINK_SAMPLES

PORT_FILE = (
    r"^(?:.*?/)?(?<device>[A-Za-z][\w.@-]*)/ports/(?<port>\d{1,3})/"
    r"(?:(?<folder>counters|hw_counters)/)?(?<file>[\w.-]+)[:=](?<said>.*)$"
)
OTHER_FILE = r"^(?:\S*?/)?[A-Za-z][\w.@-]*/[\w./@:-]+[:=]|^grep: |^\s*$"
STATES = ("state", "phys_state")
SETTINGS = ("lifespan",)  # milliseconds that a hardware counter is cached, no count
NO_VALUE = r"^(?:N/A.*|)$"


def parse(data: bytes, origin: Origin) -> Parsed:
    """Each line is one file of one port: a reading, none of our business, or refused."""
    lines = numbered_lines(data).filter(pl.col("line").str.strip_chars() != "")
    last = 0 if data.endswith(b"\n") or lines.is_empty() else lines["line_no"][-1]
    read = lines.with_columns(pl.col("line").str.extract_groups(PORT_FILE).alias("part"))
    read = read.unnest("part").with_columns(pl.col("said").str.strip_chars())
    is_counter = pl.col("folder").is_not_null() & ~pl.col("file").is_in(SETTINGS)
    is_state = pl.col("folder").is_null() & pl.col("file").is_in(STATES)
    is_rate = pl.col("folder").is_null() & (pl.col("file") == "rate")
    number = (
        pl.when(is_counter)
        .then(pl.col("said").str.extract(r"^(\d{1,20})$"))
        .when(is_state)
        .then(pl.col("said").str.extract(r"^(\d{1,2})(?:: .*)?$"))
        .when(is_rate)
        .then(pl.col("said").str.extract(r"^(\d+(?:\.\d+)?) Gb/sec\b"))
    )
    is_ours = is_counter | is_state | is_rate
    is_missing = pl.col("said").str.contains(NO_VALUE)
    is_torn = pl.col("line_no") == last
    readings = read.with_columns(
        pl.format("{}/{}", "device", "port").alias("link"),
        pl.when(is_ours)
        .then(pl.format("{}/{}", pl.coalesce("folder", pl.lit("ports")), "file"))
        .alias("name"),
        number.cast(pl.Float64).alias("raw"),
    ).with_columns(
        pl.when(pl.col("device").is_null() & ~pl.col("line").str.contains(OTHER_FILE))
        .then(pl.lit("not `path:value` of a file below a device"))
        .when(is_torn & is_ours)
        .then(pl.lit("the last line has no line end: its number may be torn"))
        .when(is_ours & pl.col("raw").is_null() & ~is_missing)
        .then(pl.format("{}: {} is no number", "name", "said"))
        .alias("fault")
    )
    return sampled(readings.select(READINGS.names()), origin)


def sniff(head: str, name: str) -> int:
    """Surely, if most lines are files of a port or of its device."""
    lines = [line for line in head.split("\n")[:200] if line.strip()]
    ports = sum(bool(re.search(r"/ports/\d+/(?:hw_)?\w+(?:/\w+)*[:=]", line)) for line in lines)
    files = sum(bool(re.match(r"\S+/\w+[:=]", line)) for line in lines)
    return 2 if ports and 2 * files > len(lines) else 0


SOURCE = Source(
    name="infiniband_sysfs",
    title="InfiniBand port files of the kernel: grep -r . /sys/class/infiniband",
    example="/sys/class/infiniband/mlx5_0/ports/1/counters/link_downed:0",
    makes=(LINK_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
