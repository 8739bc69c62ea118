"""Kernel log lines, in any of the forms that `kernel_stamps` reads, to faults and signs of faults.

    [6781741.548779] NVRM: Xid (PCI:0000:91:00): 79, pid='<unknown>', name=<unknown>, GPU has ...

A line is a record, except that an indented driver line without a stamp goes on with the record
before it. Nearly all lines of a kernel log are none of our business: literals sieve them first,
and only what is left is stamped and read.
"""

import re
from collections.abc import Callable

import polars as pl

from transforms.contract import UTC
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.kernel_patterns import (
    LOST_HEAD,
    LOST_NOTICE,
    LOST_TAIL,
    NUMBERED,
    PATTERNS,
    VIRTUAL,
)
from transforms.sources.kernel_sieve import Sieved, marks_frame, sieve
from transforms.sources.kernel_stamps import STAMPED, SYSLOG, TICKS, Boots, stamp_within
from transforms.sources.text import numbered_lines
from transforms.tables.observed import KERNEL_EVENTS, KERNEL_KINDS

# Health checks and agents quote the kernel.
_QUOTED = r"^\s*\[?\s*[{\"]|Health check failed: "
_AT_ONCE = 12  # patterns: each question of its own costs a millisecond
_LOST_SPAN = 5  # lines between a lost GPU's head and its tail, others may speak in between
_TEXTS = ("line", "clock", "node", "trouble", "kind", "code", "device", "scope", "detail")
_FOUND = pl.Schema(
    [("line_no", pl.UInt32()), ("observed_at", UTC), *((name, pl.String()) for name in _TEXTS)]
)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read every record that says a fault or a sign of one; see the module's docstring."""
    found = sieve(data)
    return _read(found, found.marks, lambda: Boots.of(numbered_lines(data)).dated(origin), origin)


class KernelReading:
    """A `Reading`: boots are found in the whole file first; a lost GPU's notice stays whole."""

    def __init__(self, head: bytes, origin: Origin) -> None:
        self._origin = origin
        self._boots, self._lines_seen = Boots(), 0
        self._mark, self._next_line = marks_frame([]), 1

    def survey(self, block: bytes) -> bool:
        if TICKS.search(b"\n" + block):
            self._boots.see(numbered_lines(block, self._lines_seen + 1))
        self._lines_seen += block.count(b"\n")
        return True

    def cut(self, block: bytes) -> int:
        ends = [len(block)]  # of the lines after the piece's last one, latest first
        while (end := block.rfind(b"\n", 0, ends[-1])) >= 0:
            ends.append(end)
            last = ends[max(len(ends) - _LOST_SPAN - 1, 0)]
            if last < len(block) and LOST_NOTICE not in block[end + 1 : last + 1]:
                return last + 1
        return 0

    def parse(self, piece: bytes) -> Parsed:
        found = sieve(piece, self._next_line)
        self._next_line += found.lines
        marks = pl.concat([self._mark, found.marks])
        self._mark = marks.tail(1)
        return _read(found, marks, lambda: self._boots.dated(self._origin), self._origin)


def settle(rows: pl.DataFrame) -> pl.DataFrame:
    """Number the repeats of a record over all pieces of a file."""
    return rows.sort("line_no").with_columns(_repeat().alias("repeat"))


def _read(
    sieved: Sieved, marks: pl.DataFrame, boots: Callable[[], pl.DataFrame], origin: Origin
) -> Parsed:
    candidates = sieved.candidates
    stamped = stamp_within(candidates, boots, origin).filter(pl.col("message").is_not_null())
    found = _without_virtual(_found(stamped))
    refused = found.filter(pl.col("trouble").is_not_null())
    events = _events(found.filter(pl.col("trouble").is_null()), marks, origin)
    continues = set(sieved.continues)
    loose = continues & (set(events["line_no"]) | set(refused["line_no"])) if continues else set()
    records = sieved.lines - len(continues) - sieved.blank + len(loose)
    return Parsed(
        frames={KERNEL_EVENTS.name: events},
        rejects=rejects(list(refused.select("line_no", "trouble", "line").iter_rows())),
        records=records,
        accepted=len(events),
        rejected=len(refused),
        ignored=records - len(events) - len(refused),
    )


def _found(stamped: pl.DataFrame) -> pl.DataFrame:
    """Keep the lines that a pattern fits, with what it catches."""
    parts = [pl.DataFrame(schema=_FOUND)]
    rest = stamped
    for start in range(0, len(PATTERNS), _AT_ONCE):
        some = PATTERNS[start : start + _AT_ONCE]
        fits = (pl.col("message").str.contains(pattern) for _, pattern in some)
        first = pl.coalesce(pl.when(fit).then(pl.lit(n)) for n, fit in enumerate(fits))
        which = rest.select(first.alias("which"))["which"]
        parts += [_caught(rest.filter(which == n), *some[n]) for n in which.drop_nulls().unique()]
        rest = rest.filter(which.is_null())
    parts.append(_lost_without_number(rest))
    unread = rest.filter(pl.col("message").str.contains(NUMBERED)).with_columns(
        pl.lit("Xid or SXid without a readable PCI address and number").alias("trouble")
    )
    parts.append(_caught(unread, "xid", r"(?P<detail>.*)"))
    return pl.concat(parts)


def _caught(part: pl.DataFrame, kind: str, pattern: str) -> pl.DataFrame:
    said = part.with_columns(
        pl.col("message").str.extract_groups(pattern).alias("said"), pl.lit(kind).alias("kind")
    ).unnest("said")
    missing = [pl.lit(None, t).alias(n) for n, t in _FOUND.items() if n not in said.columns]
    return said.with_columns(missing).select(_FOUND.names())


def _lost_without_number(rest: pl.DataFrame) -> pl.DataFrame:
    """A GPU lost before the driver had it running: a notice over several lines is one record."""
    heads = rest.filter(pl.col("message").str.contains(LOST_HEAD))
    tails = rest.filter(pl.col("message").str.contains(LOST_TAIL))
    if tails.is_empty():
        return pl.DataFrame(schema=_FOUND)
    of_head = ("line", "observed_at", "clock", "node", "trouble", "device")
    owners = (
        _caught(heads, "lost", LOST_HEAD)
        .sort("line_no")
        .select(
            "line_no",
            pl.col("line_no").alias("head"),
            pl.col("node").alias("host"),
            *[pl.col(name).alias(f"head_{name}") for name in of_head],
        )
    )
    # A tail with a stamp of its own belongs to its host's head; without one, to the head above.
    ends = _caught(tails, "lost", LOST_TAIL).sort("line_no").with_columns(host="node")
    is_stamped = pl.col("clock") != "file"
    joined = pl.concat(
        [
            ends.filter(is_stamped).join_asof(
                owners, on="line_no", by="host", tolerance=_LOST_SPAN, check_sortedness=False
            ),
            ends.filter(~is_stamped)
            .drop("host")
            .join_asof(owners, on="line_no", tolerance=_LOST_SPAN)
            .select(*ends.columns[:-1], "host", "head", *[f"head_{name}" for name in of_head]),
        ]
    )
    is_one = pl.col("head").is_not_null()
    whole = [pl.when(is_one).then(f"head_{name}").otherwise(name).alias(name) for name in of_head]
    return (
        joined.with_columns(*whole, pl.coalesce("head", "line_no").alias("line_no"))
        .select(_FOUND.names())
        .sort("line_no")
        .unique("line_no", keep="first", maintain_order=True)
    )


def _without_virtual(found: pl.DataFrame) -> pl.DataFrame:
    is_link = pl.col("kind").is_in(["link_down", "link_up"])
    return found.filter(~(is_link & pl.col("device").fill_null("").str.contains(VIRTUAL)))


def _events(found: pl.DataFrame, marks: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Shape what was found as rows of kernel_events."""
    detail = pl.concat_str("scope", "detail", separator=", ", ignore_nulls=True)
    rows = found.sort("line_no").with_columns(
        pl.lit(origin.cluster).alias("cluster"),
        pl.lit(origin.file).alias("file"),
        pl.col("code").cast(pl.Int32).fill_null(0),
        pl.col("kind").cast(pl.Enum(KERNEL_KINDS)),
        pl.col("clock").cast(KERNEL_EVENTS.dtypes["clock"]),
        _address(pl.col("device").fill_null("")).alias("device"),
        detail.str.strip_chars().alias("detail"),
    )
    return KERNEL_EVENTS.conform(
        rows.with_columns(_repeat().alias("repeat"))
        .join_asof(marks, on="line_no")
        .select(KERNEL_EVENTS.dtypes.names())
    )


def _repeat() -> pl.Expr:
    """Identical records of one file are told apart by their order in it."""
    return pl.int_range(pl.len(), dtype=pl.UInt32).over(*KERNEL_EVENTS.key[:-1])


def _address(device: pl.Expr) -> pl.Expr:
    """PCI addresses as dddd:bb:dd in lower case; names as they are (memory controllers lower)."""
    is_address = device.str.contains(r"^[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}$")
    padded = device.str.replace(r"^0*([0-9a-fA-F]{4,8}:)", "$1").str.to_lowercase()
    return (
        pl.when(is_address)
        .then(padded)
        .when(device.str.contains(r"^MC\d+$"))
        .then(device.str.to_lowercase())
        .otherwise(device)
    )


def sniff(head: str, name: str) -> int:
    """Surely, if lines carry a kernel's own stamp or a driver's notice; maybe, if only syslog."""
    sample = [line for line in head.splitlines()[:200] if line.strip()]
    if not sample or sample[0].lstrip("\ufeff ").startswith("{"):  # JSON that quotes the kernel
        return 0
    ours = sum(bool(re.search(STAMPED, line)) for line in sample)
    syslog = sum(bool(re.search(SYSLOG, line)) for line in sample)
    told = [line for line in sample if not re.search(_QUOTED, line)]
    spoken = sum("NVRM: " in line or " kernel: " in f" {line}" for line in told)
    if 2 * (ours + syslog) < len(sample) and not spoken:
        return 0
    return 2 if ours or spoken else 1


SOURCE = Source(
    name="kernel_log",
    title="Kernel log: dmesg, journalctl -k, syslog, /dev/kmsg",
    example="2026-03-02T10:15:04.120000+00:00 gpu-0417 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.",
    makes=(KERNEL_EVENTS,),
    sniff=sniff,
    parse=parse,
    pieces=KernelReading,
    settle=settle,
)
