"""A board's system event log, as ipmitool or FreeIPMI's ipmi-sel prints it, to bmc_events.

      54 | 03/11/2025 | 16:34:51 | Memory #0x08 | Uncorrectable ECC | Asserted

Dates are month first and times are local (`--zone`), unless a zone stands beside them. Records
from before the controller's clock was set take the time of the record beside them. The node is the
caller's, or what a collector put around the log: `gpu-0417: ...` before each line (pdsh, clush),
a line `Running on: gpu-0417`, or the name between two rules (dshbak).
"""

import re

import polars as pl

from transforms.sources import ipmi_lines
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.bmc_clock import place_in_time
from transforms.sources.text import instants, numbered_lines
from transforms.tables.observed import BMC_EVENTS

_HOST = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_PREFIX = rf"^({_HOST}): *(.*)$"
_RULE = r"^-{4,}\s*$"
_RUNNING_ON = rf"(?i)^Running on:? ({_HOST})\s*$"
_UNREACHED = r"(?i)^(?:error: )?(?:unable to|could not|cannot) |^ipmi-sel: |^error:|timeout$"
_MONTH_FIRST = r"^(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})$"
_NAMED_MONTH = r"^([A-Z][a-z]{2})-(\d{2})-(\d{4})$"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OFFSETS = {"UTC": "Z", "GMT": "Z", "Z": "Z"} | {
    "EST": "-05:00", "EDT": "-04:00", "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00",
    "PST": "-08:00", "PDT": "-07:00", "CET": "+01:00", "CEST": "+02:00", "JST": "+09:00",
}  # fmt: skip
"""Zone names that mean one offset. CST, IST and BST mean several: a time in them, or in a zone
not listed here, is local time of the caller's zone."""
_LEVELS = {"nominal": "info", "warning": "warning", "critical": "critical"}


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per record; lines that say a log could not be fetched are refused, not passed over."""
    lines = _of_nodes(numbered_lines(data), origin)
    header = lines.filter(pl.col("line").str.contains(ipmi_lines.HEADER))["line"]
    is_block = pl.col("line").str.contains(ipmi_lines.BLOCK_START).any()
    is_header = pl.col("line").str.contains(ipmi_lines.HEADER)
    is_row = pl.col("line").str.contains(r"^\s*[0-9a-fA-F]{1,5}\s*[|,]") & ~is_header
    if lines.select(is_block).item():
        told = ipmi_lines.blocks(lines)
        used = pl.col("line").str.contains(ipmi_lines.BLOCK_LINE)
    elif len(header):
        told = ipmi_lines.columns(lines.filter(is_row), header[0])
        used = is_row
    else:
        told = ipmi_lines.rows(lines.filter(is_row))
        used = is_row
    rest = lines.filter(~used & ~is_header & ~pl.col("is_frame"))
    unreached = rest.filter(pl.col("line").str.contains(_UNREACHED))
    texts = dict(lines.select("line_no", "raw").rows())
    good, refused = refuse_faulty(BMC_EVENTS, _events(told, origin), lambda n: texts.get(n, ""))
    refused += [
        (n, f"the log of {node or 'a node'} could not be fetched", line)
        for n, node, line in unreached.select("line_no", "node", "raw").rows()
    ]
    ignored = rest.height - unreached.height
    return Parsed(
        frames={BMC_EVENTS.name: good},
        rejects=rejects(sorted(refused)),
        records=told.height + rest.height,
        accepted=told.height + unreached.height - len(refused),
        rejected=len(refused),
        ignored=ignored,
    )


def _of_nodes(lines: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Lines that are not blank, without a collector's prefix, each with the node it is about.

    `is_frame` marks the lines by which a collector says whose log follows.
    """
    line = pl.col("line")
    is_prefixed = line.str.extract(_PREFIX, 2).str.contains(
        rf"{ipmi_lines.ROW}|{ipmi_lines.HEADER}|(?i:^(?:error: )?unable to)"
    ) & ~line.str.contains(r"(?i)^error:")
    is_rule = line.str.contains(_RULE)
    is_between = is_rule.shift(1).fill_null(False) & is_rule.shift(-1).fill_null(False)
    framed = pl.when(is_between).then(line.str.extract(rf"^({_HOST})\s*$"))
    named = pl.coalesce(line.str.extract(_RUNNING_ON), framed)
    return (
        lines.filter(~line.str.contains(r"^\s*$"))
        .with_columns(
            line.alias("raw"),
            named.alias("named"),
            is_rule.alias("is_rule"),
            is_prefixed.alias("own"),
        )
        .with_columns(
            pl.when("own").then(line.str.extract(_PREFIX, 1)).alias("prefix"),
            pl.when("own").then(line.str.extract(_PREFIX, 2)).otherwise(line).alias("line"),
        )
        .select(
            "line_no",
            "line",
            "raw",
            pl.coalesce("prefix", pl.col("named").forward_fill(), pl.lit(origin.node)).alias(
                "node"
            ),
            (pl.col("named").is_not_null() | pl.col("is_rule")).alias("is_frame"),
        )
    )


def _events(told: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Shape what was told as rows of bmc_events, and `fault`."""
    read = instants(told.select(_iso()).to_series(), origin.zone)
    asserted = pl.col("direction").str.to_lowercase()
    level = pl.coalesce(
        pl.col("state").str.to_lowercase().replace_strict(_LEVELS, default=None),
        pl.when(pl.col("event").str.contains(r"(?i)non-critical")).then(pl.lit("warning")),
        pl.when(
            pl.col("event").str.contains(r"(?i)\b(?:upper|lower|to) critical|non-recoverable")
        ).then(pl.lit("critical")),
    )
    rows = told.with_columns(
        read["at"],
        pl.coalesce(
            "fault",
            pl.when(pl.col("date").is_not_null() & read["at"].is_null()).then(
                pl.format("time: {}", pl.lit(read["fault"]).fill_null("cannot be read"))
            ),
        ).alias("fault"),
        pl.lit(origin.cluster).alias("cluster"),
        pl.lit(origin.file).alias("file"),
        pl.col("node").fill_null(""),
        pl.col("record").fill_null(""),
        pl.when(asserted.str.starts_with("deassert"))
        .then(pl.lit("deasserted"))
        .when(asserted.str.starts_with("assert"))
        .then(pl.lit("asserted"))
        .otherwise(pl.lit(""))
        .cast(BMC_EVENTS.dtypes["direction"])
        .alias("direction"),
        level.cast(BMC_EVENTS.dtypes["level"]).alias("level"),
    )
    return place_in_time(rows, origin.modified).select(*BMC_EVENTS.dtypes.names(), "fault")


def _iso() -> pl.Expr:
    """Date and time as ISO text, with an offset where the zone's name means just one."""
    month_first = pl.col("date").str.extract_groups(_MONTH_FIRST)
    year = month_first.struct.field("3")
    named = pl.col("date").str.extract_groups(_NAMED_MONTH)
    numbers = {name: f"{number:02}" for number, name in enumerate(_MONTHS, 1)}
    date = (
        pl.when(year.is_not_null())
        .then(
            pl.concat_str(
                pl.when(year.str.len_chars() == 2).then("20" + year).otherwise(year),
                month_first.struct.field("1").str.zfill(2),
                month_first.struct.field("2").str.zfill(2),
                separator="-",
            )
        )
        .when(named.struct.field("1").is_not_null())
        .then(
            pl.concat_str(
                named.struct.field("3"),
                named.struct.field("1").replace_strict(numbers, default="00"),
                named.struct.field("2"),
                separator="-",
            )
        )
        .otherwise("date")
    )
    clock = pl.col("time").str.extract(r"^(\d{1,2}:\d{2}:\d{2})").str.zfill(8)
    half = pl.col("time").str.extract(r"([AP]M)")
    hour = clock.str.slice(0, 2).cast(pl.Int64, strict=False)
    of_day = (hour % 12 + pl.when(half == "PM").then(12).otherwise(0)).cast(pl.String).str.zfill(2)
    clock = pl.when(half.is_not_null()).then(of_day + clock.str.slice(2)).otherwise(clock)
    zone = pl.col("time").str.extract(r"(?:\d|M) ?([A-Z]{1,5}|[+-]\d{2}:?\d{2})$")
    offset = (
        pl.when(zone.str.contains(r"^[+-]"))
        .then(zone)
        .otherwise(zone.replace_strict(_OFFSETS, default=""))
    )
    return (date + "T" + clock + offset.fill_null("")).alias("iso")


def sniff(head: str, name: str) -> int:
    """Surely, if lines have an id, a date and a time between bars, or name a SEL record."""
    row = re.compile(ipmi_lines.ROW)
    for line in head.splitlines()[:400]:
        bare = re.sub(_PREFIX, r"\2", line) if not row.match(line) else line
        if re.match(ipmi_lines.BLOCK_START, line) or re.match(ipmi_lines.HEADER, bare):
            return 2
        if row.match(bare) and ("|" in bare or re.search(r",(?:Dea|A)sserted\b", bare)):
            return 2
    return 0


SOURCE = Source(
    name="ipmi_sel",
    title="System event log of a board: ipmitool sel list, sel elist, ipmi-sel",
    example="  54 | 03/11/2026 | 16:34:51 | Memory CPU0_DIMM_A1 | Uncorrectable ECC | Asserted",
    makes=(BMC_EVENTS,),
    sniff=sniff,
    parse=parse,
)
