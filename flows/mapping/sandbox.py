"""Where a mapping's SELECT runs: it sees `input`, our macros and nothing else of this machine."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from flows.errors import RefusedError
from flows.mapping.header import Header
from flows.mapping.statement import one_line
from flows.share import sql_files
from transforms.sources.base import Origin

MEMORY = "4GB"
SECONDS = 300.0
MOST_POISON = 200
"""A file with more records that break the SELECT is refused whole: it is the wrong mapping."""

_OF_A_RECORD = (
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.DataError,
)


@contextmanager
def opened() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in memory that may still read files; `lock` takes that away."""
    connection = duckdb.connect(config={"temp_directory": "", "max_temp_directory_size": "0B"})
    with connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute("SET threads = 2")
        yield connection


def lock(connection: duckdb.DuckDBPyConnection, origin: Origin) -> None:
    """Define the macros and shut the connection off from files, settings and Python."""
    for name, value in (
        ("given_zone", _quoted(origin.zone)),
        ("given_cluster", _quoted(origin.cluster)),
        ("given_node", _quoted(origin.node)),
        ("file_name", _quoted(origin.file)),
        ("file_time", f"{_quoted(origin.modified.isoformat())}::TIMESTAMPTZ"),
    ):
        connection.execute(f"CREATE MACRO {name}() AS {value}")
    waiting = sql_files("macros")
    while waiting:  # a macro may use another: it waits for the next round
        failed = [path for path in waiting if not _defines(connection, path.read_text())]
        if len(failed) == len(waiting):
            break  # macros over the lake's own tables, which no mapping sees
        waiting = failed
    for setting in (
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def run(
    connection: duckdb.DuckDBPyConnection, select: str, header: Header
) -> list[tuple[int, str]]:
    """Put what the SELECT gives into `_said`; return the records that it cannot be run on.

    A record that breaks the SELECT by itself (a cast that fails, an `error()`) is left out, with
    DuckDB's reason, and the SELECT runs on the others. Raises RefusedError where that is no help.
    """
    stopper = threading.Timer(SECONDS, connection.interrupt)
    stopper.start()
    try:
        connection.execute("CREATE OR REPLACE VIEW input AS FROM _input")
        if not (fault := _try(connection, select, header)):
            return []
        found = connection.execute("SELECT DISTINCT line_no FROM _input ORDER BY ALL").fetchall()
        lines = [int(row[0]) for row in found]
        poison = _poison(connection, select, header, lines)
        if not poison:
            raise RefusedError(f"{header.path.name}: {fault}")
        rows = ", ".join(f"({line})" for line, _ in poison)
        connection.execute(
            "CREATE OR REPLACE VIEW input AS FROM _input "
            f"WHERE line_no NOT IN (SELECT line_no FROM (VALUES {rows}) AS broken(line_no))"
        )
        if fault := _try(connection, select, header):
            raise RefusedError(f"{header.path.name}: {fault}")
        return poison
    finally:
        stopper.cancel()


def _poison(
    connection: duckdb.DuckDBPyConnection, select: str, header: Header, lines: list[int]
) -> list[tuple[int, str]]:
    """Records that break the SELECT when it sees them alone, found by halving."""
    found: list[tuple[int, str]] = []
    waiting = [(0, len(lines))]
    while waiting:
        start, end = waiting.pop()
        connection.execute(
            "CREATE OR REPLACE VIEW input AS FROM _input "
            f"WHERE line_no BETWEEN {lines[start]} AND {lines[end - 1]}"
        )
        if not (fault := _try(connection, select, header)):
            continue
        if end - start > 1:
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
            continue
        found.append((lines[start], fault))
        if len(found) > MOST_POISON:
            raise RefusedError(
                f"{header.path.name}: more than {MOST_POISON} records break the SELECT, the first "
                f"with: {found[0][1]} Use TRY_CAST, or another mapping"
            )
    return found


def _try(connection: duckdb.DuckDBPyConnection, select: str, header: Header) -> str:
    """Run it; return why it failed on some record, or ''. Raises RefusedError on other failures."""
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE _said AS {select}")
    except _OF_A_RECORD as error:
        said = re.split(r" LINE \d+:", one_line(error))[0]
        return said.removeprefix("Invalid Input Error: ").removeprefix("Conversion Error: ")
    except duckdb.InterruptException as error:
        raise RefusedError(f"{header.path.name}: runs longer than {SECONDS:.0f} s") from error
    except duckdb.Error as error:
        raise RefusedError(f"{header.path.name}: {one_line(error)}") from error
    return ""


def _defines(connection: duckdb.DuckDBPyConnection, macro: str) -> bool:
    try:
        connection.execute(macro)
    except duckdb.CatalogException:
        return False
    return True


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
