"""The three ways in which tools print a system event log, brought to one frame of text.

    ipmitool       53 | 12/19/2024 | 07:06:21 UTC | OS Boot #0x22 | boot completed | Asserted
    ipmitool -v   `SEL Record ID : 0053` and one line for each field, a blank line between records
    ipmi-sel      `ID | Date | Time | Name | Type | State | Event`, whose first line names columns

Each reader gives TOLD: a row for each record, with `date` and `time` null where the controller's
clock was not set, and `fault` where the record cannot be read.
"""

import polars as pl

_TEXTS = (
    *("node", "record", "date", "time", "sensor", "event", "direction", "state", "detail"),
    "fault",
)
TOLD = pl.Schema([("line_no", pl.UInt32()), *((name, pl.String()) for name in _TEXTS)])

DATE = r"(?:\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2}-\d{2}-\d{4})"
TIME = r"\d{1,2}:\d{2}:\d{2}(?: [AP]M)?(?: ?(?:[A-Z]{1,5}|[+-]\d{2}:?\d{2}))?"
UNSET = r"(?i)^(?:pre-?init|post-?init|s\+|unspecified|unknown|0x[0-9a-f]+$)"
"""What stands for the date while the controller's clock is not set."""
UNTIMED = r"(?i)^(?:oem record|linux kernel panic)"
"""Records of the operating system or the vendor that carry no date at all."""
HEADER = r"(?i)^\s*ID\s*[|,]\s*Date\s*[|,]\s*Time\s*[|,]"
ROW = rf"^\s*[0-9a-fA-F]{{1,5}}\s*[|,]\s*(?:{DATE}\s*[|,]\s*{TIME}\s*[|,]|(?i:pre-?init|post-?init|s\+|unspecified|unknown|oem record|linux kernel panic))"
BLOCK_LINE = r"^ ?([A-Z][\w ()/]*?)\s*: ?(.*)$"
BLOCK_START = r"^SEL Record ID\s*:"
_DIRECTION = r"(?i)^(?:de)?assert(?:ed|ion(?: event)?)?$|^deassertion event$"


def rows(lines: pl.DataFrame) -> pl.DataFrame:
    """Records of `ipmitool sel list` and `elist`, tables and CSV (`-c`): line_no, node, line."""
    cells = _cells(lines).with_columns(
        pl.col("cells").list.get(1, null_on_oob=True).fill_null("").alias("second"),
        pl.col("cells").list.get(2, null_on_oob=True).fill_null("").alias("third"),
    )
    is_dated = pl.col("second").str.contains(rf"^{DATE}$")
    is_unset = ~is_dated & pl.col("second").str.contains(UNSET)
    # The count of seconds since the controller started stands where the time would.
    has_time = is_dated | (
        is_unset & pl.col("third").str.contains(rf"^(?:\d+|{TIME}|(?i:post-?init|pre-?init))$")
    )
    first = pl.when(has_time).then(3).when(is_unset).then(2).otherwise(1)
    told = cells.with_columns(
        pl.col("cells").list.slice(first, None).alias("told"),
        is_dated.alias("is_dated"),
        (is_dated | is_unset).alias("is_placed"),
    ).with_columns(
        pl.col("told")
        .list.eval(pl.element().str.contains(_DIRECTION))
        .list.arg_max()
        .alias("where"),
        pl.col("told").list.eval(pl.element().str.contains(_DIRECTION)).list.any().alias("has"),
    )
    # OEM records have no direction: all after the first cell is what happened.
    end = pl.when(pl.col("has") & (pl.col("where") > 0)).then("where").otherwise(None)
    event = pl.col("told").list.slice(1, pl.coalesce(end.cast(pl.Int64) - 1, pl.lit(64)))
    rest = pl.when(end.is_not_null()).then(
        pl.col("told").list.slice(end.cast(pl.Int64) + 1, None).list.join(" | ")
    )
    return (
        told.select(
            "line_no",
            "node",
            pl.col("cells").list.get(0).str.to_lowercase().alias("record"),
            pl.when("is_dated").then("second").alias("date"),
            pl.when("is_dated").then("third").alias("time"),
            pl.col("told").list.get(0, null_on_oob=True).fill_null("").alias("sensor"),
            event.list.join(" | ").fill_null("").alias("event"),
            pl.when(end.is_not_null()).then(pl.col("told").list.get(end, null_on_oob=True)),
            pl.lit(None, pl.String).alias("state"),
            pl.when(rest != "").then(rest).alias("detail"),
            pl.when(~pl.col("is_placed") & ~pl.col("second").str.contains(UNTIMED))
            .then(pl.lit("the date cannot be read"))
            .when(pl.col("told").list.len() < pl.when("is_placed").then(2).otherwise(1))
            .then(pl.lit("cut short: an id, a time, a sensor and an event are needed"))
            .alias("fault"),
        )
        .rename({"told": "direction"})
        .select(TOLD.names())
        .cast(TOLD)
    )  # type: ignore[arg-type]


def columns(lines: pl.DataFrame, header: str) -> pl.DataFrame:
    """Records of ipmi-sel under its header: line_no, node, line."""
    named = [name.strip().lower() for name in header.replace("|", ",").split(",")]
    cells = _cells(lines)

    def cell(name: str) -> pl.Expr:
        if name not in named:
            return pl.lit(None, pl.String)
        at = named.index(name)
        if at == len(named) - 1:  # the event may hold a separator itself
            return pl.col("cells").list.slice(at, None).list.join(", ")
        return pl.col("cells").list.get(at, null_on_oob=True)

    kind, name, event = cell("type"), cell("name").fill_null(""), cell("event").fill_null("")
    sensor = (
        pl.when(kind.is_null() | name.str.starts_with(kind))
        .then(name)
        .otherwise(pl.concat_str(kind, name, separator=" ", ignore_nulls=True).str.strip_chars())
    )
    is_dated = cell("date").str.contains(rf"^{DATE}$")
    parts = event.str.split(" ; ")
    rest = parts.list.slice(1, None).list.join(" ; ")
    return cells.select(
        "line_no",
        "node",
        cell("id").alias("record"),
        pl.when(is_dated).then(cell("date")).alias("date"),
        pl.when(is_dated).then(cell("time")).alias("time"),
        sensor.alias("sensor"),
        parts.list.get(0).str.strip_chars().alias("event"),
        pl.coalesce(cell("event direction"), cell("direction")).alias("direction"),
        cell("state").alias("state"),
        pl.when(rest != "").then(rest).alias("detail"),
        pl.when(pl.col("cells").list.len() < len(named))
        .then(pl.lit(f"fewer fields than the header's {len(named)}"))
        .when(~is_dated & ~cell("date").str.contains(UNSET))
        .then(pl.lit("the date cannot be read"))
        .alias("fault"),
    ).cast(TOLD)  # type: ignore[arg-type]


def blocks(lines: pl.DataFrame) -> pl.DataFrame:
    """Records of `ipmitool -v sel list`: line_no, node, line of all lines from the first record."""
    starts = pl.col("line").str.contains(BLOCK_START)
    fields = (
        lines.with_columns(pl.when(starts).then("line_no").forward_fill().alias("start"))
        .filter(pl.col("start").is_not_null() & pl.col("line").str.contains(BLOCK_LINE))
        .with_columns(
            pl.col("line").str.extract(BLOCK_LINE, 1).alias("field"),
            pl.col("line").str.extract(BLOCK_LINE, 2).str.strip_chars().alias("value"),
        )
    )

    def field(*names: str) -> pl.Expr:
        held = pl.col("value").filter(pl.col("field").is_in(names) & (pl.col("value") != ""))
        return held.first()

    stamp = field("Timestamp").str.splitn(" ", 2)
    date = stamp.struct.field("field_0")
    is_dated = date.str.contains(rf"^{DATE}$").fill_null(False)
    kind, number = field("Sensor Type"), field("Sensor Number")
    record = field("SEL Record ID").str.strip_chars_start("0").str.to_lowercase()
    return (
        fields.group_by("start", maintain_order=True)
        .agg(
            pl.col("node").first(),
            record.alias("record"),
            pl.when(is_dated).then(date).alias("date"),
            pl.when(is_dated).then(stamp.struct.field("field_1").str.strip_chars()).alias("time"),
            pl.format("{} #0x{}", kind, number).fill_null(kind).fill_null("").alias("sensor"),
            field("Description", "OEM Defined").fill_null("").alias("event"),
            field("Event Direction").alias("direction"),
            pl.lit(None, pl.String).alias("state"),
            pl.format("event data {}", field("Event Data (RAW)", "Event Data")).alias("detail"),
            pl.when(field("Timestamp").is_null() & field("Record Type").is_null())
            .then(pl.lit("cut short: neither a time nor a record type"))
            .alias("fault"),
        )
        .rename({"start": "line_no"})
        .select(TOLD.names())
        .cast(TOLD)  # type: ignore[arg-type]
    )


def _cells(lines: pl.DataFrame) -> pl.DataFrame:
    """Add `cells`: what stands between bars, or between commas where there is no bar."""
    bars = pl.col("line").str.contains("|", literal=True)
    return lines.with_columns(
        pl.when(bars)
        .then(pl.col("line").str.split("|"))
        .otherwise(pl.col("line").str.split(","))
        .list.eval(pl.element().str.strip_chars())
        .alias("cells")
    )
