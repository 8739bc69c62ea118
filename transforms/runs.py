"""Which run a job attempt belongs to (methods T-3).

A run is one logical training task; it may take many jobs, and a job may be requeued under its own
id. The best witness decides: the run that the job itself names, then the run that its training
log names, then the job id, which a requeue keeps, then what looks like the same work under another
id (see chains). How the run is known stays in `link`; how sure that is, LINK_CONFIDENCE tells.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms.chains import chains, piece_of
from transforms.emptiness import empty_from
from transforms.heterogeneous import whole_jobs
from transforms.log_attempts import log_attempts
from transforms.tables.derived import RUN_ATTEMPTS

if TYPE_CHECKING:
    from transforms.recipes import Window

REACH = pl.duration(days=31)
"""A job id tells attempts of one job apart from another's for this long: schedulers reuse ids."""
REACH_DAYS = 31
LOG_SLACK = pl.duration(minutes=5)
"""A log may begin before, and end after, what the scheduler says of the allocation."""

LINK_CONFIDENCE = {
    "explicit": 1.0,
    "train_log": 0.95,
    "requeue": 0.9,
    "time_limit": 0.7,
    "resubmission": 0.5,
    "alone": 1.0,
}
"""How sure it is that attempts of one run are one run, by how they were linked (a rule of ours). One
that nothing links is a run for certain, as far as it goes."""

ATTEMPT = ["cluster", "job_id", "submitted"]
SUBMITTED, STARTED = pl.col("submitted"), pl.col("started")


def link(
    window: "Window",
    *,
    job_attempts: pl.DataFrame,
    run_marks: pl.DataFrame,
    steps: pl.DataFrame | None = None,
    checkpoints: pl.DataFrame | None = None,
) -> Mapping[str, pl.DataFrame]:
    """Name the run of every attempt submitted in the window; add those that only logs know."""
    job_attempts = whole_jobs(job_attempts)
    inside = (window.since <= SUBMITTED) & (window.until > SUBMITTED)
    attempts = job_attempts.filter(inside)
    logged = _logged(job_attempts, run_marks, window)
    again = _requeued(attempts, job_attempts)
    told = pl.when(pl.col("run").str.strip_chars() != "").then("run")
    named = (
        attempts.with_columns(told.alias("told"))
        .join(logged, on=ATTEMPT, how="left")
        .join(again, on=ATTEMPT, how="left")
        .with_columns(piece=piece_of(SUBMITTED))
        .join(
            chains(job_attempts).rename({"link": "chained"}),
            on=["cluster", "job_id", "piece"],
            how="left",
        )
        .with_columns(
            pl.coalesce("told", "logged_run", "root", "job_id").alias("run"),
            pl.when(pl.col("told").is_not_null())
            .then(pl.lit("explicit"))
            .when(pl.col("logged_run").is_not_null())
            .then(pl.lit("train_log"))
            .when(pl.col("is_again").fill_null(False))
            .then(pl.lit("requeue"))
            .otherwise(pl.coalesce("chained", pl.lit("alone")))
            .alias("link"),
            pl.coalesce("node_count", pl.col("nodes").list.len(), 0).alias("node_count"),
            pl.col("gpus").fill_null(0),
            pl.col("logs_steps").fill_null(False),
        )
    )
    rows = named.select(pl.col(n).cast(t) for n, t in RUN_ATTEMPTS.dtypes.items())
    if steps is not None and checkpoints is not None:
        unscheduled = log_attempts(
            window,
            job_attempts=job_attempts,
            steps=steps,
            checkpoints=checkpoints,
            run_marks=run_marks,
        )
        rows = pl.concat([rows, unscheduled.join(rows, on=ATTEMPT, how="anti")])
    return {"run_attempts": RUN_ATTEMPTS.conform(rows.sort(RUN_ATTEMPTS.key))}


@empty_from("all_attempts")
def _requeued(attempts: pl.DataFrame, all_attempts: pl.DataFrame) -> pl.DataFrame:
    """Attempts whose job has another attempt within reach: the key and `is_again`."""
    others = all_attempts.select("cluster", "job_id", pl.col("submitted").alias("other"))
    apart = (pl.col("other") - SUBMITTED).abs()
    return (
        attempts.select(ATTEMPT)
        .join(others, on=["cluster", "job_id"])
        .filter((pl.col("other") != SUBMITTED) & (apart <= REACH))
        .select(*ATTEMPT, is_again=pl.lit(True))
        .unique()
    )


@empty_from("attempts")
def _logged(attempts: pl.DataFrame, run_marks: pl.DataFrame, window: "Window") -> pl.DataFrame:
    """What training logs say: key, logged_run, and whether this very attempt wrote one.

    Another attempt's log names the run too, as long as it is the same job: one that died before
    its first line still belongs. The nearest mark decides, then the smaller name.
    """
    marks = (
        run_marks.filter((pl.col("job_id") != "") & (pl.col("run") != ""))
        .select(
            pl.col("cluster").alias("said"), "job_id", pl.col("run").alias("logged_run"), "began"
        )
        .unique()
    )
    until = pl.coalesce("ended", pl.lit(window.horizon))
    inside = (pl.col("began") >= STARTED - LOG_SLACK) & (pl.col("began") <= until + LOG_SLACK)
    outside = pl.max_horizontal(STARTED - pl.col("began"), pl.col("began") - until)
    pairs = (
        attempts.select(*ATTEMPT, "started", "ended")
        .join(marks, on="job_id")
        .filter((pl.col("said") == "") | (pl.col("said") == pl.col("cluster")))
        .filter((pl.col("began") - SUBMITTED).abs() <= REACH)
        .with_columns(
            inside.fill_null(False).alias("logs_steps"),
            pl.coalesce(outside, (pl.col("began") - SUBMITTED).abs()).alias("apart"),
        )
    )
    # A log that names no cluster belongs to the only one that ran such a job just then, or else
    # to the only one that had such a job at all; where two could have written it, to none.
    mark = ["job_id", "logged_run", "began"]
    running = pl.col("cluster").filter(pl.col("logs_steps")).unique()
    homes = (
        pairs.filter(pl.col("said") == "")
        .group_by(mark)
        .agg(running.alias("running"), pl.col("cluster").unique().alias("had"))
        .with_columns(
            pl.when(pl.col("running").list.len() > 0).then("running").otherwise("had").alias("had")
        )
        .filter(pl.col("had").list.len() == 1)
        .select(*mark, pl.col("had").list.first().alias("cluster"))
    )
    told = pairs.filter(pl.col("said") != "")
    untold = pairs.filter(pl.col("said") == "").join(homes, on=[*mark, "cluster"], how="semi")
    return (
        pl.concat([told, untold])
        .sort("logs_steps", "apart", "logged_run", descending=[True, False, False])
        .group_by(ATTEMPT, maintain_order=True)
        .agg(pl.col("logged_run").first(), pl.col("logs_steps").any())
    )
