"""A file as the table `input` of a DuckDB connection, each row with its `line_no`.

The connection is trusted here: it may read the one temporary file that holds the bytes, which is
gone when this is done. `line_no` is the line of a text, else the record's 1-based place.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from flows.errors import RefusedError
from flows.mapping import delimited, documents
from flows.mapping.database import sqlite_rows
from flows.mapping.header import Header, csv_options
from flows.mapping.kinds import kind_of
from transforms.sources.text import decode, numbered_lines

HEAD = 1 << 16


@dataclass(frozen=True)
class Loaded:
    """`rows` of `input`, the records that could not be read, and the text of any record."""

    rows: int
    text: Callable[[int], str]
    refused: list[tuple[int, str, str]] = field(default_factory=list)


def load(connection: duckdb.DuckDBPyConnection, data: bytes, header: Header) -> Loaded:
    """Fill `input`. Raises RefusedError where nothing of the file can be read that way."""
    kind = header.kind or kind_of(decode(data[:HEAD])) or _delimited_or_lines(data)
    with tempfile.TemporaryDirectory(prefix="faultledger-") as folder:
        held = Path(folder) / "input"
        try:
            if kind == "csv":
                return _csv(connection, data, header, held)
            if kind == "parquet":
                return _parquet(connection, data, held)
            if kind == "sqlite":
                return _frame(connection, sqlite_rows(data, header.detail))
            if kind == "lines":
                return _lines(connection, data)
            return _json(connection, data, kind, header.detail, held)
        except duckdb.Error as error:
            reason = " ".join(str(error).replace(str(held), "the file").split())[:400]
            raise RefusedError(f"cannot be read as {kind}: {reason}") from error


def _delimited_or_lines(data: bytes) -> str:
    return "csv" if delimited.has_columns(decode(data[:HEAD])) else "lines"


def _csv(connection: duckdb.DuckDBPyConnection, data: bytes, header: Header, held: Path) -> Loaded:
    text = delimited.as_text(data)
    lines = text.split("\n")
    if not text.strip():
        return _nothing(connection)
    refused = delimited.load(connection, text, csv_options(header), header.knows, held)
    return Loaded(_count(connection), lambda line: _nth(lines, line), refused)


def _lines(connection: duckdb.DuckDBPyConnection, data: bytes) -> Loaded:
    return _frame(connection, numbered_lines(data).filter(pl.col("line").str.strip_chars() != ""))


def _json(
    connection: duckdb.DuckDBPyConnection, data: bytes, kind: str, path: str, held: Path
) -> Loaded:
    if kind == "ndjson":
        records, refused = documents.of_lines(connection, numbered_lines(data))
    else:
        records, refused = documents.of_document(decode(data), path)
    if records.is_empty():
        _nothing(connection)
    else:
        documents.load(connection, records, held)
    texts = dict(records.iter_rows())
    return Loaded(records.height, lambda line: texts.get(line, ""), refused)


def _parquet(connection: duckdb.DuckDBPyConnection, data: bytes, held: Path) -> Loaded:
    held.write_bytes(data)
    connection.execute(
        "CREATE TABLE _input AS SELECT file_row_number + 1 AS line_no, * EXCLUDE file_row_number "
        "FROM read_parquet(?, file_row_number = true)",
        [str(held)],
    )
    return Loaded(_count(connection), _as_json(connection))


def _frame(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> Loaded:
    connection.register("_rows", rows.to_arrow())
    connection.execute("CREATE TABLE _input AS FROM _rows")
    connection.unregister("_rows")
    if "line" in rows.columns and rows.width == 2:
        return Loaded(rows.height, lambda line: _nth_where(rows, line))
    return Loaded(rows.height, _as_json(connection))


def _nothing(connection: duckdb.DuckDBPyConnection) -> Loaded:
    connection.execute("CREATE TABLE _input (line_no BIGINT)")
    return Loaded(0, lambda line: "")


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    ((rows,),) = connection.execute("SELECT count(*) FROM _input").fetchall()
    return int(rows)


def _as_json(connection: duckdb.DuckDBPyConnection) -> Callable[[int], str]:
    """A record of a binary file has no text: it is shown as JSON."""

    def text(line: int) -> str:
        found = connection.execute(
            "SELECT to_json(_input)::VARCHAR FROM _input WHERE line_no = ?", [line]
        ).fetchall()
        if not found:
            return ""
        record = json.loads(found[0][0])
        record.pop("line_no")
        return json.dumps(record, ensure_ascii=False)

    return text


def _nth(lines: list[str], line: int) -> str:
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _nth_where(rows: pl.DataFrame, line: int) -> str:
    found = rows.filter(pl.col("line_no") == line)["line"]
    return found[0] if found.len() else ""
