"""What an incident touched: the nodes its errors were seen on, and the GPUs by their own names."""

import polars as pl

from transforms.emptiness import empty_from
from transforms.sampled_signs import SAMPLED

GPU_KINDS = ["xid", "lost"]


@empty_from("members")
def nodes_touched(members: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Every error and the nodes it was seen on: incident, cluster, node, at, last, evidence, rank.

    An outage of a rack or a switch touched the nodes that stood there then.
    """
    errors = members.group_by("incident", "error").agg(
        pl.col("unit_kind", "unit", "cluster", "node", "evidence").first(),
        pl.col("at").min(),
        pl.col("at").max().alias("last"),
        pl.col("rank").min(),
    )
    columns = ["incident", "cluster", "node", "at", "last", "evidence", "rank"]
    parts = [errors.filter(pl.col("node") != "").select(columns)]
    for kind, place_of in (("rack", "rack"), ("switch", "leaf_switch")):
        stood = fleet.select("cluster", "node", "valid_from", "valid_to", unit=place_of)
        parts.append(
            errors.filter(pl.col("unit_kind") == kind)
            .drop("node")
            .join(stood, on=["cluster", "unit"])
            .filter(
                pl.col("valid_from") <= pl.col("at"),
                (pl.col("valid_to") > pl.col("at")).fill_null(True),
            )
            .select(columns)
        )
    return pl.concat(parts).unique()


@empty_from("members")
def gpus_touched(members: pl.DataFrame, gpus: pl.DataFrame) -> pl.DataFrame:
    """GPUs that each incident touched: the uuid where the inventory knows it, else node/pci."""
    slots = gpus.filter(pl.col("pci").is_not_null() & pl.col("uuid").is_not_null()).select(
        "cluster", "node", "valid_from", "valid_to", "uuid", device="pci"
    )
    named = (
        members.filter(
            pl.col("kind").is_in(GPU_KINDS),
            pl.col("device") != "",
            ~pl.col("source_table").is_in(SAMPLED),
        )
        .group_by("incident", "cluster", "node", "device")
        .agg(pl.col("at").min())
    )
    known = (
        named.join(slots, on=["cluster", "node", "device"])
        .filter(
            pl.col("valid_from") <= pl.col("at"),
            (pl.col("valid_to") > pl.col("at")).fill_null(True),
        )
        .group_by("incident", "cluster", "node", "device")
        .agg(pl.col("uuid").min())
    )
    where = ["incident", "cluster", "node", "device"]
    told = named.join(known, on=where, how="left").select(
        "incident", gpu=pl.coalesce("uuid", pl.format("{}/{}", "node", "device"))
    )
    sampled = members.filter(
        pl.col("source_table").is_in(SAMPLED), pl.col("device") != "", pl.col("class") == "GPU"
    ).select("incident", gpu="device")
    recorded = members.filter(pl.col("unit_kind") == "gpu").select("incident", gpu="unit")
    return (
        pl.concat([told, sampled, recorded])
        .group_by("incident")
        .agg(pl.col("gpu").unique().sort().alias("gpus"))
    )
