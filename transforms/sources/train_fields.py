"""The fields of one training-log line, read exactly, a million lines at a time.

Nearly every line is a flat JSON object without escapes. Those are recognised by one strict
pattern and their values cut out by others; every other line goes through the JSON reader. Both
ways give the raw text of each value, so that 5, "5" and 5.5 stay three different things.
"""

import json
import math
from collections.abc import Iterator

import polars as pl

FIELDS = (
    *("t", "cluster", "run", "job_id", "restart", "event", "step", "seconds"),
    *("tokens", "bytes", "gpus", "ok", "note"),
)

_STRING = r'"[^"\\\x00-\x1f]*"'
_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_PAIR = rf"[ \t]*{_STRING}[ \t]*:[ \t]*(?:{_STRING}|{_NUMBER}|true|false|null)[ \t]*"
FLAT = rf"^[ \t]*\{{{_PAIR}(?:,{_PAIR})*\}}[ \t\r]*$"

_ISO = r"^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)$"
_NAIVE = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?$"
_EARLIEST_S, _LATEST_S = 315_532_800, 4_102_444_800  # 1980 and 2100: outside, units are wrong
_LONGEST_S = 1e8  # three years: nothing in a training run lasts longer
_MICRO = 1_000_000


def raw_fields(lines: pl.DataFrame, fields: tuple[str, ...] = FIELDS) -> pl.DataFrame:
    """Add to line_no and line the raw text of each field (null if absent) and `trouble`."""
    is_flat = lines.get_column("line").str.contains(FLAT)
    flat = lines.filter(is_flat)
    told = flat.select(
        pl.col("line").str.contains(f'"{name}"', literal=True).any().alias(name) for name in fields
    ).row(0, named=True)
    cut = [
        pl.col("line")
        .str.extract(rf'"{name}"[ \t]*:[ \t]*("[^"]*"|[^,}} \t]+)')
        .replace("null", None)
        .alias(name)
        if told[name]
        else pl.lit(None, pl.String).alias(name)
        for name in fields
    ]
    flat = flat.with_columns(*cut, pl.lit(None, pl.String).alias("trouble"))
    schema = pl.Schema({**lines.schema, **dict.fromkeys((*fields, "trouble"), pl.String())})
    odd = pl.DataFrame(list(_slowly(lines.filter(~is_flat), fields)), schema=schema, orient="row")
    return pl.concat([flat.select(schema.names()), odd]).sort("line_no")


def _slowly(odd: pl.DataFrame, fields: tuple[str, ...]) -> Iterator[tuple[int | str | None, ...]]:
    """Read the lines that the pattern does not cover: escapes, nesting, and what is no JSON."""
    for line_no, line in odd.select("line_no", "line").iter_rows():
        try:
            said = json.loads(line, object_pairs_hook=_first, parse_constant=_refuse)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            yield line_no, line, *(_raw(said.get(name)) for name in fields), None
        else:
            yield line_no, line, *(None for _ in fields), "not a JSON object"


def _first(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of a key given twice the first counts, as in the fast way."""
    return dict(reversed(pairs))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _raw(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return f'"{value}"'.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "[]"  # a number too large to hold: no reader below takes it
    return json.dumps(value)


def text(name: str) -> pl.Expr:
    """A string, or an integer written without quotes; null for anything else or nothing."""
    raw = pl.col(name)
    inner = raw.str.strip_prefix('"').str.strip_suffix('"')
    is_text = raw.str.contains(r'(?s)^".+"$') | raw.str.contains(r"^\d{1,18}$")
    return pl.when(is_text).then(inner)


def integer(name: str) -> pl.Expr:
    """A whole number, not negative; null for anything else or nothing."""
    raw = pl.col(name)
    return pl.when(raw.str.contains(r"^(?:0|[1-9]\d{0,17})$")).then(raw).cast(pl.Int64)


def boolean(name: str) -> pl.Expr:
    return pl.col(name).replace_strict({"true": True, "false": False}, default=None)


def duration_us(name: str) -> pl.Expr:
    """Seconds as microseconds; null unless a number between nothing and three years."""
    value = _number(pl.col(name))
    is_sane = value.is_between(0, _LONGEST_S)
    return pl.when(is_sane).then((value * _MICRO).round()).cast(pl.Int64)


def instant(name: str) -> pl.Expr:
    """ISO 8601 with an offset, or seconds since 1970; null for anything else or nothing."""
    raw = pl.col(name)
    parts = raw.str.strip_chars('"').str.extract_groups(_ISO)
    date, clock, fraction, zone = (parts.struct.field(str(i)) for i in range(1, 5))
    local = pl.concat_str(date, pl.lit(" "), clock).str.to_datetime(
        "%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"
    )
    offset = zone.str.replace("^[Zz]$", "+0000").str.replace(":", "")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(3, 2).cast(pl.Int64)
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    micros = fraction.fill_null("").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    told = local.dt.epoch("us") + micros - signed * 60 * _MICRO
    epoch = _number(raw)
    is_sane = epoch.is_between(_EARLIEST_S, _LATEST_S)
    counted = pl.when(is_sane).then((epoch * _MICRO).round()).cast(pl.Int64)
    at = pl.when(raw.str.starts_with('"')).then(told).otherwise(counted)
    in_range = at.is_between(_EARLIEST_S * _MICRO, _LATEST_S * _MICRO)
    return pl.from_epoch(pl.when(in_range).then(at), "us").dt.replace_time_zone("UTC")


def is_naive(name: str) -> pl.Expr:
    """Whether the text is a time without an offset, which names no instant."""
    return pl.col(name).str.strip_chars('"').str.contains(_NAIVE).fill_null(False)


def _number(raw: pl.Expr) -> pl.Expr:
    return pl.when(raw.str.contains(rf"^{_NUMBER}$")).then(raw).cast(pl.Float64, strict=False)
