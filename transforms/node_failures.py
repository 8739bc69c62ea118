"""Failures node by node, as they were before incidents of several nodes became one.

A rate wants causes, and counts an incident of nine nodes once. Whether nodes fail together can
only be asked of the nodes: here such an incident is nine failures, each at the first sign of its
own. A node that was merely drawn in (its job timed out on another's fault) did not fail; nor is
that taken for a failure which alone would never count. What two nodes share in time is thus never
told by the joining itself, which already looked at their domains.
"""

import numpy as np
import polars as pl

from transforms.alike import heads
from transforms.catalogue import meaning

STATES = ("node_states", "outages")


def node_failures(incidents: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """incident, cluster, node, at, class of every node that failed in `incidents`.

    An incident that names no node (a recorded outage of a rack) gives the nodes that stood there.
    """
    facts = incidents.select("incident", "cluster", pl.col("class").cast(pl.String))
    failed = members.filter(
        pl.col("node") != "",
        (pl.col("role").cast(pl.String) == "root")
        | pl.col("source_table").cast(pl.String).is_in(STATES)
        | _fault(pl.col("kind"), pl.col("code")).is_in(_own_faults()),
    )
    told = (
        _firsts(failed.select("incident", "node", "observed_at"))
        .join(facts, on="incident")
        .select("incident", "cluster", "node", "class", "at")
    )
    stood = (
        incidents.filter((pl.col("node") == "") & (pl.col("nodes").list.len() > 0))
        .select(
            "incident",
            "cluster",
            pl.col("nodes").alias("node"),
            pl.col("class").cast(pl.String),
            pl.col("began").alias("at"),
        )
        .explode("node")
        .join(told, on=["incident", "node"], how="anti")
        .select(told.columns)
    )
    return pl.concat([told, stood]).sort("at", "cluster", "node", "incident")


def _own_faults() -> pl.Series:
    """What a node says of a fault of its own, as `_fault` tells it."""
    own = meaning().filter(
        pl.col("counts").is_in(["yes", "by_subcode"])
        | pl.col("kind").cast(pl.String).is_in(["link_down"])
    )
    return own.select(_fault(pl.col("kind").cast(pl.String), pl.col("code"))).to_series().implode()


def _fault(kind: pl.Expr, code: pl.Expr) -> pl.Expr:
    """A kind and its code as one number: members are many, and texts slow to look up."""
    return kind.cast(pl.Categorical).to_physical().cast(pl.Int64) * 2**32 + code


def _firsts(failed: pl.DataFrame) -> pl.DataFrame:
    """incident, node, at: the first record of each; most stand side by side as they come."""
    if failed.is_empty():
        return failed.rename({"observed_at": "at"})
    sides, counts = heads(failed, ("incident", "node"))
    begins = np.cumsum(counts) - counts
    first = np.minimum.reduceat(failed["observed_at"].to_physical().to_numpy(), begins)
    at = pl.Series("at", first).cast(failed.schema["observed_at"])
    return sides.with_columns(at).group_by("incident", "node").agg(pl.col("at").min())
