"""What would a job of N GPUs live through? Its time to failure and the share of time it keeps.

The fleet's rate per node (S-1) with its interval, taken to jobs of other sizes; the best
checkpoint interval there and the share kept at it (S-3), exact. Recovery and the time that a save
blocks are given, or read from the runs that there are. Not in the rate: what strikes a site or
the whole fabric, another generation of parts, the first weeks of new ones.
"""

import polars as pl

from transforms import checkpoint_theory as theory
from transforms.projection import next_count, project
from transforms.studies.base import (
    Asked,
    RefusalError,
    Study,
    at_risk,
    counted,
    node_days_of,
    number,
    watched_enough,
)
from transforms.tables import derived as d
from transforms.tables import observed as o

SIZES = "8192,16384,32768,65536,100000,131072"
MOST_GPUS = 10_000_000


def project_sizes(
    asked: Asked,
    *,
    failures: pl.DataFrame,
    exposure: pl.DataFrame,
    run_attempts: pl.DataFrame,
    checkpoints: pl.DataFrame,
    interruptions: pl.DataFrame,
) -> pl.DataFrame:
    """One row per size: time to failure (h), best interval (min) and share kept, with bands.

    A band is that of the rate's exact interval. `is_extrapolated` beyond ten times the largest
    job seen. `next_week` is how many failures a fleet of that size would see in seven days (S-2).
    """
    watched_enough(exposure, "project")
    r = int(counted(failures, asked)["failures"].sum())
    node_days = float(at_risk(exposure, asked)["node_days"].sum())
    if not r:
        raise RefusalError("no failure counted in the days asked: there is no rate to project")
    per_node = int(exposure["gpus"].median() or 8)  # type: ignore[arg-type]
    largest = int(run_attempts["gpus"].max() or 0)  # type: ignore[arg-type]
    said = asked.options
    usual_s = 0.0 if said.get("write") else _write_s(checkpoints)
    usual_min = 0.0 if said.get("recovery") else _recovery_min(interruptions)
    write = number(asked, "write", usual_s, 1e-3, 86_400) / 60
    recovery = number(asked, "recovery", usual_min, 0, 10_000)
    rows = []
    for gpus in _sizes(asked.options.get("gpus", "") or SIZES):
        job = project(r, node_days, gpus, largest, per_node)
        minutes = [60 * hours for hours in (job.hours, job.lo, job.hi)]
        best = [theory.best_interval(write, m) for m in minutes]
        kept = [
            float(theory.ettr(t, write, m, recovery)) for t, m in zip(best, minutes, strict=True)
        ]
        week = next_count(r, node_days, 7 * gpus / per_node)
        rows.append(
            {
                "gpus": gpus, "mttf_h": job.hours, "mttf_h_lo": job.lo, "mttf_h_hi": job.hi,
                "best_interval_min": best[0], "ettr": kept[0], "ettr_lo": kept[1],
                "ettr_hi": kept[2], "next_week": round(week.mean, 1), "next_week_lo": week.lo,
                "next_week_hi": week.hi, "is_extrapolated": job.is_extrapolated,
                "write_s": 60 * write, "recovery_min": recovery, "failures": r,
                "node_days": node_days, "largest_seen_gpus": largest, "clock": asked.clock,
                "class": asked.klass, "definition": asked.definition,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)


def _sizes(said: str) -> list[int]:
    sizes = []
    for word in said.split(","):
        if not word.strip().isdecimal() or not 1 <= int(word) <= MOST_GPUS:
            raise RefusalError(f"gpus {word.strip()!r}: write numbers of GPUs such as 16384,100000")
        sizes.append(int(word))
    return sizes


def _write_s(checkpoints: pl.DataFrame) -> float:
    saves = checkpoints.filter(pl.col("kind").cast(pl.String) == "save")
    stall = saves.select((pl.col("block_ended") - pl.col("began")).dt.total_milliseconds().median())
    found = stall.item()
    if not found:
        raise RefusalError("no save tells how long it blocks: give --write SECONDS")
    return float(found) / 1000


def _recovery_min(interruptions: pl.DataFrame) -> float:
    stops = interruptions.filter(~pl.col("planned"))
    back = stops.select((pl.col("resumed_at") - pl.col("failed_at")).dt.total_milliseconds().mean())
    found = back.item()
    if found is None:
        raise RefusalError("no stop tells how long recovery takes: give --recovery MINUTES")
    return float(found) / 60_000


STUDY = Study(
    name="project",
    title="Time to failure and share of time kept by jobs of other sizes",
    reads=(d.FAILURES, d.EXPOSURE, d.RUN_ATTEMPTS, o.CHECKPOINTS, d.INTERRUPTIONS),
    by=project_sizes,
    columns=lambda asked: node_days_of(asked, "gpus", "wall_ms", "unobserved_ms"),
)
