"""How often should a run save (C-7)? What it does now against what would keep most.

    stall_s       median time that a save blocked training (delta)
    interval_s    median productive time from one save to the next (tau)
    between_h     productive hours per unplanned stop (M), with its exact interval
    recovery_min  mean time from last progress to the first new step (R), over those stops
    persist_s     median time from letting go to durable: work since then is lost too (C-4)

A run that stopped fewer than five times borrows from the others: its rate per GPU-hour is drawn
towards that of all runs, as if one more stop of theirs had been seen. A change is advised only
where it gains at both ends of the interval of M.
"""

import numpy as np
import polars as pl
from scipy import stats

from transforms import checkpoint_theory as theory
from transforms.mtbf import mean_time_between
from transforms.studies.base import Asked, RefusalError, Study
from transforms.tables import derived as d
from transforms.tables import observed as o

FEW = 5
RUN = ["cluster", "run"]
HOUR_S = 3600.0
WEEK_H = 168
CURVE = np.geomspace(0.2, 5, 301)
"""Intervals of a curve, as multiples of the best."""


def checkpoint(
    asked: Asked,
    *,
    run_time: pl.DataFrame,
    run_attempts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    interruptions: pl.DataFrame,
) -> pl.DataFrame:
    """One row per run that saves: what is, what would be best, what that gains a week.

    With option `at` = curve: the share kept at intervals around the best (run, interval_min, ettr
    with _lo and _hi from M's interval), for a picture.
    """
    facts = _facts(run_time, run_attempts, checkpoints, interruptions)
    if wanted := asked.options.get("run", ""):
        facts = facts.filter(pl.col("run") == wanted)
    if facts.is_empty():
        who = f"run {wanted!r}" if wanted else "no run"
        raise RefusalError(
            f"{who} logs both steps and saves twice in a row in the days asked: it takes both"
        )
    rows = [_advice(row, asked.level) for row in facts.iter_rows(named=True)]
    if asked.options.get("at") == "curve":
        return pl.concat([_curve(row) for row in rows])
    return pl.DataFrame(rows, infer_schema_length=None).sort(
        "gpus", "run", descending=[True, False]
    )


def _facts(
    run_time: pl.DataFrame,
    run_attempts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    interruptions: pl.DataFrame,
) -> pl.DataFrame:
    """Of each run: gpus, productive_h, saves, stall_s, interval_s, persist_s, stops, recovery_s."""
    leaf = pl.col("leaf").cast(pl.String)
    size = run_attempts.group_by(RUN).agg(pl.col("gpus").max())
    kept = run_time.filter(leaf.is_in(["ideal", "slow", "step_lost"])).group_by(RUN)
    productive = kept.agg(pl.col("gpu_ms").sum()).join(size, on=RUN)
    of_day = interruptions.filter(~pl.col("planned"))
    back = (pl.col("resumed_at") - pl.col("failed_at")).dt.total_milliseconds() / 1000
    stops = of_day.group_by(RUN).agg(pl.len().alias("stops"), back.mean().alias("recovery_s"))
    everywhere = checkpoints["cluster"] == ""
    # Logs need not name their cluster; a run's name then tells.
    saved = _saves(checkpoints)
    on = RUN if not everywhere.all() else ["run"]
    return (
        productive.join(saved.drop("cluster") if on == ["run"] else saved, on=on)
        .join(stops, on=RUN, how="left")
        .with_columns(
            pl.col("stops").fill_null(0),
            productive_h=pl.col("gpu_ms") / pl.col("gpus") / 3.6e6,
            gpu_h=pl.col("gpu_ms") / 3.6e6,
        )
        .with_columns(
            fleet_stops=pl.col("stops").sum(),
            fleet_gpu_h=pl.col("gpu_h").sum(),
            fleet_recovery_s=pl.col("recovery_s").mean(),
        )
        .drop("gpu_ms")
    )


def _saves(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Per run: saves, and medians (s) of their stall, their distance less the stall, and the rest."""
    writer = [*RUN, "job_id", "restart"]
    stall = (pl.col("block_ended") - pl.col("began")).dt.total_milliseconds() / 1000
    persist = (pl.col("durable_at") - pl.col("block_ended")).dt.total_milliseconds() / 1000
    apart = (
        pl.col("began").shift(-1).over(writer) - pl.col("began")
    ).dt.total_milliseconds() / 1000
    return (
        checkpoints.filter(pl.col("kind").cast(pl.String) == "save")
        .sort(*writer, "began")
        .with_columns(stall_s=stall, persist_s=persist, interval_s=apart - stall)
        .group_by(RUN)
        .agg(
            pl.len().alias("saves"),
            pl.col("stall_s").median(),
            pl.col("interval_s").filter(pl.col("interval_s") > 0).median(),
            pl.col("persist_s").clip(0).median().fill_null(0),
        )
        .drop_nulls(["stall_s", "interval_s"])
    )


def _advice(run: dict, level: float) -> dict:
    between = _between_h(run, level)
    stall, persist = max(run["stall_s"], 1e-3), run["persist_s"]
    recovery = run["recovery_s"] or run["fleet_recovery_s"]
    told = {
        "cluster": run["cluster"], "run": run["run"], "gpus": run["gpus"], "saves": run["saves"],
        "stall_s": run["stall_s"], "persist_s": persist, "interval_s": run["interval_s"],
        "stops": run["stops"], "productive_h": run["productive_h"],
    }  # fmt: skip
    if between is None or recovery is None:
        return told | dict.fromkeys(NUMBERS) | {"advice": "no run has stopped: nothing to weigh"}
    middle, low, high = (hours * HOUR_S for hours in between[:3])
    best = max(theory.best_interval(stall, middle), persist)

    def kept(interval: float, m: float) -> float:
        return float(theory.ettr(interval, stall, m, recovery + persist))

    gains = [
        (kept(best, m) - kept(run["interval_s"], m)) * run["gpus"] * WEEK_H
        for m in (middle, low, high)
    ]
    is_gain = min(gains[1:]) > 0
    direction = "more often" if best < run["interval_s"] else "less often"
    return told | {
        "between_h": between[0], "between_h_lo": between[1], "between_h_hi": between[2],
        "is_borrowed": between[3], "recovery_min": recovery / 60, "best_s": best,
        "best_s_lo": max(theory.best_interval(stall, low), persist),
        "best_s_hi": max(theory.best_interval(stall, high), persist),
        "ettr_now": kept(run["interval_s"], middle), "ettr_best": kept(best, middle),
        "gain_gpu_h_week": gains[0], "gain_lo": min(gains[1:]), "gain_hi": max(gains),
        "advice": f"save {direction}" if is_gain else "leave it: no gain at both ends",
    }  # fmt: skip


FIRST = (
    "cluster", "run", "gpus", "advice", "interval_s", "best_s", "best_s_lo", "best_s_hi",
    "ettr_now", "ettr_best", "gain_gpu_h_week", "gain_lo", "gain_hi",
)  # fmt: skip
NUMBERS = (
    "between_h", "between_h_lo", "between_h_hi", "is_borrowed", "recovery_min", "best_s",
    "best_s_lo", "best_s_hi", "ettr_now", "ettr_best", "gain_gpu_h_week", "gain_lo", "gain_hi",
)  # fmt: skip


def _between_h(run: dict, level: float) -> tuple[float, float, float, bool] | None:
    """M (h) with its limits, and whether it is borrowed from all runs."""
    if run["stops"] >= FEW:
        return *mean_time_between(run["stops"], run["productive_h"], level), False
    if not run["fleet_stops"]:
        return None
    # Gamma(1, T of one stop of all runs) drawn on by the run's own stops.
    shape = 1 + run["stops"]
    gpu_h = run["fleet_gpu_h"] / run["fleet_stops"] + run["gpu_h"]
    tail = (1 - level) / 2
    slow, fast = (float(stats.gamma.ppf(p, shape, scale=1 / gpu_h)) for p in (tail, 1 - tail))
    gpus = run["gpus"]
    return gpu_h / shape / gpus, 1 / fast / gpus, 1 / slow / gpus, True


def _curve(row: dict) -> pl.DataFrame:
    if row["best_s"] is None:
        raise RefusalError(f"run {row['run']!r}: {row['advice']}")
    intervals = row["best_s"] * CURVE
    shares = [
        theory.ettr(
            intervals, max(row["stall_s"], 1e-3), row[name] * HOUR_S,
            row["recovery_min"] * 60 + row["persist_s"],
        )
        for name in ("between_h", "between_h_lo", "between_h_hi")
    ]  # fmt: skip
    return pl.DataFrame(
        {
            "run": row["run"],
            "interval_min": intervals / 60,
            **dict(zip(("ettr", "ettr_lo", "ettr_hi"), shares, strict=True)),
        }
    )


STUDY = Study(
    name="checkpoint",
    title="How often each run saves, how often it should, and what that gains",
    reads=(d.RUN_TIME, d.RUN_ATTEMPTS, o.CHECKPOINTS, d.INTERRUPTIONS),
    by=checkpoint,
)
