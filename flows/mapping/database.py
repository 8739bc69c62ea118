"""A table of an SQLite file, read from its bytes by Python's own SQLite.

DuckDB reads SQLite through an extension that it must fetch from the network first.
"""

import sqlite3
from typing import Any

import polars as pl

from flows.errors import RefusedError

_JOURNAL = slice(18, 20)  # of the file header: 2 is write-ahead logging
ROLLBACK = b"\x01\x01"


def sqlite_rows(data: bytes, table: str = "") -> pl.DataFrame:
    """Rows of `table`, or of the only one, in their order, with `line_no` from 1.

    A column whose values are all of one kind has its type; mixed ones are text. Rows that still
    lie in a write-ahead log beside the file are not in its bytes.
    """
    held = bytearray(data)
    held[_JOURNAL] = ROLLBACK  # a database in memory knows no write-ahead log
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(bytes(held))
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        name = table or _only_table(connection)
        quoted = '"' + name.replace('"', '""') + '"'
        cursor = connection.execute(f"SELECT * FROM {quoted}")
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise RefusedError(f"cannot be read as sqlite: {error}") from error
    finally:
        connection.close()
    columns: dict[str, pl.Series] = {"line_no": pl.Series(range(1, len(rows) + 1), dtype=pl.Int64)}
    for place, column in enumerate(names):
        free = "line_no_1" if column.lower() == "line_no" else column
        columns[free] = _column([row[place] for row in rows])
    return pl.DataFrame(columns)


def _only_table(connection: sqlite3.Connection) -> str:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
        "ORDER BY name"
    ).fetchall()
    names = [row[0] for row in found]
    if len(names) != 1:
        raise RefusedError(
            f"{len(names)} tables ({', '.join(names)}): say which, `-- reads: sqlite TABLE`"
        )
    return str(names[0])


def _column(values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pl.Series(values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(values, dtype=pl.Float64, strict=False)
    texts = [v.hex() if isinstance(v, bytes) else v for v in values]
    return pl.Series([None if v is None else str(v) for v in texts], dtype=pl.String)
