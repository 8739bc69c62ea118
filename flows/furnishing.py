"""What is in faultledger.duckdb: tables, settings, macros and views, with their comments.

Nearly all of it is the same for every lake, and takes two thousand statements to say. It is said
once, in the database of a lake without a row (`blank`), which is kept beside the compiled code;
a lake's own is a copy of it, in which only the tables that have rows and the settings are anew.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import polars as pl

from flows import mfu_settings, settings, tables_in_sql
from flows.atomic import publish
from flows.errors import CallError
from flows.lake import Lake
from flows.looks import look
from flows.parquet_views import quoted
from flows.settings import Settings
from flows.share import header, sql_files
from flows.snapshots import Snapshot
from transforms import eras, tables
from transforms.reasons import REASONS_VERSION

STORAGE = "v1.0.0"  # older DuckDB clients open it
DAY_S = 86_400


class WarehouseError(CallError):
    """A statement or a SQL file cannot be run; the message is one line."""


@contextmanager
def attached(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database in the file, made where there is none, to be written to."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {quoted(str(path))} AS w (STORAGE_VERSION '{STORAGE}')")
        connection.execute("USE w")
        yield connection
        connection.execute("CHECKPOINT w")


def blank(spare: Path) -> Path:
    """The database of a lake without a row, as this code makes it; made where there is none yet.

    It lies with the code's own compiled files or, where these may not be written, in `spare`.
    """

    def build(draft: Path) -> None:
        draft.unlink()
        with attached(draft) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.begin()
            for table in tables.ALL:
                tables_in_sql.put_empty(connection, table)
            connection.commit()
            _finish(connection, Settings(), {})

    homes = (Path(__file__).parent / "__pycache__", spare)
    paths = [home / f"blank-{_told_by_code()}.duckdb" for home in homes]
    for path in paths:
        if path.is_file():
            return path
    for path in paths:
        try:
            publish(path, path.parent, build)
        except OSError:
            continue
        _forget(path)
        return path
    raise WarehouseError(f"{spare}: cannot be written, and the warehouse is made there.")


def _forget(path: Path) -> None:
    """Remove what other versions of the code made and nobody can be copying any more."""
    now = path.stat().st_mtime
    for old in path.parent.glob("blank-*.duckdb"):
        if old.stat().st_mtime < now - DAY_S:
            old.unlink(missing_ok=True)


def fill(connection: duckdb.DuckDBPyConnection, lake: Lake, frozen: Snapshot, stage: Path) -> None:
    """Put a lake's tables and settings into a copy of the blank database, which looks for files in
    the empty folder `stage`."""
    looks = look(lake, tables.ALL, frozen)
    is_as_promised = True
    connection.begin()
    for table in tables.ALL:
        if looks[table]:
            promised = tables_in_sql.described(connection, table.name)
            connection.execute(f"DROP TABLE {table.name}")
            tables_in_sql.put_files(connection, table, frozen.lake, looks[table], stage)
            is_as_promised &= tables_in_sql.described(connection, table.name) == promised
    if not is_as_promised:  # views remember the types that they were made over
        _put_views(connection)
    connection.commit()
    _put_settings(connection, settings.load(lake.root), _facts(lake, frozen))


def furnish(connection: duckdb.DuckDBPyConnection, lake: Lake, frozen: Snapshot) -> None:
    """Put everything in place in an empty database that is to reach no file by its path."""
    looks = look(lake, tables.ALL, frozen)
    connection.begin()  # hundreds of comments in one go
    for table in tables.ALL:
        tables_in_sql.put_datasets(connection, table, frozen.lake, looks[table])
    connection.commit()
    _finish(connection, settings.load(lake.root), _facts(lake, frozen))


def _finish(connection: duckdb.DuckDBPyConnection, said: Settings, facts: dict[str, str]) -> None:
    from transforms.poisson import poisson_limits  # a query need not wait for scipy

    tables_in_sql.put_native(connection, "poisson_limits", poisson_limits())
    _put_settings(connection, said, facts)
    define_macros(connection)
    connection.begin()
    _put_views(connection)
    connection.commit()


def _facts(lake: Lake, frozen: Snapshot) -> dict[str, str]:
    return {
        "snapshot": frozen.folder.as_posix(),
        "made_from": ingredients(lake),
        "reasons_version": REASONS_VERSION,
    }


def _put_settings(
    connection: duckdb.DuckDBPyConnection, said: Settings, facts: dict[str, str]
) -> None:
    told: dict[str, pl.DataFrame] = {
        "prices": settings.price_rows(said),
        "calendar": settings.calendar_rows(said),
        "models": mfu_settings.model_rows(said.models),
        "peaks": mfu_settings.peak_rows(said.peaks),
        "settings": settings.rows(said, facts),
    }
    for name, rows in told.items():
        tables_in_sql.put_native(connection, name, rows)


def _put_views(connection: duckdb.DuckDBPyConnection) -> None:
    for path in sql_files("views"):
        _execute(connection, f"CREATE OR REPLACE VIEW {path.stem} AS\n{path.read_text()}", path)
        about = quoted(header(path))
        connection.execute(f"COMMENT ON VIEW {path.stem} IS {about}")


def define_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Macros may use each other: those that find theirs missing wait for the next round."""
    waiting = sql_files("macros")
    while waiting:
        failed: list[Path] = []
        for path in waiting:
            try:
                connection.execute(path.read_text())
            except duckdb.CatalogException:
                failed.append(path)
        if len(failed) == len(waiting):
            _execute(connection, failed[0].read_text(), failed[0])
        waiting = failed


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        raise WarehouseError(f"{path}: {' '.join(str(error).split())}") from error


def ingredients(lake: Lake) -> str:
    """A hash of all that the warehouse is made from beside the rows: SQL, dictionary, settings."""
    digest = hashlib.sha256(_of_every_lake().encode())
    path = lake.root / settings.FILE
    if path.is_file():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _of_every_lake() -> str:
    digest = hashlib.sha256(STORAGE.encode())
    for path in [*sql_files("macros"), *sql_files("views")]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(_dictionary())
    return digest.hexdigest()


@cache
def _dictionary() -> bytes:
    said = [(t.name, t.grain, t.meanings, t.dtypes) for t in tables.ALL]
    return repr(said).encode()


def _told_by_code() -> str:
    """A hash of all that a blank database is made from."""
    digest = hashlib.sha256(f"{_of_every_lake()} {duckdb.__version__}".encode())
    rules = Path(eras.__file__)
    for path in [*sorted(Path(__file__).parent.glob("*.py")), rules, rules.with_name("poisson.py")]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]
