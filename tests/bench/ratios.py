"""Our hot paths beside their peers, on the same data in the same run: `make bench`.

Prints medians of CPU-seconds and the ratio peer / ours; larger is better for us. Nothing here
fails a test: machines differ, ratios hold.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import lifelines
import numpy as np
import pandas as pd
import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from transforms.coalesce import chains, latest_before
from transforms.reliability import survival
from transforms.sources.base import Origin
from transforms.sources.prometheus_text import SOURCE as PROMETHEUS
from transforms.sources.slurm_sacct import SOURCE as SACCT

ORIGIN = Origin(file="bench", modified=datetime(2026, 3, 15, tzinfo=UTC))
GAP_MS = 180_000


def cpu_seconds(work: Callable[[], object], runs: int = 3) -> float:
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def show(what: str, ours: float, peers: dict[str, float], count: int, unit: str) -> None:
    print(f"{what}: {count / ours / 1e6:.2f} million {unit} per CPU-second")
    for peer, theirs in peers.items():
        print(f"  {theirs / ours:8.1f}x {peer} ({theirs:.2f} against {ours:.2f} CPU-s)")


def quiet_warehouse() -> duckdb.DuckDBPyConnection:
    warehouse = duckdb.connect()
    warehouse.execute("SET enable_progress_bar = false")
    return warehouse


def coalescing(events: int = 10_000_000, units: int = 100_000) -> None:
    """Two years of signs, as logs bring them (in order of time) and shuffled; ties included."""
    generator = np.random.default_rng(1)
    unit = generator.integers(0, units, events)
    at_ms = np.sort(generator.integers(0, 730 * 86_400_000, events) // 1000 * 1000)
    chains(unit, at_ms, GAP_MS)  # compiled once
    for how, rows in (("in order", None), ("shuffled", generator.permutation(events))):
        u, at = (unit, at_ms) if rows is None else (unit[rows], at_ms[rows])
        frame = pl.DataFrame({"unit": u, "at_ms": at})
        warehouse = quiet_warehouse()
        warehouse.register("events", frame.to_arrow())
        windows = f"""CREATE OR REPLACE TABLE out AS
            SELECT unit, at_ms, sum(starts) OVER (PARTITION BY unit ORDER BY at_ms) AS chain
            FROM (SELECT *, coalesce(at_ms - lag(at_ms) OVER (PARTITION BY unit ORDER BY at_ms)
                  > {GAP_MS}, true)::INT AS starts FROM events)"""
        late = (pl.col("at_ms").diff() > GAP_MS).fill_null(True)
        polars = (
            frame.lazy()
            .sort("unit", "at_ms")
            .with_columns(late.cum_sum().over("unit").alias("chain"))
        )
        tables = pd.DataFrame({"unit": u, "at_ms": at})
        show(
            f"coalescing {events:,} events of {units:,} units, {how}",
            cpu_seconds(lambda: chains(u, at, GAP_MS)),  # noqa: B023
            {
                "DuckDB windows": cpu_seconds(lambda: warehouse.execute(windows)),  # noqa: B023
                "Polars windows": cpu_seconds(polars.collect),
                "pandas groupby": cpu_seconds(lambda: by_pandas(tables), 1),  # noqa: B023
            },
            events,
            "events",
        )
        by = np.lexsort((at, u))
        ours, units_in_order = chains(u, at, GAP_MS)[by], u[by]
        of_unit = ours - ours[np.searchsorted(units_in_order, units_in_order)] + 1
        found = warehouse.execute("SELECT chain FROM out ORDER BY unit, at_ms").fetchnumpy()
        assert (of_unit == found["chain"]).all()  # row by row, ties included


def by_pandas(events: pd.DataFrame) -> pd.Series:
    ordered = events.sort_values(["unit", "at_ms"], kind="stable")
    starts = ~(ordered.groupby("unit")["at_ms"].diff() <= GAP_MS)
    return starts.cumsum()


def attribution(rows: int = 10_000_000, units: int = 100_000) -> None:
    """The job that last began on the node before each sign: as-of join, both sides large."""
    generator = np.random.default_rng(2)
    unit, units_of = (generator.integers(0, units, rows) for _ in range(2))
    at, began = (np.sort(generator.integers(0, 730 * 86_400_000, rows)) for _ in range(2))
    latest_before(unit, at, units_of, began)  # compiled once
    warehouse = quiet_warehouse()
    warehouse.register("signs", pl.DataFrame({"unit": unit, "at_ms": at}).to_arrow())
    jobs = pl.DataFrame({"unit": units_of, "at_ms": began}).with_row_index("job")
    warehouse.register("jobs", jobs.to_arrow())
    joined = """CREATE OR REPLACE TABLE out AS SELECT s.unit, s.at_ms, j.at_ms AS began
        FROM signs s ASOF LEFT JOIN jobs j ON s.unit = j.unit AND s.at_ms >= j.at_ms"""
    show(
        f"incident to job, {rows:,} signs and {rows:,} jobs",
        cpu_seconds(lambda: latest_before(unit, at, units_of, began)),
        {"DuckDB ASOF": cpu_seconds(lambda: warehouse.execute(joined))},
        rows,
        "signs",
    )
    found = latest_before(unit, at, units_of, began)
    ours = int(np.where(found >= 0, began[found], 0).sum()), int((found >= 0).sum())
    assert warehouse.execute("SELECT sum(began), count(began) FROM out").fetchone() == ours


def lives(units: int = 200_000) -> None:
    generator = np.random.default_rng(3)
    entries = np.round(generator.uniform(0, 300, units), 1)
    exits = np.round(entries + 400 * generator.weibull(0.9, units), 1) + 0.1
    ends = exits < 700
    fitter = lifelines.KaplanMeierFitter()
    show(
        f"Kaplan-Meier with limits, {units:,} lives, left truncated",
        cpu_seconds(lambda: survival.curve(exits, ends, entries)),
        {"lifelines": cpu_seconds(lambda: fitter.fit(exits, ends, entry=entries))},
        units,
        "lives",
    )


def scrapes(gpus: int = 20_000) -> None:
    names = ("SM_CLOCK", "MEM_CLOCK", "GPU_TEMP", "MEMORY_TEMP", "POWER_USAGE", "GPU_UTIL")
    lines = [
        f'DCGM_FI_DEV_{name}{{gpu="{i % 8}",UUID="GPU-{i:08}",Hostname="n{i // 8}"}} {40 + i % 50}'
        for name in names
        for i in range(gpus)
    ]
    text = "\n".join(lines) + "\n"
    data = text.encode()
    show(
        f"Prometheus text, {len(lines):,} samples by the exact path",
        cpu_seconds(lambda: PROMETHEUS.parse(data, ORIGIN)),
        {"prometheus_client": cpu_seconds(lambda: list(text_string_to_metric_families(text)))},
        len(lines),
        "samples",
    )


def accounting(rows: int = 200_000) -> None:
    header = "JobID|Submit|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES"
    body = "\n".join(
        f"{i}|2026-03-02T08:00:00|2026-03-02T08:01:00|2026-03-02T09:00:00|COMPLETED|0:0|2|"
        f"n[{i % 500:03}-{i % 500 + 1:03}]|billing=16,gres/gpu=16,node=2"
        for i in range(rows)
    )
    data = f"{header}\n{body}\n".encode()
    show(
        f"sacct, {rows:,} rows to attempts",
        cpu_seconds(lambda: SACCT.parse(data, ORIGIN)),
        {
            "polars read_csv of the same bytes, all text": cpu_seconds(
                lambda: pl.read_csv(data, separator="|", infer_schema=False)
            )
        },
        rows,
        "rows",
    )


if __name__ == "__main__":
    coalescing()
    attribution()
    lives()
    scrapes()
    accounting()
