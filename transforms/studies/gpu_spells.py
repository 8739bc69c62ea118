"""GPUs in their slots: which board an incident was rooted on, and how long each was at risk there.

A spell is one serial in one slot of one node, from the inventory. An incident belongs to the spell
that held its root device when it began, whether that device was told by bus address, uuid, serial
or slot number; one whose device nobody knows belongs to none. A board is at risk while its node is.
"""

import polars as pl

from transforms.studies.base import RefusalError

NODE = ["cluster", "node"]
SLOT = ["cluster", "node", "place"]
SPELL = ["cluster", "node", "place", "serial", "valid_from"]


def spells(gpus: pl.DataFrame) -> pl.DataFrame:
    """Every spell with its `place`: the slot's bus address, or its number where none is known."""
    placed = gpus.with_columns(
        place=pl.coalesce("pci", pl.lit("slot ") + pl.col("slot").cast(pl.String))
    ).filter(pl.col("place").is_not_null())
    if placed.is_empty():
        raise RefusalError(
            "no inventory of GPUs with serial and slot: ingest one (`faultledger sources` lists "
            "what is read)"
        )
    return placed.select(*SPELL, "valid_to", "uuid", "pci", "slot", "removal_reason")


def hits(found: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    """The incidents whose root device sat in one of the spells: the spell's key, incident, began."""
    names = (
        found.with_columns(
            known_as=pl.concat_list(
                "pci", "uuid", "serial", pl.col("slot").cast(pl.String), "place"
            ).list.unique()
        )
        .explode("known_as")
        .filter(pl.col("known_as").is_not_null())
    )
    alone = pl.when(pl.col("gpus").list.len() == 1).then(pl.col("gpus").list.first())
    told = (
        incidents.select(
            *NODE, "incident", "began", known_as=pl.concat_list(pl.col("device"), alone)
        )
        .explode("known_as")
        .filter(pl.col("known_as").is_not_null() & (pl.col("known_as") != ""))
    )
    return (
        told.join(names, on=[*NODE, "known_as"])
        .filter(
            pl.col("began") >= pl.col("valid_from"),
            pl.col("valid_to").is_null() | (pl.col("began") < pl.col("valid_to")),
        )
        .select(*SPELL, "incident", "began")
        .sort("incident", *SPELL)
        .unique("incident", keep="first", maintain_order=True)
    )


def days_at_risk(found: pl.DataFrame, risk: pl.DataFrame) -> pl.DataFrame:
    """Days each spell was at risk, from `risk`'s node_days; a day cut by a swap is shared by time.

    Spells that outlast the exposure take their node's sum; only the others are cut day by day.
    """
    if risk.is_empty():
        return found.select(SPELL).with_columns(node_days=pl.lit(0.0))
    first, last = risk["day"].min(), risk["day"].max()
    day = pl.col("day").cast(pl.Datetime("us", "UTC"))
    kept = found.select(*SPELL, "valid_to")
    is_whole = (pl.col("valid_from") <= pl.lit(first).cast(pl.Datetime("us", "UTC"))) & (
        pl.col("valid_to").is_null()
        | (pl.col("valid_to") >= pl.lit(last).cast(pl.Datetime("us", "UTC")) + pl.duration(days=1))
    )
    sums = risk.group_by(NODE).agg(pl.col("node_days").sum())
    whole = kept.filter(is_whole).join(sums, on=NODE, how="left")
    until = pl.min_horizontal(pl.col("valid_to"), day + pl.duration(days=1))
    inside = (until - pl.max_horizontal("valid_from", day)).dt.total_microseconds() / 86.4e9
    cut = (
        kept.filter(~is_whole)
        .join(risk.select(*NODE, "day", "node_days"), on=NODE)
        .with_columns(node_days=pl.col("node_days") * inside.clip(0.0, 1.0))
        .group_by(SPELL)
        .agg(pl.col("node_days").sum())
    )
    both = pl.concat([whole.select(*SPELL, "node_days"), cut.select(*SPELL, "node_days")])
    return kept.join(both, on=SPELL, how="left").with_columns(pl.col("node_days").fill_null(0.0))
