"""One division made twice, in SQL and in Polars: the same integers, the same floats to 1e-12."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from flows.furnishing import define_macros
from transforms import mtbf, tables
from transforms.poisson import count_limits, poisson_limits
from transforms.repair_times import repair_times

SQL = Path(__file__).resolve().parents[1] / "sql"
UNITS = {
    "fleet_rates": ["cluster"],
    "node_rates": ["cluster", "node"],
    "weekly_rates": ["week", "cluster"],
}
CLASSES = ("GPU", "NVLink", "Network", "Host")
HOUR_MS = 3_600_000
FIRST = date(2025, 12, 20)  # across a year's end and an ISO week 53


def lake(seed: int, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Random failures and exposure: gaps, nodes without exposure, three clusters, two definitions."""
    random = np.random.default_rng(seed)
    size = 300
    days = [FIRST + timedelta(days=int(k)) for k in random.integers(0, 40, size)]
    places = {
        "day": days,
        "cluster": random.choice(["", "x", "y"], size),
        "node": random.choice(list("abcdefgh"), size),
    }
    wall = random.integers(1, mtbf.DAY_MS + 1, size)
    parts = np.sort(random.integers(0, wall[:, None] + 1, (size, 3)), axis=1)
    exposure = pl.DataFrame(
        places
        | {"gpus": np.full(size, 8), "wall_ms": wall, "in_service_ms": parts[:, 0]}
        | {"allocated_ms": parts[:, 0] * random.integers(0, 2, size)}
        | {"down_ms": parts[:, 1] - parts[:, 0], "planned_down_ms": parts[:, 2] - parts[:, 1]}
        | {"unobserved_ms": wall - parts[:, 2], "gpu_capacity_ms": wall * 8}
        | dict.fromkeys(("provider", "hall", "rack"))
    ).unique(["day", "cluster", "node"], keep="first", maintain_order=True)
    failures = pl.DataFrame(
        places
        | {"class": random.choice(CLASSES, size), "component": random.choice(["u", "v"], size)}
        | {"definition": random.choice(["coalesced-180s", "as-recorded"], size, p=[0.8, 0.2])}
        | {"failures": random.integers(1, most, size)}
    ).sample(120, seed=seed)
    failures = failures.filter(
        (pl.col("cluster") != "y") | (pl.col("definition") == "coalesced-180s")
    ).unique(tables.BY_NAME["failures"].key, keep="first", maintain_order=True)
    moved = pl.when(pl.col("node") == "h").then(pl.lit("ghost")).otherwise("node").alias("node")
    return _typed("failures", failures.with_columns(moved)), _typed("exposure", exposure)


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    dtypes = tables.BY_NAME[name].dtypes
    return frame.select(pl.col(n).cast(t) for n, t in dtypes.items())


def connect(**frames: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    frames["poisson_limits"] = poisson_limits()
    for name, frame in frames.items():
        connection.register("rows", frame.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS FROM rows")
    define_macros(connection)
    return connection


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    return pl.DataFrame(connection.sql(sql).to_arrow_table())


@pytest.mark.parametrize("view", UNITS)
@pytest.mark.parametrize("seed", range(3))
def test_views_and_polars_divide_alike(view, seed):
    failures, exposure = lake(seed, most=9)
    connection = connect(failures=failures, exposure=exposure)
    by_sql = answer(connection, (SQL / "views" / f"{view}.sql").read_text())
    by_polars = mtbf.rates(failures, exposure, UNITS[view])
    assert by_sql.columns == by_polars.columns
    assert by_sql.height == by_polars.height > 20
    for name, dtype in by_polars.schema.items():
        if dtype == pl.Float64:
            gap = (by_sql[name] - by_polars[name]).abs() / by_polars[name].abs()
            assert by_sql[name].null_count() == by_polars[name].null_count(), name
            assert (gap.fill_nan(0).max() or 0) <= 1e-12, name
        else:
            assert by_sql[name].to_list() == by_polars[name].to_list(), name


def test_beyond_the_table_sql_stays_within_the_stated_error():
    counts = np.array([20_000, 20_001, 50_000, 1_000_000])
    lower, upper = count_limits(counts)
    asked = pl.DataFrame({"failures": counts})  # the very name of the table's own column
    question = "SELECT poisson_lo(failures) AS lo, poisson_hi(failures) AS hi FROM asked"
    by_sql = answer(connect(asked=asked), question)
    assert by_sql["lo"].to_list() == pytest.approx(lower.tolist(), rel=6e-9)
    assert by_sql["hi"].to_list() == pytest.approx(upper.tolist(), rel=6e-9)
    assert by_sql.row(0) == (lower[0], upper[0])


@pytest.mark.parametrize("seed", range(4))
def test_repair_times_agree_with_open_repairs_among_them(seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 40))
    hours = random.integers(0, 30, size)  # ties on purpose
    is_open = random.random(size) < 0.25
    # All end, or are still open, 40 h after the first midnight: the last instant observed.
    last = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC) + timedelta(hours=40)
    spells = [
        {"cluster": "x", "node": str(k), "day": FIRST, "planned": False}
        | {"down_from": last - timedelta(hours=int(h)), "up_again": None if o else last}
        for k, (h, o) in enumerate(zip(hours, is_open, strict=True))
    ]
    repairs = pl.DataFrame(spells, schema=tables.BY_NAME["repairs"].dtypes)
    seen = {"day": FIRST + timedelta(days=1), "cluster": "x", "node": "0", "wall_ms": 16 * HOUR_MS}
    exposure = pl.DataFrame([seen], schema=tables.BY_NAME["exposure"].dtypes)
    connection = connect(
        repairs=repairs,
        exposure=exposure,
        fleet=tables.BY_NAME["fleet"].empty(),
        outages=tables.BY_NAME["outages"].empty(),
    )
    (row,) = answer(connection, (SQL / "views" / "repair_times.sql").read_text()).to_dicts()
    truth = repair_times(hours.tolist(), is_open.tolist())
    assert (row["repairs"], row["open"]) == (truth.n, truth.open)
    for sql, python in (("mean_hours", "mean"), ("median_hours", "median"), ("p90_hours", "p90")):
        wanted = getattr(truth, python)
        assert row[sql] == (None if np.isnan(wanted) else pytest.approx(wanted, rel=1e-12)), sql
