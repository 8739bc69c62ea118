"""Where did the GPUs' time go: of each provider, hall, partition or account (methods 4.2, G-6)?

The fleet's ledger summed by where the GPUs stand and by who asked for them. What each group's columns
tell adds up to its capacity, exactly; free GPUs and those out of service belong to no partition and
no account, and have a row of their own.
"""

import polars as pl

from transforms.ledger.hours import HOUR_MS
from transforms.ledger.readouts import KEPT, WAITS
from transforms.studies.base import Asked, RefusalError, Study
from transforms.studies.rates import by_columns
from transforms.tables import derived as d

PLACES = ("cluster", "provider", "hall")
ASKERS = ("partition", "account")
APART = {
    "idle": ("idle", "spare"),
    "waiting": WAITS,
    "down": ("down",),
    "maintenance": ("maintenance",),
    "unobserved": ("unobserved",),
    "not_measured": ("not_measured",),
    "unknown": ("unknown",),
}
"""Columns beside `kept`, and the leaves that each sums; what is left is `lost`."""


def fleet_goodput(
    asked: Asked, *, gpu_time: pl.DataFrame, run_attempts: pl.DataFrame
) -> pl.DataFrame:
    """One row per group of `asked.options["by"]`, the largest first; GPU-hours beside the shares.

    gpu_hours              the group's capacity: the sum of all that end in _gpu_hours
    goodput                kept / capacity; _lo if the provisional steps were lost, _hi if all
                           unknown time had been kept
    fleet_goodput          ideal / capacity (methods G-6)
    A partition or an account is that of a run's last attempt; null for time of no run.
    """
    by = by_columns(asked, (*PLACES, *ASKERS))
    if gpu_time.is_empty():
        raise RefusalError("no GPU time on the days asked: give an inventory and scheduler records")
    rows = _asked_for(gpu_time, run_attempts) if {*by} & {*ASKERS} else gpu_time
    rows = rows.with_columns(
        pl.col(name).replace("", None) for name in by if name in ("provider", "hall")
    )
    ms, leaf = pl.col("gpu_ms"), pl.col("leaf").cast(pl.String)
    sums = {
        "all": ms.sum(),
        "ideal": ms.filter(leaf == "ideal").sum(),
        "provisional": ms.filter("provisional").sum(),
        "kept": ms.filter(leaf.is_in(KEPT)).sum(),
        **{name: ms.filter(leaf.is_in(leaves)).sum() for name, leaves in APART.items()},
    }
    named = ("kept", "lost", *APART)
    whole = pl.col("all")
    return (
        rows.group_by(by)
        .agg(**sums)
        .with_columns(lost=whole - pl.sum_horizontal("kept", *APART))
        .sort("all", *by, descending=[True, *(False for _ in by)], nulls_last=True)
        .select(
            *by,
            (whole / HOUR_MS).alias("gpu_hours"),
            (pl.col("kept") / whole).alias("goodput"),
            ((pl.col("kept") - pl.col("provisional")) / whole).alias("goodput_lo"),
            ((pl.col("kept") + pl.col("unknown")) / whole).alias("goodput_hi"),
            (pl.col("ideal") / whole).alias("fleet_goodput"),
            *((pl.col(name) / HOUR_MS).alias(f"{name}_gpu_hours") for name in named),
        )
    )


def _asked_for(gpu_time: pl.DataFrame, run_attempts: pl.DataFrame) -> pl.DataFrame:
    """Add the partition and account of each run, as its last attempt says (view `account_time`)."""
    last = (
        run_attempts.sort("submitted")
        .group_by("cluster", "run", maintain_order=True)
        .agg(pl.col(ASKERS).last())
    )
    # A job's records may name no cluster where its nodes' records do.
    unnamed = last.filter(pl.col("cluster") == "").drop("cluster")
    return (
        gpu_time.join(last, on=["cluster", "run"], how="left")
        .join(unnamed, on="run", how="left", suffix="_unnamed")
        .with_columns(pl.coalesce(name, f"{name}_unnamed").alias(name) for name in ASKERS)
    )


STUDY = Study(
    name="fleet_goodput",
    title="GPU time of the fleet by provider, hall, partition or account: kept, lost, idle, out of service",
    reads=(d.GPU_TIME, d.RUN_ATTEMPTS),
    by=fleet_goodput,
)
