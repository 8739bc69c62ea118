"""Our hot paths beside their peers, on the same data in the same run: `make bench`.

Prints medians of CPU-seconds and the ratio peer / ours; larger is better for us. Nothing here
fails a test: machines differ, ratios hold.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import numpy as np
import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from transforms.coalesce import chains
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


def coalescing(events: int = 3_000_000, units: int = 12_500) -> None:
    generator = np.random.default_rng(1)
    unit = generator.integers(0, units, events)
    at_ms = np.sort(generator.integers(0, 90 * 86_400_000, events))
    frame = pl.DataFrame({"unit": unit, "at_ms": at_ms})
    warehouse = duckdb.connect()
    warehouse.register("events", frame.to_arrow())
    windows = f"""CREATE OR REPLACE TABLE out AS
        SELECT unit, at_ms, sum(starts) OVER (PARTITION BY unit ORDER BY at_ms) AS chain
        FROM (SELECT *, (at_ms - lag(at_ms) OVER (PARTITION BY unit ORDER BY at_ms) > {GAP_MS})::INT
              AS starts FROM events)"""
    late = pl.col("at_ms").diff().over("unit") > GAP_MS
    polars = frame.lazy().sort("unit", "at_ms").with_columns(late.cum_sum().over("unit").alias("n"))
    show(
        f"coalescing {events:,} events",
        cpu_seconds(lambda: chains(unit, at_ms, GAP_MS)),
        {
            "DuckDB windows": cpu_seconds(lambda: warehouse.execute(windows)),
            "Polars windows": cpu_seconds(polars.collect),
        },
        events,
        "events",
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
    scrapes()
    accounting()
