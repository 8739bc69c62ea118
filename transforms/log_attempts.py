"""Attempts of runs that only a training log knows: no scheduler wrote them down.

A log does not say when GPUs were allocated. An attempt is taken from its first record to its last:
a job_start or a higher restart count begins one, and so does what follows a crash that nobody
recorded:

    training goes on after a silence of more than ten usual steps and a minute, or
    step numbers go back after a pause of more than a usual step.

The usual step is the median of the run's steps of that day. Without a pause, steps that go back
are a rollback within the attempt. A run that trains on is told in pieces of at most four weeks,
so that each day can be told from the weeks around it.

A piece with job_end or finished is COMPLETED, one silent for less than a crash takes to show is
RUNNING, any other is FAILED. Its GPUs are those of the latest job_start; where no record tells them
they are counted as one, which leaves every ratio right.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from transforms.emptiness import empty_from
from transforms.stretches import stretches
from transforms.tables.derived import RUN_ATTEMPTS

if TYPE_CHECKING:
    from transforms.recipes import Window

PIECE_DAYS = 28
NEAR = timedelta(days=14)
"""A scheduler's record this near to a log says that the scheduler knows the run."""
SILENCE_STEPS = 10
SILENCE = timedelta(minutes=1)
DAY = timedelta(days=1)

WRITER = ["cluster", "run", "job_id"]
TRAINING = ("step", "save", "data_wait", "eval")
RESUMES = (*TRAINING, "init", "restore")


def log_attempts(
    window: "Window",
    *,
    job_attempts: pl.DataFrame,
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    run_marks: pl.DataFrame,
) -> pl.DataFrame:
    """Attempts begun in the window by jobs and runs without a scheduler's record near them."""
    frames = [named(frame) for frame in (steps, checkpoints, run_marks)]
    others = pl.concat([frame.select(*WRITER, "began") for frame in frames[1:]])
    frames[0] = stretches(frames[0], others, WRITER)
    on_day = pl.col("began").dt.date().alias("day")
    days = pl.concat([frame.select(*WRITER, on_day).unique() for frame in frames]).unique()
    alone = days.join(_scheduled(days, job_attempts), on=[*WRITER, "day"], how="anti")
    steps, checkpoints, marks = (
        frame.with_columns(on_day).join(alone, on=[*WRITER, "day"], how="semi") for frame in frames
    )
    told = [*WRITER, "restart", "began", "day"]
    kind = pl.col("kind").cast(pl.String)
    records = pl.concat(
        [
            steps.select(*told, "ended", "step", "last_step", "usual", kind=pl.lit("step")),
            checkpoints.select(*told, ended="block_ended", kind=kind),
            marks.select(*told, "ended", "gpus", kind=kind),
        ],
        how="diagonal",
    )
    if records.is_empty():
        return RUN_ATTEMPTS.empty()
    pieces = _pieces(_cut(records), window)
    inside = pl.col("started").is_between(window.since, window.until, closed="left")
    rows = pieces.filter(inside).with_columns(
        pl.when(pl.col("job_id") == "").then("run").otherwise("job_id").alias("job_id"),
        submitted="started",
        link=pl.lit("train_log"),
        nodes=pl.lit([], pl.List(pl.String)),
        node_count=pl.lit(0),
        logs_steps=pl.lit(True),
    )
    missing = [pl.lit(None).alias(n) for n in RUN_ATTEMPTS.dtypes if n not in rows.columns]
    made = rows.with_columns(missing).sort("submitted", "ended", "gpus", *WRITER)
    return RUN_ATTEMPTS.conform(
        made.unique(RUN_ATTEMPTS.key, keep="last", maintain_order=True).select(
            pl.col(n).cast(t) for n, t in RUN_ATTEMPTS.dtypes.items()
        )
    )


def named(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that name their run."""
    is_named = pl.col("run") != ""
    return rows if rows.select(is_named.all()).item() else rows.filter(is_named)


@empty_from("job_attempts")
def _scheduled(days: pl.DataFrame, job_attempts: pl.DataFrame) -> pl.DataFrame:
    """The days of writers near which a scheduler's record names their job, or their run."""
    jobs = job_attempts.select(
        "submitted",
        "ended",
        "job_id",
        pl.col("cluster").alias("home"),
        pl.coalesce(pl.col("run").str.strip_chars().replace("", None), "job_id").alias("run"),
    )
    midnight = pl.col("day").cast(pl.Datetime("us", "UTC"))
    is_home = (pl.col("cluster") == "") | (pl.col("cluster") == pl.col("home"))
    is_near = (pl.col("submitted") < midnight + DAY + NEAR) & (
        pl.col("ended").is_null() | (pl.col("ended") >= midnight - NEAR)
    )
    key = [*WRITER, "day"]
    by_job = days.join(jobs.drop("run"), on="job_id").filter(is_home, is_near).select(key).unique()
    by_run = days.join(jobs.drop("job_id"), on="run").filter(is_home, is_near).select(key)
    # What else wrote under the run's name is the run's too.
    other = by_job.select("cluster", "run", pl.col("day").alias("other")).unique()
    apart = (pl.col("day") - pl.col("other")).abs()
    beside = days.join(other, on=["cluster", "run"]).filter(apart <= NEAR).select(key)
    return pl.concat([by_job, by_run, beside]).unique()


def _cut(records: pl.DataFrame) -> pl.DataFrame:
    """Number the attempts (`piece`) and say which only go on with the one before (`goes_on`)."""
    reached = pl.max_horizontal("began", "ended").cum_max().shift(1).over(WRITER)
    is_start, is_step = pl.col("kind") == "job_start", pl.col("kind") == "step"
    began = pl.col("began")
    usual = records.filter(is_step).select(*WRITER, "day", "usual").unique()
    lived = (
        records.drop("usual")
        .sort(*WRITER, "began", "restart", "ended", "kind", "step", "gpus")
        .join(usual, on=[*WRITER, "day"], how="left", maintain_order="left")
        .with_columns(
            reached=reached,
            last_kind=pl.col("kind").shift(1).over(WRITER),
            last_step=pl.coalesce("last_step", "step").forward_fill().shift(1).over(WRITER),
            last_start=pl.when(is_start).then(began).forward_fill().shift(1).over(WRITER),
            last_restart=pl.col("restart").cum_max().shift(1).over(WRITER),
            last_usual=pl.col("usual").forward_fill().shift(1).over(WRITER),
            last_day=pl.col("day").shift(1).over(WRITER),
        )
    )
    silence = began - pl.col("reached")
    usual_step = pl.col("last_usual").fill_null(timedelta(0))
    trained = pl.col("last_kind").is_in(TRAINING)
    is_silent = trained & pl.col("kind").is_in(RESUMES) & (silence > _long(usual_step))
    is_back = is_step & (pl.col("step") <= pl.col("last_step")) & (silence > usual_step) & trained
    # Every rank may write its job_start.
    is_new = is_start & (began - pl.col("last_start") > SILENCE).fill_null(True)
    is_first = pl.col("last_kind").is_null()
    is_again = pl.col("restart") > pl.col("last_restart")
    begins = pl.any_horizontal(
        x.fill_null(False) for x in (is_first, is_new, is_again, is_silent, is_back)
    )
    piece = pl.col("day").to_physical() // PIECE_DAYS
    goes_on = (piece != pl.col("last_day").to_physical() // PIECE_DAYS).fill_null(False) & ~begins
    return lived.with_columns(goes_on=goes_on, piece=(begins | goes_on).cum_sum())


def _long(usual: pl.Expr) -> pl.Expr:
    return pl.max_horizontal(usual * SILENCE_STEPS, pl.lit(SILENCE))


def _pieces(records: pl.DataFrame, window: "Window") -> pl.DataFrame:
    """One row an attempt: the writer, started, ended, state and gpus."""
    told = (
        records.group_by("piece", *WRITER, maintain_order=True)
        .agg(
            pl.col("began").min().alias("started"),
            pl.max_horizontal("began", "ended").max().alias("reached"),
            pl.col("kind").is_in(["job_end", "finished"]).any().alias("is_over"),
            pl.col("gpus").max(),
            pl.col("goes_on").first(),
            pl.col("usual").drop_nulls().last().fill_null(timedelta(0)),
        )
        .with_columns(
            pl.col("gpus").forward_fill().over(WRITER).fill_null(1),
            next_at=pl.col("started").shift(-1).over(WRITER),
            is_cut=pl.col("goes_on").shift(-1).over(WRITER).fill_null(False),
        )
    )
    lives = (
        pl.col("next_at").is_null()
        & ~pl.col("is_over")
        & (pl.lit(window.horizon) - pl.col("reached") <= _long(pl.col("usual")))
    )
    last = pl.min_horizontal("reached", "next_at")
    return told.select(
        *WRITER,
        "started",
        "gpus",
        ended=pl.when(lives).then(None).when("is_cut").then("next_at").otherwise(last),
        state=pl.when(lives)
        .then(pl.lit("RUNNING"))
        .when(pl.col("is_over") | pl.col("is_cut"))
        .then(pl.lit("COMPLETED"))
        .otherwise(pl.lit("FAILED")),
    )
