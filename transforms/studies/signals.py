"""What else a bad node does (D-1): signs, spells out of service, stops it caused, lone jobs lost.

Everything is charged to the node of an incident's root, never to every node of a job that failed
(methods D-1, attribution bias). Signals that follow from the counted failures (distinct codes, the
stops and repairs that those failures caused) are told, and kept out of the combined test: they are
the same evidence again. Independent of them are

    signs                days with an incident that counts as no failure: corrected errors, warnings
    outs_unexplained     unplanned spells out of service that no counted failure began
    lone_job_failures    single-node jobs that failed with no counted failure near, once a user and day

Jobs that ask not to run on a node are not in the lake, and by what was published their count says
little; cancelled jobs are told only.
"""

import numpy as np
import polars as pl
from scipy import stats

NODE = ["cluster", "node"]
NOT_OF_THE_NODE = ("Software (user)", "Human", "Planned")
NEAR = pl.duration(minutes=10)
FAILED = ("FAILED", "NODE_FAIL", "BOOT_FAIL")

COUNTS = (
    *("signs", "xid_codes", "outs", "outs_unexplained", "multi_node_stops", "single_node_stops"),
    *("lone_jobs", "lone_job_failures", "lone_jobs_cancelled"),
)


def signals(
    charged: pl.DataFrame,
    others: pl.DataFrame,
    repairs: pl.DataFrame,
    interruptions: pl.DataFrame,
    run_attempts: pl.DataFrame,
) -> pl.DataFrame:
    """One row per cluster and node that shows anything, with the columns of COUNTS.

    charged  incidents that are counted failures; others  the rest, both cut to the window
    """
    outs = repairs.filter(~pl.col("planned"))
    unexplained = outs.join(charged.select("incident"), on="incident", how="anti")
    stops = interruptions.filter(~pl.col("planned")).join(
        charged.select("incident", "cluster", "node"), on=["incident", "cluster"]
    )
    alone = pl.col("nodes") <= 1
    lone = _lone_jobs(run_attempts, charged)
    signs = others.filter(
        ~pl.col("class").cast(pl.String).is_in(NOT_OF_THE_NODE), pl.col("node") != ""
    )
    parts = (
        signs.group_by(NODE).agg(signs=pl.col("day").n_unique()),
        charged.filter(pl.col("root_code") > 0)
        .group_by(NODE)
        .agg(xid_codes=pl.col("root_code").n_unique()),
        outs.group_by(NODE).agg(outs=pl.len()),
        unexplained.group_by(NODE).agg(outs_unexplained=pl.len()),
        stops.group_by(NODE).agg(multi_node_stops=(~alone).sum(), single_node_stops=alone.sum()),
        lone,
    )
    nodes = pl.concat([part.select(NODE) for part in parts]).unique()
    for part in parts:
        nodes = nodes.join(part, on=NODE, how="left")
    return nodes.with_columns(pl.col(COUNTS).fill_null(0).cast(pl.Int64))


def _lone_jobs(run_attempts: pl.DataFrame, charged: pl.DataFrame) -> pl.DataFrame:
    """Users' days of single-node jobs on each node: all, failed unexplained, cancelled.

    A user whose program is wrong fails a hundred times in an hour: that is one user's day.
    """
    jobs = (
        run_attempts.filter(
            (pl.col("node_count") == 1)
            & (pl.col("nodes").list.len() == 1)
            & pl.col("ended").is_not_null()
        )
        .with_columns(node=pl.col("nodes").list.first(), at=pl.col("ended"))
        .sort("at")
    )
    known = charged.select(*NODE, at=pl.col("began"), incident="incident").sort("at")
    near = jobs.join_asof(
        known, on="at", by=NODE, strategy="nearest", tolerance="10m", check_sortedness=False
    )
    failed = pl.col("state").is_in(FAILED) & pl.col("incident").is_null()
    return (
        near.group_by(*NODE, pl.col("user").fill_null(""), pl.col("ended").dt.date().alias("day"))
        .agg(failed=failed.any(), cancelled=pl.col("state").str.starts_with("CANCEL").any())
        .group_by(NODE)
        .agg(
            lone_jobs=pl.len(),
            lone_job_failures=pl.col("failed").sum(),
            lone_jobs_cancelled=pl.col("cancelled").sum(),
        )
    )


def tails(rows: pl.DataFrame, node_days: np.ndarray) -> list[np.ndarray]:
    """Chance of as much or more of each independent signal, on a unit like the whole fleet.

    A signal that no unit shows is left out: it says nothing of any.
    """
    found = []
    for name in ("signs", "outs_unexplained"):
        seen = rows[name].to_numpy().astype(float)
        if seen.sum():
            expected = node_days * seen.sum() / node_days.sum()
            found.append(stats.poisson.sf(seen - 1, expected))
    trials, lost = rows["lone_jobs"].to_numpy(), rows["lone_job_failures"].to_numpy()
    if lost.sum():
        found.append(stats.binom.sf(lost - 1, trials, lost.sum() / trials.sum()))
    return found


def fisher(each: list[np.ndarray]) -> np.ndarray:
    """Fisher's combination of independent tail probabilities, unit by unit.

    Counts come in steps, so each tail is no smaller than uniform and the combination errs on the
    side of saying nothing.
    """
    floor = np.finfo(float).tiny
    total = -2 * np.sum([np.log(np.maximum(p, floor)) for p in each], axis=0)
    return stats.chi2.sf(total, 2 * len(each))
