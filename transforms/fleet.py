"""Which nodes there were, and when: from the inventory, else inferred from scheduler records.

Exposure needs every node that could have failed, also those that never did. An inventory names
them; a scheduler's snapshot does too, but not since when, so it steps aside for an inventory line
that does say. A node that only the scheduler mentions is inferred: in the fleet since it first ran a job
or changed state, with as many GPUs as jobs ever had of it at once. (A submission is no evidence: the node
was not chosen yet.)

Sources may leave the cluster out. A row without one belongs to the cluster in which a node of
its name is known; where several clusters have such a node, an inventory row describes each.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms.tables.derived import FLEET

if TYPE_CHECKING:
    from transforms.recipes import Window

ID = ["cluster", "node"]
_PLACES = ("provider", "hall", "rack", "pdu", "leaf_switch", "nvlink_domain", "cooling_loop")
GPUS_LIMIT = 65_535  # what a UInt16 holds


def fleet(
    window: "Window", *, nodes: pl.DataFrame, node_states: pl.DataFrame, job_attempts: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """The whole fleet, whatever the window: one row per node and validity interval.

    Intervals of one node never overlap: a later inventory row closes an earlier one.
    """
    seen = _evidence(node_states, job_attempts)
    inventory = _placed_inventory(nodes, seen)
    known = pl.concat([inventory.select(ID), seen.select(ID)]).unique()
    inferred = (
        place(seen, known)
        .group_by(ID)
        .agg(pl.col("valid_from").min(), pl.col("gpus").max())
        .join(inventory, on=ID, how="anti")
        .with_columns(evidence=pl.lit("inferred"))
    )
    rows = pl.concat(
        [inventory.with_columns(evidence=pl.lit("inventory")), inferred], how="diagonal"
    )
    following = pl.col("valid_from").shift(-1).over(ID)
    tidy = (
        rows.unique([*ID, "valid_from"], keep="first", maintain_order=True)
        .sort(*ID, "valid_from")
        .with_columns(pl.min_horizontal("valid_to", following).alias("valid_to"))
        .select(pl.col(name).cast(dtype) for name, dtype in FLEET.dtypes.items())
    )
    return {"fleet": FLEET.conform(tidy)}


def place(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Give rows without a cluster the cluster of the only known node of their name.

    `known` has cluster and node; where two clusters or none know the node, '' stays.
    """
    if rows.is_empty() or known.is_empty() or not (rows["cluster"] == "").any():
        return rows
    names = (
        known.filter(pl.col("cluster") != "")
        .group_by("node")
        .agg(pl.col("cluster").unique().alias("clusters"))
        .filter(pl.col("clusters").list.len() == 1)
        .select("node", pl.col("clusters").list.first().alias("only"))
    )
    told = pl.col("cluster") != ""
    return (
        rows.join(names, on="node", how="left", maintain_order="left")
        .with_columns(
            pl.when(told).then("cluster").otherwise(pl.col("only").fill_null("")).alias("cluster")
        )
        .drop("only")
    )


def _evidence(node_states: pl.DataFrame, job_attempts: pl.DataFrame) -> pl.DataFrame:
    """Each sighting of a node: cluster, node, valid_from, gpus (UInt16) that jobs had of it then."""
    count = pl.coalesce("node_count", pl.col("nodes").list.len())
    held = (
        job_attempts.filter(pl.col("started").is_not_null() & (pl.col("nodes").list.len() > 0))
        .select(
            "cluster",
            pl.col("nodes").alias("node"),
            "started",
            "ended",
            (pl.col("gpus").fill_null(0) / count).ceil().cast(pl.Int64).alias("gpus"),
        )
        .explode("node")
    )
    # Jobs that share a node add up; what ends with a job is free for the next of that instant.
    changes = pl.concat(
        [
            held.select(*ID, pl.col("started").alias("valid_from"), "gpus"),
            held.filter(pl.col("ended").is_not_null()).select(
                *ID, pl.col("ended").alias("valid_from"), -pl.col("gpus")
            ),
        ]
    ).sort(*ID, "valid_from", "gpus")
    from_jobs = changes.with_columns(
        pl.col("gpus").cum_sum().over(ID).clip(0, GPUS_LIMIT).cast(pl.UInt16)
    )
    from_states = node_states.select(
        *ID, pl.col("began").alias("valid_from"), pl.lit(0, pl.UInt16).alias("gpus")
    )
    return pl.concat([from_jobs, from_states]).filter(pl.col("node") != "")


def _placed_inventory(nodes: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Inventory rows under the clusters that their nodes were seen in, sorted.

    A row that names its cluster comes before one that does not, should both begin together.
    """
    elsewhere = (
        pl.concat([seen.select(ID), nodes.select(ID)])
        .filter(pl.col("cluster") != "")
        .unique()
        .rename({"cluster": "seen_in"})
    )
    told = nodes.filter(pl.col("cluster") != "")
    untold = (
        nodes.filter(pl.col("cluster") == "")
        .join(elsewhere, on="node", how="left")
        .with_columns(pl.col("seen_in").fill_null("").alias("cluster"))
        .drop("seen_in")
    )
    kept = [name for name in nodes.columns if name in FLEET.dtypes]
    both = pl.concat([told.with_columns(is_told=True), untold.with_columns(is_told=False)])
    order = [*ID, "valid_from", "is_told", "file", "line_no"]
    sorted_rows = both.sort(order, descending=[name == "is_told" for name in order]).select(kept)
    return _without_vague(sorted_rows)


def _without_vague(inventory: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows that say no more than "always there" where another row says since when."""
    is_dated = pl.col("valid_from") > pl.lit(0).cast(inventory.schema["valid_from"])
    says_nothing_else = pl.all_horizontal(pl.col("valid_to", *_PLACES).is_null())
    rows = inventory.with_row_index("row")
    vague = rows.filter(~is_dated & says_nothing_else)
    overruled = vague.join(rows.filter(is_dated), on=[*ID, "gpus"], how="semi")
    return rows.join(overruled, on="row", how="anti", maintain_order="left").drop("row")
