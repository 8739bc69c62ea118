"""Columns of a SELECT as the columns of a table: each cast, and why a value could not be.

A cast that fails on one row leaves a fault in that row. A column of a type that can never be
meant (a time without a zone for an instant) fails the mapping.
"""

from dataclasses import dataclass

import polars as pl

from flows.mapping.header import closest
from flows.mapping.instants import OFFSET
from transforms.contract import Table

TEXTS = ("VARCHAR", "JSON")
ZONED = "TIMESTAMP WITH TIME ZONE"
_SANE = "{} BETWEEN TIMESTAMPTZ '1000-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 00:00:00+00'"  # Python's, and no BC
_NAIVE = ("TIMESTAMP", "DATE", "TIME")
_WHOLE: dict[type[pl.DataType], str] = {
    pl.Int64: "BIGINT",
    pl.Int32: "INTEGER",
    pl.UInt64: "UBIGINT",
    pl.UInt32: "UINTEGER",
    pl.UInt16: "USMALLINT",
    pl.UInt8: "UTINYINT",
}


@dataclass(frozen=True)
class Cast:
    """SQL for one column: its value in the table's type (or null), and a fault text or null."""

    value: str
    fault: str


def unknown_columns(table: Table, given: list[str]) -> str:
    """What to say of columns that the table has not; '' where there are none."""
    known = list(table.dtypes)
    strange = [name for name in given if name not in table.dtypes and name != "line_no"]
    if not strange:
        return ""
    told = ", ".join(name + closest(name, known) for name in strange)
    return f"{table.name} has no column {told}: it has {', '.join(known)}"


def cast(name: str, given: str, dtype: pl.DataType) -> Cast:
    """Cast column `name` of DuckDB's type `given`. Raises ValueError where that is never meant."""
    column = f'"{name}"'
    text = _text(column, given)
    if dtype == pl.String:
        return Cast(text, "NULL")
    blank = f"nullif(trim({text}), '')"
    told = f"{blank} IS NOT NULL"
    if isinstance(dtype, pl.Enum):
        words = ", ".join(_quoted(word) for word in dtype.categories)
        choice = f"CASE WHEN {text} IN ({words}) THEN {text} END"
        return _or_fault(name, choice, f"{text} IS NOT NULL", text, f"one of {_or(dtype)}")
    if isinstance(dtype, pl.Datetime):
        return _instant(name, column, blank, told, given)
    if isinstance(dtype, pl.List):
        if not given.endswith("[]"):
            raise ValueError(f"{name} is {given}, a list is promised: hostlist({name}) makes one")
        return Cast(f"{column}::VARCHAR[]", "NULL")
    if dtype == pl.Boolean:
        return _or_fault(name, f"TRY_CAST({blank} AS BOOLEAN)", told, text, "true or false")
    if dtype.is_float():
        return _or_fault(name, f"TRY_CAST({blank} AS DOUBLE)", told, text, "number")
    whole = (
        f"CASE WHEN TRY_CAST({blank} AS DOUBLE) = round(TRY_CAST({blank} AS DOUBLE)) "
        f"THEN TRY_CAST({blank} AS {_WHOLE[type(dtype)]}) END"
    )
    return _or_fault(name, whole, told, text, f"whole number ({dtype})")


def _instant(name: str, column: str, blank: str, told: str, given: str) -> Cast:
    if given == ZONED:
        value = f"CASE WHEN isfinite({column}) AND {_SANE.format(column)} THEN {column} END"
        return _or_fault(name, value, f"{column} IS NOT NULL", f"{column}::VARCHAR", "instant")
    if given in TEXTS:
        value = (
            f"CASE WHEN regexp_matches({blank}, {_quoted(OFFSET)}) "
            f"AND {_SANE.format(f'TRY_CAST({blank} AS TIMESTAMPTZ)')} "
            f"THEN TRY_CAST({blank} AS TIMESTAMPTZ) END"
        )
        promise = "instant with an offset or Z (local_time(text, zone) makes one)"
        return _or_fault(name, value, told, blank, promise)
    if given.startswith(_NAIVE):
        raise ValueError(
            f"{name} is {given}, which names no instant without its zone: "
            f"write local_time({name}, 'Europe/Berlin') or {name} AT TIME ZONE 'UTC'"
        )
    raise ValueError(
        f"{name} is {given}, an instant is promised: write to_timestamp(seconds), "
        f"since_days(t0, days) or local_time(text, zone)"
    )


def _text(column: str, given: str) -> str:
    """A value as people write it: a JSON string without its quotes, a structure as JSON."""
    if given == "JSON":
        return (
            f"CASE json_type({column}) WHEN 'NULL' THEN NULL "
            f"WHEN 'VARCHAR' THEN {column} ->> '$' ELSE {column}::VARCHAR END"
        )
    if given.startswith(("STRUCT", "MAP", "UNION")) or given.endswith("[]"):
        return f"to_json({column})::VARCHAR"
    return f"{column}::VARCHAR"


def _or_fault(name: str, value: str, told: str, text: str, promise: str) -> Cast:
    said = f"{_quoted(name + ' is ')} || left({text}, 80) || {_quoted(', no ' + promise)}"
    return Cast(value, f"CASE WHEN {told} AND ({value}) IS NULL THEN {said} END")


def _or(words: pl.Enum) -> str:
    return ", ".join(word or "''" for word in words.categories)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
