"""Failures node by node, as they were before incidents of several nodes became one.

A rate wants causes, and counts an incident of nine nodes once. Whether nodes fail together can
only be asked of the nodes: here such an incident is nine failures, each at the first sign of its
own. A node that was merely drawn in (its job timed out on another's fault) did not fail; nor is
that taken for a failure which alone would never count. What two nodes share in time is thus never
told by the joining itself, which already looked at their domains.
"""

import polars as pl

from transforms.catalogue import meaning

STATES = ("node_states", "outages")


def node_failures(incidents: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """incident, cluster, node, at, class of every node that failed in `incidents`.

    An incident that names no node (a recorded outage of a rack) gives the nodes that stood there.
    """
    own = meaning().filter(
        pl.col("counts").is_in(["yes", "by_subcode"])
        | pl.col("kind").cast(pl.String).is_in(["link_down"])
    )
    faults = own.select(pl.col("kind").cast(pl.String), "code", is_own=True)
    facts = incidents.select("incident", "cluster", pl.col("class").cast(pl.String))
    members = members.select("incident", "node", "kind", "code", "role", "source_table", "observed_at")  # fmt: skip
    told = (
        members.filter(pl.col("node") != "")
        .join(faults, on=["kind", "code"], how="left")
        .filter(
            (pl.col("role").cast(pl.String) == "root")
            | pl.col("source_table").cast(pl.String).is_in(STATES)
            | pl.col("is_own").fill_null(False)
        )
        .group_by("incident", "node")
        .agg(pl.col("observed_at").min().alias("at"))
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
