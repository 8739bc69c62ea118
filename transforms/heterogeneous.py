"""Heterogeneous jobs: several components under one leader, with one fate (methods T-3).

    12+0   head        1 node,  no GPUs    CANCELLED with the others
    12+1   trainers   64 nodes, 512 GPUs   NODE_FAIL      -> one attempt of job 12: 64 nodes, 512 GPUs, NODE_FAIL

Slurm submits, starts, requeues and ends the components together, and a log written in any of them
names the leader. Read one by one they would be a run each, stopped several times by one failure.
"""

import polars as pl

_PART = r"^(\d+)\+(\d+)$"
TOGETHER = pl.duration(minutes=1)
"""Components of one submission are stamped within this."""
_TELLING = ("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "FAILED", "TIMEOUT")
"""States of a component that say why the others ended, most telling first."""
_OF_THE_TELLING = ("state", "cancelled_by", "exit_code", "signal", "reason", "file", "line_no")


def whole_jobs(job_attempts: pl.DataFrame) -> pl.DataFrame:
    """Attempts with the components of each heterogeneous job as one, under the leader's id.

    Where any component has GPUs the nodes of those without are left out: no GPU is held there. The
    end and its words are those of the component that failed first in _TELLING's order.
    """
    is_part = pl.col("job_id").str.contains(_PART)
    parts = job_attempts.filter(is_part)
    if parts.is_empty():
        return job_attempts
    leader = pl.col("job_id").str.extract(_PART, 1)
    apart = pl.col("submitted") - pl.col("submitted").shift(1) > TOGETHER
    telling = pl.col("state").replace_strict(
        dict(zip(_TELLING, range(len(_TELLING)), strict=True)), default=len(_TELLING)
    )
    numbered = (
        parts.with_columns(
            leader=leader, component=pl.col("job_id").str.extract(_PART, 2).cast(pl.Int64)
        )
        .sort("cluster", "leader", "submitted", "component")
        .with_columns(
            submission=apart.fill_null(False).cum_sum().over("cluster", "leader"),
            telling=telling,
            has_gpus=pl.col("gpus").fill_null(0) > 0,
        )
    )
    by = ["cluster", "leader", "submission"]
    counted = pl.col("has_gpus") | ~pl.col("has_gpus").any()
    plain = set(job_attempts.columns) - {"cluster", "job_id", *_OF_THE_TELLING}
    summed = {"node_count", "cpus", "gpus", "nodes", "submitted", "eligible", "started", "ended"}
    whole = (
        numbered.sort(*by, "component")
        .group_by(by, maintain_order=True)
        .agg(
            *(pl.col(n).drop_nulls().first() for n in sorted(plain - summed)),
            *(pl.col(n).sort_by("telling", "component").first() for n in _OF_THE_TELLING),
            pl.col("submitted").min(),
            pl.col("eligible", "started").max(),
            pl.when(pl.col("ended").is_not_null().all()).then(pl.col("ended").max()).alias("ended"),
            _sum(pl.col("node_count").filter(counted)),
            _sum(pl.col("cpus")),
            _sum(pl.col("gpus")),
            pl.col("nodes").filter(counted).list.explode(keep_nulls=False, empty_as_null=False).unique().sort(),
        )
        .with_columns(
            job_id="leader", nodes=pl.when(pl.col("nodes").list.len() > 0).then("nodes")
        )
    )  # fmt: skip
    typed = whole.select(pl.col(n).cast(t) for n, t in job_attempts.schema.items())
    return pl.concat([job_attempts.filter(~is_part), typed])


def _sum(told: pl.Expr) -> pl.Expr:
    """The sum of what is told; null where nothing is."""
    return pl.when(told.count() > 0).then(told.sum())
