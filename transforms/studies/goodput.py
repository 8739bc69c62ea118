"""What share of their GPU time did runs keep, and how sure is that (G-11)?

A run is one draw: its goodput has no sampling error, only bounds of what was measured, from the
provisional tail lost to all unknown time kept. The mean over runs has both; its interval is a
bootstrap over runs, each with its GPU-hours. Where logs cover less than 95 % of the allocated time
there are bounds and no point.
"""

import numpy as np
import polars as pl

from transforms.ledger.readouts import KEPT, NOT_ALLOCATED
from transforms.reliability.coverage import ENOUGH
from transforms.studies.base import Asked, RefusalError, Study, number
from transforms.tables import derived as d

DRAWS = 2_000
FEWEST_RUNS = 5
"""Of fewer runs a bootstrap tells nothing."""
HOUR_MS = 3_600_000


def goodput(asked: Asked, *, run_time: pl.DataFrame) -> pl.DataFrame:
    """One row for all runs (scope `all`), then one per run that logs steps, the largest first.

    gpu_hours      measured: what the run held and waited for, without attempts that log no steps
    goodput        kept / measured; null below 95 % coverage; _lo and _hi the bounds of measurement
    sampled_lo,_hi interval at the asked level of the mean over runs; null for one run, or few
    coverage       share of allocated time of which the logs say what it was
    """
    draws = int(number(asked, "draws", DRAWS, 100, 100_000))
    runs = _measured(run_time)
    if runs.is_empty():
        raise RefusalError("no run logged its steps on the days asked: give training logs")
    sums = ("kept", "provisional", "unknown", "measured", "allocated")
    whole = runs.select(pl.lit("all").alias("scope"), pl.lit("").alias("cluster"),
                        pl.lit("").alias("run"), pl.len().alias("runs"), *(pl.col(n).sum() for n in sums)).head(1)  # fmt: skip
    each = runs.sort("measured", "cluster", "run", descending=[True, False, False]).select(
        pl.lit("run").alias("scope"), "cluster", "run", pl.lit(1).alias("runs"), *sums
    )
    low, high = _resampled(runs, draws, asked.level, asked.seed)
    is_all = pl.col("scope") == "all"
    known = pl.col("coverage") >= ENOUGH
    return (
        pl.concat([whole.cast({"runs": pl.Int64}), each.cast({"runs": pl.Int64})])
        .with_columns(
            gpu_hours=pl.col("measured") / HOUR_MS,
            coverage=1 - pl.col("unknown") / pl.col("allocated"),
            goodput=pl.col("kept") / pl.col("measured"),
            goodput_lo=(pl.col("kept") - pl.col("provisional")) / pl.col("measured"),
            goodput_hi=(pl.col("kept") + pl.col("unknown")) / pl.col("measured"),
        )
        .select(
            "scope", "cluster", "run", "runs", "gpu_hours",
            pl.when(known).then("goodput").alias("goodput"),
            "goodput_lo", "goodput_hi",
            pl.when(is_all).then(pl.lit(low, pl.Float64)).alias("sampled_lo"),
            pl.when(is_all).then(pl.lit(high, pl.Float64)).alias("sampled_hi"),
            "coverage",
            pl.lit(asked.level).alias("level"),
        )
    )  # fmt: skip


def _measured(run_time: pl.DataFrame) -> pl.DataFrame:
    """GPU-ms of each run with a logged attempt: kept, provisional, unknown, measured, allocated."""
    leaf = pl.col("leaf").cast(pl.String)
    ms = pl.col("gpu_ms")
    unmeasured = leaf == "not_measured"
    return (
        run_time.group_by("cluster", "run")
        .agg(
            ms.filter(leaf.is_in(KEPT)).sum().alias("kept"),
            ms.filter("provisional").sum().alias("provisional"),
            ms.filter(leaf == "unknown").sum().alias("unknown"),
            ms.filter(~unmeasured).sum().alias("measured"),
            ms.filter(~unmeasured & ~leaf.is_in(NOT_ALLOCATED)).sum().alias("allocated"),
        )
        .filter(pl.col("allocated") > 0)
        .sort("cluster", "run")
    )


def _resampled(
    runs: pl.DataFrame, draws: int, level: float, seed: int
) -> tuple[float | None, float | None]:
    """Percentile interval of sum of kept over sum of measured, over runs drawn with replacement."""
    if len(runs) < FEWEST_RUNS:
        return None, None
    kept, measured = (runs[name].to_numpy().astype(float) for name in ("kept", "measured"))
    chosen = np.random.default_rng(seed).integers(0, len(runs), (draws, len(runs)))
    shares = kept[chosen].sum(axis=1) / measured[chosen].sum(axis=1)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


STUDY = Study(
    name="goodput",
    title="Share of GPU time kept by all runs and by each, with bounds and a bootstrap over runs",
    reads=(d.RUN_TIME,),
    by=goodput,
)
