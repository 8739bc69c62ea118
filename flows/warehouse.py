"""DuckDB over the lake: a view for each table, then every file in sql/.

    sql/macros/<name>.sql      one CREATE MACRO
    sql/views/<name>.sql       one SELECT, which becomes the view <name>; reads tables and macros
    sql/checks/<name>.sql      one SELECT that finds nothing while all is well
    sql/questions/<name>.sql   one SELECT with named parameters such as $since

`faultledger.duckdb` holds views over a snapshot of the lake by relative paths, so a reader sees
one moment of every table whatever is being written, and the folder can be moved.
"""

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows import furnishing
from flows.atomic import draft_folder, publish
from flows.census import Census
from flows.furnishing import WarehouseError as WarehouseError
from flows.lake import Lake
from flows.parquet_views import quoted
from flows.share import sql_files
from flows.snapshots import snapshot

SANDBOX_MEMORY = "2GB"
SANDBOX_SECONDS = 60.0
SOUND = "SET disabled_optimizers = 'distinct_aggregate_rewrite'"
"""DuckDB 2.0's rewriting of count(DISTINCT) can lose a filter on a folder's column: more rows come."""
SPREAD = "SET perfect_ht_threshold = 0"
"""Groups of few small numbers, as hours are, would all have their quantiles found by one thread."""


def refresh(root: Path, census: Census | None = None) -> Path:
    """Freeze the lake's tables and build faultledger.duckdb over them; readers never wait.

    `census` has the derived tables as they are, of one who lets nobody else write them.
    """
    lake = Lake(root)
    with lake.lock("warehouse"):
        frozen = snapshot(lake, census)
        stage = draft_folder(lake.staging)

        def build(draft: Path) -> None:
            shutil.copyfile(furnishing.blank(lake.state("blank")), draft)
            with furnishing.attached(draft) as connection:
                _settle(connection, stage)
                furnishing.fill(connection, lake, frozen, stage)

        try:
            publish(lake.warehouse, lake.staging, build)
        finally:
            shutil.rmtree(stage)
    return lake.warehouse


@contextmanager
def open_warehouse(root: Path, is_sandbox: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the lake's DuckDB, read only; it is built first where it is missing or out of date.

    A sandbox sees the tables, macros and views and nothing else of this machine.
    """
    lake = Lake(root)
    if not root.is_dir():
        raise WarehouseError(
            f"{root}: no lake here. Ingest into it first, or name another: --lake."
        )
    if not _is_current(lake):
        try:
            refresh(root)
        except OSError as error:
            raise WarehouseError(f"{root}: its warehouse must be built anew ({error}).") from error
    connection = _sandbox(lake) if is_sandbox else duckdb.connect(lake.warehouse, read_only=True)
    with connection:
        if not is_sandbox:
            _settle(connection, root)
        yield connection


def query(
    root: Path,
    sql: str,
    parameters: Mapping[str, object] | None = None,
    is_sandbox: bool = False,
    seconds: float = SANDBOX_SECONDS,
) -> pl.DataFrame:
    """Run one statement; parameters it does not name are left out."""
    with open_warehouse(root, is_sandbox) as connection:
        if not is_sandbox:
            return run(connection, sql, parameters)
        stopper = threading.Timer(seconds, connection.interrupt)
        stopper.start()
        try:
            return run(connection, sql, parameters)
        finally:
            stopper.cancel()


def run(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None
) -> pl.DataFrame:
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise WarehouseError(f"{len(statements)} statements: give one.")
        (statement,) = statements
        given = {n: v for n, v in (parameters or {}).items() if n in statement.named_parameters}
        if missing := sorted(statement.named_parameters - given.keys()):
            raise WarehouseError(f"give a value for {', '.join('$' + n for n in missing)}.")
        answer = connection.sql(sql, params=given) if given else connection.sql(sql)
        return _plain(answer.to_arrow_table()) if answer is not None else pl.DataFrame()
    except duckdb.InterruptException as error:
        raise WarehouseError("the statement ran out of its time: ask for less.") from error
    except duckdb.Error as error:
        raise WarehouseError(" ".join(str(error).split())) from error


def failed_checks(root: Path) -> dict[str, pl.DataFrame]:
    """Run sql/checks; return what each check that found something found."""
    with open_warehouse(root) as connection:
        found = {path.stem: run_file(connection, path) for path in sql_files("checks")}
    return {name: rows for name, rows in found.items() if rows.height}


def ask(root: Path, name: str, parameters: Mapping[str, object]) -> pl.DataFrame:
    """Answer the saved question `name`."""
    with open_warehouse(root) as connection:
        return run_file(connection, question(name), parameters)


def run_file(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    parameters: Mapping[str, object] | None = None,
) -> pl.DataFrame:
    try:
        return run(connection, path.read_text(), parameters)
    except WarehouseError as error:
        raise WarehouseError(f"{path}: {error}") from error


def question(name: str) -> Path:
    known = {path.stem: path for path in sql_files("questions")}
    if name not in known:
        raise WarehouseError(f"no question {name}: there are {', '.join(sorted(known))}.")
    return known[name]


def _settle(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    # Paths in SQL are relative to the lake; only this line knows where the lake is.
    connection.execute(f"SET file_search_path = {quoted(str(root.resolve()))}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET parquet_metadata_cache = true")  # files are replaced, never changed
    connection.execute("SET async_threads = 0")  # a local file is read before it is handed over
    connection.execute(SOUND)
    connection.execute(SPREAD)


def _sandbox(lake: Lake) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"temp_directory": "", "max_temp_directory_size": "0B"})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(SOUND)
    connection.execute(SPREAD)
    furnishing.furnish(connection, lake, snapshot(lake))
    for setting in (
        "enable_external_access = false",
        "python_enable_replacements = false",
        f"memory_limit = '{SANDBOX_MEMORY}'",
        "threads = 2",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _is_current(lake: Lake) -> bool:
    if not lake.warehouse.is_file():
        return False
    try:
        with duckdb.connect(lake.warehouse, read_only=True) as connection:
            found = dict(connection.execute("SELECT name, value FROM settings").fetchall())
    except duckdb.Error:
        return False
    return (
        found.get("made_from") == furnishing.ingredients(lake)
        and (lake.root / found["snapshot"]).is_dir()
    )


def _plain(answer: Any) -> pl.DataFrame:
    """DuckDB's sums of integers come as 38-digit decimals: integers again, where they fit."""
    frame = pl.from_arrow(answer)
    assert isinstance(frame, pl.DataFrame)
    whole = [n for n, t in frame.schema.items() if isinstance(t, pl.Decimal) and t.scale == 0]
    for name in whole:
        if frame[name].abs().max() is None or frame[name].abs().max() < 2**63:  # type: ignore[operator]
            frame = frame.with_columns(pl.col(name).cast(pl.Int64))
    return frame
