"""Every view answers every case under tests/cases/sql/<view>/ as its golden file says.

A case holds <table>.csv for each table that has rows, and expected.csv. Instants are ISO with Z,
lists are joined by `;`. Only the columns that expected.csv names are compared; rows keep the
view's own order.
"""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows import mfu_settings, settings
from flows.furnishing import define_macros
from transforms import tables
from transforms.poisson import poisson_limits

ROOT = Path(__file__).resolve().parents[1]
SQL = ROOT / "sql"
NATIVE = {
    "poisson_limits": poisson_limits(),
    "prices": settings.price_rows(settings.Settings()),
    "calendar": settings.calendar_rows(settings.Settings()),
    "models": mfu_settings.model_rows(()),
    "peaks": mfu_settings.peak_rows(()),
    "settings": settings.rows(settings.Settings(), {}),
}
CASES = sorted(p.parent for p in (ROOT / "tests" / "cases" / "sql").glob("*/*/expected.csv"))


def typed(text: pl.DataFrame, dtypes: pl.Schema) -> pl.DataFrame:
    """Cast a frame of strings to `dtypes`; an absent column is null."""
    cells = []
    for name, dtype in dtypes.items():
        cell = pl.col(name) if name in text.columns else pl.lit(None, pl.String).alias(name)
        if isinstance(dtype, pl.List):
            cell = cell.str.split(";").cast(dtype)
        elif isinstance(dtype, pl.Datetime):
            cell = cell.str.to_datetime("%+", time_unit="us", time_zone="UTC")
        elif dtype == pl.Date:
            cell = cell.str.to_date("%Y-%m-%d")
        elif dtype == pl.Boolean:
            cell = cell == "true"
        else:
            cell = cell.cast(dtype)
        cells.append(cell.alias(name))
    return text.select(cells)


def warehouse(frames: dict[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with every table of the dictionary, the limits, prices and macros."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/New_York'")  # no view may lean on the session's
    empty = {table.name: table.empty() for table in tables.ALL} | NATIVE
    for name, frame in (empty | frames).items():
        # Enums are text once they have been through Parquet.
        connection.register("rows", frame.cast({pl.Enum: pl.String}).to_arrow())
        connection.execute(f"CREATE TABLE {name} AS FROM rows")
    define_macros(connection)
    return connection


def rows_of(path: Path) -> pl.DataFrame:
    """Rows of the table that the file is named after."""
    text = pl.read_csv(path, infer_schema=False)
    dtypes = NATIVE[path.stem].schema if path.stem in NATIVE else tables.BY_NAME[path.stem].dtypes
    # CSV cannot tell '' from null: a column that takes no null means ''.
    said = tables.BY_NAME[path.stem].schema.columns() if path.stem in tables.BY_NAME else {}
    words = [n for n, c in said.items() if dtypes[n] == pl.String and not c.nullable]
    unknown = set(text.columns) - set(dtypes)
    assert not unknown, f"{path} has columns that {path.stem} has not: {sorted(unknown)}"
    return typed(text, dtypes).with_columns(pl.col(words).fill_null(""))


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    found = found.select(expected.columns)
    strings = [c for c in found.columns if isinstance(found.schema[c], pl.Enum | pl.Categorical)]
    found = found.with_columns(pl.col(strings).cast(pl.String))
    assert found.height == expected.height, f"{found.height} rows: {found}"
    for name in expected.columns:
        wanted = typed(expected.select(name), pl.Schema({name: found.schema[name]}))[name]
        for row, (x, y) in enumerate(zip(found[name], wanted, strict=True)):
            if isinstance(y, float) and x is not None:
                y = pytest.approx(y, rel=1e-9, abs=1e-12)
            assert x == y, f"row {row + 1}, {name}: {x!r}, expected {y!r}"


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_case(case):
    name = case.parent.name
    frames = {path.stem: rows_of(path) for path in case.glob("*.csv") if path.stem != "expected"}
    connection = warehouse(frames)
    kind = "views" if (SQL / "views" / f"{name}.sql").exists() else "checks"
    answer = connection.sql((SQL / kind / f"{name}.sql").read_text())
    found = pl.DataFrame(answer.to_arrow_table())
    same(found, pl.read_csv(case / "expected.csv", infer_schema=False))


@pytest.mark.parametrize(
    "path", sorted((*SQL.glob("views/*.sql"), *SQL.glob("checks/*.sql"))), ids=lambda p: p.stem
)
def test_it_runs_on_an_empty_lake_and_can_be_a_view(path):
    connection = warehouse({})
    connection.execute(f"CREATE VIEW answer AS {path.read_text()}")
    connection.execute("FROM answer").fetchall()


@pytest.mark.parametrize("path", sorted(SQL.glob("views/*.sql")), ids=lambda p: p.stem)
def test_view_has_a_case(path):
    assert any(case.parent.name == path.stem for case in CASES), f"tests/cases/sql/{path.stem}/"
