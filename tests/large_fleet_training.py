"""What training jobs and thermometers of a large made fleet said, laid beside its other tables.

Planted: one job in three has some minutes of steps that took 1.4 times as long as usual.
Temperatures rise and fall, and failures do not go with them.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from large_fleet import GPUS_A_NODE, LargeFleet, conform

from flows.lake import Lake
from transforms.contract import Table
from transforms.tables import derived as d
from transforms.tables import observed as o
from transforms.tables.hourly import NODE_HOURLY

JOBS, STEPS_A_JOB, SAVED_EVERY = 400, 1500, 100
STEP_S, STALL_S = 8.0, 12.0
LOOP_NODES = 320
DAYS = 20
"""Days on which jobs began and temperatures were taken."""


def trained(fleet: LargeFleet, run_attempts: pl.DataFrame) -> pl.DataFrame:
    """Jobs of a month that are long enough: cluster, run, job_id, began."""
    since = fleet.began + timedelta(days=fleet.days // 3)
    long = timedelta(seconds=STEPS_A_JOB * STEP_S * 1.2)
    some = run_attempts.filter(
        pl.col("started").is_between(since, since + timedelta(days=DAYS)),
        pl.col("ended") - pl.col("started") > long,
    )
    return some.sort("job_id").head(JOBS).select("cluster", "run", "job_id", began="started")


def steps(jobs: pl.DataFrame, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    took = STEP_S * rng.lognormal(0, 0.02, (jobs.height, STEPS_A_JOB))
    slow = STEPS_A_JOB // 2 + rng.integers(0, 200, jobs.height)
    for job in range(0, jobs.height, 3):
        took[job, slow[job] : slow[job] + 60] *= 1.4
    stalls = np.zeros_like(took)
    stalls[:, SAVED_EVERY - 1 :: SAVED_EVERY] = STALL_S
    ended = np.cumsum(took + np.roll(stalls, 1, axis=1), axis=1)
    each = jobs.with_columns(nth=pl.int_ranges(0, STEPS_A_JOB, dtype=pl.Int64)).explode("nth")
    after = [
        pl.duration(microseconds=pl.Series((s * 1e6).astype(np.int64).reshape(-1)))
        for s in (ended - took, ended)
    ]
    rows = each.with_columns(
        began=pl.col("began") + after[0],
        ended=pl.col("began") + after[1],
        step="nth",
        restart=0,
        tokens=4_000_000,
        file=pl.lit("train.log"),
        line_no=pl.col("nth") + 1,
    )
    return conform(o.STEPS, rows)


def checkpoints(steps: pl.DataFrame) -> pl.DataFrame:
    """A save after every hundredth step, safe on storage a minute later."""
    saved = steps.filter(pl.col("step") % SAVED_EVERY == SAVED_EVERY - 1)
    rows = saved.with_columns(
        kind=pl.lit("save"),
        began="ended",
        block_ended=pl.col("ended") + pl.duration(seconds=int(STALL_S)),
        durable_at=pl.col("ended") + pl.duration(seconds=60),
        ok=True,
        bytes=10**12,
    )
    return conform(o.CHECKPOINTS, rows)


def run_time(steps: pl.DataFrame) -> pl.DataFrame:
    """What the ledger keeps of these jobs: all of their steps."""
    took = (pl.col("ended") - pl.col("began")).dt.total_milliseconds()
    kept = steps.group_by("cluster", "run", day=pl.col("began").dt.date()).agg(
        gpu_ms=took.sum() * GPUS_A_NODE
    )
    none = pl.lit("")
    rows = kept.with_columns(
        leaf=pl.lit("ideal"), cause=none, incident=none, evidence=pl.lit("steps"), provisional=False
    )
    return conform(d.RUN_TIME, rows)


def temperatures(fleet: LargeFleet) -> pl.DataFrame:
    """The air that comes in, for some weeks, hour by hour at one node of each cooling loop."""
    rng = np.random.default_rng(fleet.seed + 11)
    first = fleet.days // 3 * 24
    hours = fleet.at(np.arange(first, first + DAYS * 24, dtype=np.int64) * 3_600_000_000)
    there = fleet.places().select("cluster", "node").gather_every(LOOP_NODES)
    rows = there.join(pl.DataFrame({"hour_at": hours}), how="cross")
    season = 3 * np.sin(np.arange(len(hours)) * 2 * np.pi / (DAYS * 24))
    mean = 22 + np.tile(season, there.height) + rng.normal(0, 1, rows.height)
    rows = rows.with_columns(
        metric=pl.lit("board_inlet_temp_c"),
        mean=pl.Series(mean),
        samples=240,
        devices=1,
        covered_ms=0,
        resets=0,
        is_lower_bound=False,
    )
    return conform(NODE_HOURLY, rows)


def lay_beside(fleet: LargeFleet, lake: Lake) -> None:
    """These tables beside those of `lay_down`, unless they are there."""
    if lake.files(o.STEPS):
        return
    since, until = fleet.began, fleet.until
    jobs = trained(fleet, lake.read(d.RUN_ATTEMPTS, columns=("cluster", "run", "job_id", "started", "ended")))  # fmt: skip
    logged = steps(jobs, fleet.seed + 10)
    lake.merge(d.RUN_TIME, run_time(logged))
    beside: dict[Table, pl.DataFrame] = {
        NODE_HOURLY: temperatures(fleet),
        o.CHECKPOINTS: checkpoints(logged),
        o.STEPS: logged,
    }
    for table, rows in beside.items():
        lake.replace(table, rows, since, until)
