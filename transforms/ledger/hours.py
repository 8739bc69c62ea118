"""How much of each hour a run kept: what a sliding ETTR is made of (methods 4.1, G-6).

A mean over a whole run hides its bad hours; an hour by itself shows them.
"""

import numpy as np
import polars as pl

from transforms.ledger.readouts import KEPT
from transforms.ledger.timeline import DAY_MS, cut
from transforms.tables.derived import RUN_HOURS

HOUR_MS = 3_600_000


def run_hours(slices: pl.DataFrame) -> pl.DataFrame:
    """GPU-ms of each run and hour: all, of it waits in a queue, of it kept steps.

    `slices` have began, ended (ms), leaf, gpus, cluster and run; an hour of a run without any is
    left out. Attempts that log no steps are outside goodput, and so outside of this.
    """
    measured = slices.filter(pl.col("leaf").cast(pl.String) != "not_measured")
    if measured.is_empty():
        return RUN_HOURS.empty()
    first, last = int(measured["began"].min()), int(measured["ended"].max())  # type: ignore[arg-type]
    hours = np.arange(first // HOUR_MS + 1, last // HOUR_MS + 1) * HOUR_MS
    spent = (pl.col("ended") - pl.col("began")) * pl.col("gpus")
    leaf = pl.col("leaf").cast(pl.String)
    return RUN_HOURS.conform(
        cut(measured, hours, per_line=False)
        .with_columns(hour=pl.col("began") // HOUR_MS * HOUR_MS)
        .group_by("cluster", "run", "hour")
        .agg(
            spent.sum().cast(pl.Int64).alias("wall_gpu_ms"),
            spent.filter(leaf == "queue_wait").sum().cast(pl.Int64).alias("queue_wait_gpu_ms"),
            spent.filter(leaf.is_in(KEPT)).sum().cast(pl.Int64).alias("kept_gpu_ms"),
        )
        .filter(pl.col("wall_gpu_ms") > 0)
        .with_columns(
            day=(pl.col("hour") // DAY_MS).cast(pl.Int32).cast(pl.Date),
            hour=pl.from_epoch(pl.col("hour") * 1000, "us").dt.replace_time_zone("UTC"),
        )
        .select(RUN_HOURS.dtypes.names())
        .sort(RUN_HOURS.key)
    )
