"""Port counters that the fabric itself tells: `perfquery -x LID PORT`, also for many ports in a row.

    # Port extended counters: Lid 1719 port 1 (CapMask: 0x5300 CapMask2: 0x0000002)
    PortXmitData:....................36298026860928

Data come in units of 4 octets. The plain form's counters have 32 bits and stick at their top:
there a data or packet counter has no value any more. Port 255 is the sum over a switch's ports,
which would count everything twice, and is set aside. The time is the file's own.
"""

import re

import polars as pl

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.port_readings import READINGS, sampled
from transforms.sources.text import numbered_lines
from transforms.tables.samples import LINK_SAMPLES

HEADER = r"^# Port (?<form>extended )?counters: (?<whose>.+?) port (?<port>\d{1,3})\b"
FIELD = r"^\s*(?<name>[A-Za-z]\w*):\.*\s*(?<said>\S*)\s*$"
NO_COUNTERS = ("PortSelect", "CounterSelect", "CounterSelect2")
TRAFFIC = r"(?:Data|Pkts)$"
STUCK = float(2**32 - 1)
ALL_PORTS = "255"


def parse(data: bytes, origin: Origin) -> Parsed:
    """Each field under a header is one reading of that header's port."""
    lines = numbered_lines(data).filter(pl.col("line").str.strip_chars() != "")
    is_header = pl.col("line").str.starts_with("# Port")  # readable or not, the last port ends here
    headers = (
        lines.filter(is_header)
        .select("line_no", pl.col("line").str.extract_groups(HEADER).alias("head"))
        .unnest("head")
    )
    headers = headers.with_columns(
        pl.format("{}/{}", pl.col("whose").str.replace(r"^(?i:lid) ", "lid"), "port").alias("link")
    )
    last = 0 if data.endswith(b"\n") or lines.is_empty() else lines["line_no"][-1]
    read = (
        lines.filter(~pl.col("line").str.starts_with("#"))
        .join_asof(headers, on="line_no", check_sortedness=False)
        .with_columns(pl.col("line").str.extract_groups(FIELD).alias("part"))
        .unnest("part")
    )
    number = pl.col("said").str.extract(r"^(\d{1,20})$").cast(pl.Float64)
    is_stuck = (
        pl.col("form").is_null() & pl.col("name").str.contains(TRAFFIC) & (number == STUCK)
    ).fill_null(False)
    is_ours = ~pl.col("name").is_in(NO_COUNTERS) & (pl.col("port") != ALL_PORTS)
    readings = read.with_columns(
        pl.when(~is_stuck).then(number).alias("raw"),
        pl.when(pl.col("name").is_null())
        .then(pl.lit("not `Counter:...value`"))
        .when(pl.col("port").is_null())
        .then(pl.lit("stands under no `# Port counters:` line that names a port"))
        .when(is_ours & (pl.col("line_no") == last))
        .then(pl.lit("the last line has no line end: its number may be torn"))
        .when(is_ours & number.is_null())
        .then(pl.format("{}: {} is no number", "name", "said"))
        .alias("fault"),
    ).with_columns(pl.when(is_ours).then("name").alias("name"))
    return sampled(readings.select(READINGS.names()), origin)


def sniff(head: str, name: str) -> int:
    """Surely, by the header that perfquery writes over its counters."""
    return 2 if re.search(HEADER.replace("?<", "?P<"), head, re.MULTILINE) else 0


SOURCE = Source(
    name="perfquery",
    title="Port counters read over the fabric: perfquery",
    example="PortXmitData:....................36298026860928",
    makes=(LINK_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
