"""What text formats share: lines with their numbers, instants, durations, counts, TRES.

Each reader of a column gives values and, where a text was there but could not be read, leaves a
trace: a fault text, or a null beside a text that `is_told`. Callers turn the trace into a reject.
"""

from collections.abc import Callable, Iterator
from datetime import UTC as UTC_ZONE
from datetime import datetime

import polars as pl

from transforms.contract import UTC

NOT_TOLD = ("", "unknown", "none", "n/a", "(null)", "invalid", "none assigned")
"""Words of a scheduler, in lower case, for "there is no value"."""

LINES_SCHEMA = pl.Schema({"line_no": pl.UInt32, "line": pl.String})
_AGE = (datetime(1900, 1, 1, tzinfo=UTC_ZONE), datetime(2199, 12, 31, tzinfo=UTC_ZONE))
FEW = 1_000
"""Rows up to which looking for repeated texts costs more than reading each."""
_CHUNK = 64 << 20
_LOCAL = "%Y-%m-%dT%H:%M:%S"
_LONGER = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})? ?(Z|[+-]\d\d(?::?\d\d)?)?$"
_DURATION = r"^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?$"
_COUNT = r"^(\d+(?:\.\d+)?)([KMGTP]?)$"


def decode(data: bytes) -> str:
    """Bytes as text: UTF-8, bytes that are not UTF-8 replaced, a byte order mark dropped."""
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def numbered_lines(data: bytes, first: int = 1) -> pl.DataFrame:
    """Every line with its number (`line_no`, `line`), without its line end.

    Only the line feed ends a line: names may hold any other control character. `first` is the
    number of the first line, 1 but where `data` goes on with a text.
    """
    lines = pl.Series("line", [], pl.String)
    for chunk in _chunks(data):
        said = chunk.decode("utf-8", "replace")
        said = said if len(lines) or first > 1 else said.removeprefix("\ufeff")
        lines.append(pl.Series("line", [said]).str.split("\n").explode(empty_as_null=True))
    numbered = lines.to_frame()
    if b"\r" in data:
        numbered = numbered.with_columns(pl.col("line").str.strip_suffix("\r"))
    return numbered.with_row_index("line_no", first).cast({"line_no": pl.UInt32})


def told(text: pl.Expr) -> pl.Expr:
    """The text without surrounding blanks, or null where the scheduler's word means no value."""
    bare = text.str.strip_chars()
    return pl.when(~bare.str.to_lowercase().is_in(NOT_TOLD)).then(bare)


def instants(texts: pl.Series, zone: str) -> pl.DataFrame:
    """Read instants: `at` (UTC) and `fault` (why a told time could not be read, else null).

    Local times are in `zone`. A local time that a clock change repeats or skips names no
    instant: it is a fault. Also read: a numeric offset or Z, and epoch seconds.
    """
    naive = texts.str.to_datetime(_LOCAL, time_unit="us", strict=False)
    at = _in_zone(naive, zone)
    if at.null_count() == texts.null_count():
        return _of_this_age(pl.DataFrame({"at": at}).with_columns(fault=pl.lit(None, pl.String)))
    faults = pl.select(
        pl.when(pl.lit(at).is_null() & pl.lit(naive).is_not_null()).then(
            pl.when(pl.lit(_in_zone(naive, zone, ambiguous="earliest")).is_null())
            .then(pl.lit(f"skipped by a clock change in {zone}"))
            .otherwise(pl.lit(f"happened twice in {zone} at a clock change"))
        )
    ).to_series()
    both = pl.DataFrame({"at": at, "fault": faults})
    rest = (naive.is_null() & texts.is_not_null()).arg_true()
    if not rest.is_empty():
        other = _other_instants(texts.gather(rest), zone)
        both = pl.DataFrame(
            {name: both[name].scatter(rest, other[name]) for name in ("at", "fault")},
            schema={"at": UTC, "fault": pl.String},
        )
    return _of_this_age(both)


def _of_this_age(read: pl.DataFrame) -> pl.DataFrame:
    """Refuse the years that no record can have, some of which Python has no dates for."""
    is_odd = ~pl.col("at").is_between(*_AGE)
    if not read.select(is_odd.any()).item():
        return read
    odd = pl.lit("its year lies outside 1900 to 2199")
    return read.with_columns(
        at=pl.when(~is_odd).then("at"), fault=pl.when(is_odd).then(odd).otherwise("fault")
    )


def seconds(text: pl.Expr) -> pl.Expr:
    """`[days-]hours:minutes:seconds` or `minutes:seconds` as whole seconds, else null."""
    parts = text.str.extract_groups(_DURATION)
    day, hour, minute, second = (
        parts.struct.field(str(index)).cast(pl.Int64, strict=False) for index in range(1, 5)
    )
    return (day.fill_null(0) * 24 + hour.fill_null(0)) * 3600 + minute * 60 + second


def whole(text: pl.Expr) -> pl.Expr:
    """A count as UInt32; K, M, G mean powers of 1024 as the scheduler prints them; else null."""
    parts = text.str.extract_groups(_COUNT)
    factor = parts.struct.field("2").replace_strict(
        {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50},
        default=None,
        return_dtype=pl.Int64,
    )
    value = parts.struct.field("1").cast(pl.Float64, strict=False) * factor
    return pl.when(value == value.round()).then(value).cast(pl.UInt32, strict=False)


def tres_count(tres: pl.Expr, name: str) -> pl.Expr:
    """The count of one trackable resource, e.g. `cpu` of `billing=6,cpu=6,node=6`; else null."""
    return whole(tres.str.extract(rf"(?:^|,){name}=([^,]*)", 1))


def tres_gpus(tres: pl.Expr) -> pl.Expr:
    """GPUs of a TRES text: `gres/gpu=8`, else the sum of typed `gres/gpu:h100=8`, else 0.

    Null where the text is null, or where its GPU count cannot be read.
    """
    typed = tres.str.extract_all(r"(?:^|,)gres/gpu:[^=,]+=[^,]*").list.eval(
        whole(pl.element().str.extract(r"=([^=]*)$", 1))
    )
    is_readable = ~typed.list.eval(pl.element().is_null()).list.any()
    has_base = tres.str.contains(r"(?:^|,)gres/gpu=")
    sum_typed = typed.list.sum().cast(pl.UInt32, strict=False)
    return (
        pl.when(has_base)
        .then(tres_count(tres, "gres/gpu"))
        .when(typed.list.len() == 0)
        .then(pl.lit(0, pl.UInt32))
        .when(is_readable)
        .then(sum_typed)
    )


def per_distinct(texts: pl.Series, read: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """Apply a costly reading once to each distinct text of a column that repeats itself."""
    asked = texts.rename("text").to_frame()
    if len(asked) <= FEW:
        return asked.select(read(pl.col("text")).alias("value")).to_series()
    answers = asked.unique().with_columns(read(pl.col("text")).alias("value"))
    if len(answers) == 1:
        return answers["value"].new_from_index(0, len(texts))
    joined = asked.join(answers, on="text", how="left", nulls_equal=True, maintain_order="left")
    return joined["value"]


def _chunks(data: bytes) -> Iterator[bytes]:
    """Cut after line feeds into pieces that fit a string column; the last line feed ends nothing."""
    start = 0
    end = len(data) - data.endswith(b"\n")
    while start <= end and data:
        cut = data.rfind(b"\n", start, start + _CHUNK) if start + _CHUNK < end else end
        if cut < start:
            cut = data.find(b"\n", start + _CHUNK, end)
        if cut < 0:
            cut = end
        yield data[start:cut]
        start = cut + 1


def _in_zone(naive: pl.Series, zone: str, ambiguous: str = "null") -> pl.Series:
    zoned = naive.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
    return zoned.dt.convert_time_zone("UTC")


def _other_instants(texts: pl.Series, zone: str) -> pl.DataFrame:
    """The slower forms: fractions, a blank for the T, offsets, epoch seconds, words."""
    asked = texts.rename("text").to_frame().select(told(pl.col("text")))
    asked = asked.with_columns(pl.col("text").str.extract_groups(_LONGER).alias("parts"))
    asked = asked.with_columns(
        (pl.col("parts").struct.field("1") + "T" + pl.col("parts").struct.field("2"))
        .str.to_datetime(_LOCAL, time_unit="us", strict=False)
        .alias("naive"),
        pl.col("parts")
        .struct.field("3")
        .cast(pl.Float64, strict=False)
        .fill_null(0.0)
        .alias("part"),
        pl.col("parts").struct.field("4").alias("offset"),
    )
    shift = pl.col("offset").replace("Z", "+00:00")
    minutes = shift.str.slice(1, 2).cast(pl.Int64, strict=False) * 60 + shift.str.extract(
        r"^[+-]\d\d:?(\d\d)$", 1
    ).cast(pl.Int64, strict=False).fill_null(0)
    signed = pl.when(shift.str.starts_with("-")).then(-minutes).otherwise(minutes)
    epoch = pl.col("text").str.extract(r"^(\d{9,10}(?:\.\d+)?)$", 1).cast(pl.Float64, strict=False)
    asked = asked.with_columns(
        local=_in_zone(asked["naive"], zone),
        first=_in_zone(asked["naive"], zone, ambiguous="earliest"),
        is_zero=pl.col("text") == "0",
    )
    fraction = pl.duration(microseconds=(pl.col("part") * 1e6).round().cast(pl.Int64))
    at = (
        pl.when(pl.col("offset").is_not_null())
        .then(pl.col("naive").dt.replace_time_zone("UTC") - pl.duration(minutes=signed))
        .otherwise(pl.col("local"))
    ) + fraction
    asked = asked.with_columns(
        at=pl.coalesce(at, pl.from_epoch((epoch * 1e6).round().cast(pl.Int64), "us").cast(UTC))
    )
    return asked.select(
        "at",
        fault=pl.when(pl.col("at").is_not_null() | pl.col("text").is_null() | pl.col("is_zero"))
        .then(None)
        .when(pl.col("naive").is_null())
        .then(pl.lit("unreadable"))
        .when(pl.col("first").is_null())
        .then(pl.lit(f"skipped by a clock change in {zone}"))
        .otherwise(pl.lit(f"happened twice in {zone} at a clock change")),
    )
