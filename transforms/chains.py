"""Jobs under different ids that are one run: chains of time limits, and work submitted again (T-3).

    7001  pretrain  maria  512 GPUs  TIMEOUT     11:00     \\
    7002  pretrain  maria  512 GPUs  NODE_FAIL   15:20      one run, named 7001
    7009  pretrain  maria  512 GPUs  RUNNING               /

A job goes on with the one before it if both have the same cluster, user, name, account and
partition, the first stopped unfinished, and the second was submitted within a day of that end (of a
time limit also ahead of it), started after it, and has at least half and at most twice the GPUs. Jobs of a few nodes
bear the same names by habit: there the second must come within a quarter of an hour. A name that
belongs to two jobs at once says nothing. Tasks of arrays are runs of their own. Which checkpoints a job reads the scheduler does not tell, so no other link is less sure.
"""

import polars as pl

from transforms.emptiness import empty_from

FEW_NODES = 3
GAP, GAP_OF_FEW_NODES = pl.duration(hours=24), pl.duration(minutes=15)
MOST_TIMES_THE_GPUS = 2
PIECE_DAYS = 28
"""A chain is told in pieces of at most four weeks, so that each day can be told from the weeks
around it."""
UNFINISHED = (
    *("TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "FAILED", "OUT_OF_MEMORY", "CANCELLED"),
    "DEADLINE",
)
SAME = ("cluster", "user", "name", "account", "partition", "piece")
JOB = ["cluster", "job_id"]


@empty_from("job_attempts")
def chains(job_attempts: pl.DataFrame) -> pl.DataFrame:
    """Jobs that go on with others: cluster, job_id, piece, root (the chain's first job id) and link.

    `link` is how the job goes on with the one before it, and for the first how the second does:
    `time_limit` or `resubmission`.
    """
    jobs = _jobs(job_attempts)
    before = {
        name: pl.col(name).shift(1).over(SAME)
        for name in ("state", "ended", "reached", "most_gpus", "most_nodes")
    }
    is_small = pl.min_horizontal("most_nodes", before["most_nodes"]) <= FEW_NODES
    gap = pl.when(is_small).then(GAP_OF_FEW_NODES).otherwise(GAP)
    times = pl.col("most_gpus") / before["most_gpus"]
    goes_on = (
        before["state"].is_in(UNFINISHED)
        & (pl.col("started") >= before["reached"])
        & (pl.col("submitted") <= before["ended"] + gap)
        & ((pl.col("submitted") >= before["ended"]) | (before["state"] == "TIMEOUT"))
        & times.is_between(1 / MOST_TIMES_THE_GPUS, MOST_TIMES_THE_GPUS)
    ).fill_null(False)
    how = pl.when(before["state"] == "TIMEOUT").then(pl.lit("time_limit"))
    linked = jobs.with_columns(
        goes_on=goes_on, link=pl.when(goes_on).then(how.otherwise(pl.lit("resubmission")))
    ).with_columns(chain=(~pl.col("goes_on")).cum_sum())
    return (
        linked.with_columns(
            root=pl.col("job_id").first().over("chain"),
            link=pl.coalesce("link", pl.col("link").shift(-1).over("chain")),
        )
        .filter(pl.len().over("chain") > 1)
        .select(*JOB, "piece", "root", "link")
    )


def piece_of(submitted: pl.Expr) -> pl.Expr:
    """The number of the four weeks in which an attempt was submitted."""
    return submitted.dt.date().to_physical() // PIECE_DAYS


def _jobs(job_attempts: pl.DataFrame) -> pl.DataFrame:
    """One row per job and piece, with its last attempt's end; in order of what they share."""
    return (
        job_attempts.filter(
            pl.col("gpus") > 0,
            pl.col("name").str.strip_chars() != "",
            pl.col("user").is_not_null(),
            ~pl.col("job_id").str.contains("_"),
        )
        .with_columns(piece=piece_of(pl.col("submitted")))
        .sort("submitted")
        .group_by(*JOB, "piece", maintain_order=True)
        .agg(
            pl.col("user", "name", "account", "partition", "state", "ended").last(),
            pl.col("gpus").max().alias("most_gpus"),
            pl.coalesce("node_count", pl.col("nodes").list.len()).max().alias("most_nodes"),
            pl.col("submitted").first(),
            pl.col("started").min(),
        )
        .sort(*SAME, "started", "submitted", "job_id", nulls_last=True)
        # Of jobs side by side the one that lasts longest bars the next.
        .with_columns(reached=pl.col("ended").cum_max().over(SAME))
    )
