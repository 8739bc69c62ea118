"""Delimited text as DuckDB's own sniffer reads it, with the line that every row begins on.

DuckDB tells no line numbers of the rows that it could read, and a quoted cell may hold line ends.
So each record gets its line number as one more cell in front, before DuckDB reads the text: it
comes back as a column, and in the text of what DuckDB refuses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

EVERY_ROW = -1  # of sample_size: a type that only the first rows have is none
_SEPARATORS = ",;|\t"


@dataclass(frozen=True)
class _Dialect:
    delim: str
    quote: str
    escape: str
    comment: str
    skip: int
    has_header: bool
    columns: dict[str, str]  # name to DuckDB type


def as_text(data: bytes) -> str:
    """UTF-8, or UTF-16 where its mark says so; every line ends with a line feed."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def has_columns(head: str) -> bool:
    """True where the first whole lines agree on two columns or more of one separator."""
    lines = [line for line in head.split("\n")[:10] if line.strip()]
    if len(lines) > 2:
        lines = lines[:-1]
    return any(
        lines
        and min(line.count(mark) for line in lines) >= 1
        and len({line.count(mark) for line in lines if '"' not in line}) <= 1
        for mark in _SEPARATORS
    )


def load(
    connection: duckdb.DuckDBPyConnection,
    text: str,
    options: dict[str, str],
    knows: tuple[str, ...],
    held: Path,
) -> list[tuple[int, str, str]]:
    """Fill `_input` from the text; return what DuckDB refused: (line_no, reason, text)."""
    held.write_text(text, encoding="utf-8", newline="")
    dialect = _sniff(connection, held, options, knows)
    held.write_text(_numbered(text, dialect), encoding="utf-8", newline="")
    given = {
        "auto_detect": "false",
        "header": str(dialect.has_header).lower(),
        "skip": str(dialect.skip),
        "delim": _quoted(dialect.delim),
        "quote": _quoted(dialect.quote),
        "escape": _quoted(dialect.escape),
        "comment": _quoted(dialect.comment),
        "columns": _columns(dialect.columns),
        "store_rejects": "true",
        "max_line_size": str(max(2_097_152, len(text.encode()))),
    }
    spelled = ", ".join(f"{name} = {value}" for name, value in given.items())
    connection.execute(f"CREATE TABLE _input AS FROM read_csv({_quoted(str(held))}, {spelled})")
    return _refused(connection, dialect)


def _sniff(
    connection: duckdb.DuckDBPyConnection,
    held: Path,
    options: dict[str, str],
    knows: tuple[str, ...],
) -> _Dialect:
    """DuckDB's guess: strict, which finds lines above a header; else one that bears broken rows.

    Rows that are too short or too long make the strict one give up, or take them for a preamble:
    then it does not find the columns that the mapping knows.
    """
    given = {n: _quoted(v) for n, v in options.items() if n in ("delim", "quote", "comment")}
    given |= {n: v for n, v in options.items() if n in ("header", "skip")}
    if "types" in options:
        given["all_varchar"] = "true"
    if "names" in options:
        names = ", ".join(_quoted(name) for name in options["names"].split(","))
        given["names"] = f"[{names}]"
    fault: duckdb.Error | None = None
    guesses: list[_Dialect] = []
    for more in ({}, {"store_rejects": "true"}):
        spelled = "".join(f", {name} = {value}" for name, value in (given | more).items())
        try:
            guesses += _guesses(connection, held, spelled)
        except duckdb.Error as error:
            fault = error
    if not guesses and fault:
        raise fault
    fitting = [g for g in guesses if set(knows) <= g.columns.keys() and len(g.columns) > 1]
    wide = [g for g in guesses if len(g.columns) > 1]
    return (fitting or wide or guesses)[0]


def _guesses(connection: duckdb.DuckDBPyConnection, held: Path, spelled: str) -> Iterator[_Dialect]:
    found = connection.execute(
        "SELECT Delimiter, Quote, Escape, Comment, SkipRows, HasHeader, Columns, DateFormat, "
        f"TimestampFormat FROM sniff_csv({_quoted(str(held))}, sample_size = {EVERY_ROW}{spelled})"
    ).fetchall()
    for delim, *marks, skip, has_header, columns, dates, times in found:
        quote, escape, comment = ("" if mark == "(empty)" else mark for mark in marks)
        formats = {"DATE": dates, "TIMESTAMP": times}
        types = {_free(c["name"]): _sure(c["type"], formats.get(c["type"])) for c in columns}
        yield _Dialect(delim, quote, escape, comment, skip, has_header, types)


def _sure(kind: str, form: str | None) -> str:
    """A date is one where the year comes first; 3/4/2024 is text, for the mapping to read."""
    return "VARCHAR" if form and not form.startswith("%Y") else kind


def _numbered(text: str, dialect: _Dialect) -> str:
    """The text with the line number as the first cell of every record, and a name for it."""
    lines = pl.Series("line", text.removesuffix("\n").split("\n")).to_frame()
    lines = lines.with_row_index("line_no", 1)
    is_before = pl.col("line_no") <= dialect.skip
    is_left = is_before | (pl.col("line").str.strip_chars() == "")
    if dialect.comment:
        is_left |= pl.col("line").str.starts_with(dialect.comment)
    if dialect.quote:
        is_left |= ~is_before & _goes_on(lines, dialect)
    first = pl.col("line_no").cast(pl.String)
    if dialect.has_header:
        is_header = pl.col("line_no") == lines.filter(~is_left)["line_no"].min()
        first = pl.when(is_header).then(pl.lit("line_no")).otherwise(first)
    numbered = (
        pl.when(is_left).then(pl.col("line")).otherwise(first + dialect.delim + pl.col("line"))
    )
    return "\n".join(lines.select(numbered).to_series()) + "\n"


def _goes_on(lines: pl.DataFrame, dialect: _Dialect) -> pl.Expr:
    """True for lines inside a quoted cell that an earlier line opened."""
    quotes = pl.col("line").str.count_matches(dialect.quote, literal=True).cast(pl.Int64)
    if dialect.escape not in ("", dialect.quote):
        quotes -= (
            pl.col("line")
            .str.count_matches(dialect.escape + dialect.quote, literal=True)
            .cast(pl.Int64)
        )
    quotes = pl.when(pl.col("line_no") > dialect.skip).then(quotes).otherwise(0)
    if lines.select(quotes.sum()).item() % 2:
        return pl.lit(False)  # a quote that never ends: its lines are records still
    return (quotes.cum_sum() - quotes) % 2 == 1


def _refused(
    connection: duckdb.DuckDBPyConnection, dialect: _Dialect
) -> list[tuple[int, str, str]]:
    found = connection.execute(
        "SELECT line, csv_line, error_type, column_name FROM reject_errors ORDER BY ALL"
    ).fetchall()
    refused: dict[int, tuple[int, str, str]] = {}
    for line, text, kind, column in found:
        number, mark, rest = text.lstrip("\n").partition(dialect.delim)
        is_ours = mark and number.isdecimal()
        place = int(number) if is_ours else int(line)
        reason = str(kind).lower() + (f" in {column}" if column and kind == "CAST" else "")
        reason += f": the header promises {len(dialect.columns)} columns" * ("COLUMNS" in str(kind))
        refused.setdefault(place, (place, reason, rest if is_ours else text))
    return sorted(refused.values())


def _columns(types: dict[str, str]) -> str:
    pairs = {"line_no": "BIGINT"} | types
    return "{" + ", ".join(f"{_quoted(n)}: {_quoted(t)}" for n, t in pairs.items()) + "}"


def _free(name: str) -> str:
    return "line_no_1" if re.fullmatch("line_no", name, re.IGNORECASE) else name


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
