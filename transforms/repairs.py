"""Spells out of service: what a repair took, from the node's side (methods R-7).

A spell joins everything that kept one node out without a break: a down, the drain that follows
it, the ticket over both. What began it says whether it was planned. An open spell has no end,
and its statistics treat it as censored, never as missing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms import intervals
from transforms.emptiness import empty_from
from transforms.exposure import out_of_service
from transforms.fleet import ID, place
from transforms.tables.derived import REPAIRS

if TYPE_CHECKING:
    from transforms.recipes import Window

NEAR = pl.duration(minutes=10)
"""How far an incident's first event may lie from the spell that it began."""
LOOK_BACK_DAYS, LOOK_AHEAD_DAYS = 14, 92
"""How far from a spell's first day its incident and its further records are looked for, so that
a day's rows rest on the days around it and not on how many are derived at once."""


@empty_from("node_states", "outages")
def repairs(
    window: "Window",
    *,
    fleet: pl.DataFrame,
    node_states: pl.DataFrame,
    outages: pl.DataFrame,
    incidents: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """One row per node and spell out of service that began in the window.

    A record that begins more than `LOOK_AHEAD_DAYS` after the spell's first day opens no new
    spell, and no longer moves the end of the old one.
    """
    out = out_of_service(node_states, outages, fleet).filter(
        pl.col("service").is_in(["down", "planned"])
    )
    # An open record outlasts all others: as far as instants go.
    endless = pl.lit(2**63 - 1, pl.Int64).cast(out.schema["ended"])
    pieces = intervals.spells(out.with_columns(pl.col("ended").fill_null(endless)), ID)
    reach = pl.col("began").first().dt.truncate("1d") + pl.duration(days=LOOK_AHEAD_DAYS + 1)
    spells = (
        pieces.with_columns(planned=pl.col("service") == "planned")
        .filter(pl.col("began") < reach.over(*ID, "spell", order_by="began"))
        .sort("began", "planned", "reason", "ended", nulls_last=True)
        .group_by(*ID, "spell", maintain_order=True)
        .agg(
            pl.col("began").first().alias("down_from"),
            pl.col("ended").max().replace(endless, None).alias("up_again"),
            pl.col("planned").first(),
            pl.col("reason").drop_nulls().first(),
        )
        .with_columns(pl.col("down_from").dt.date().alias("day"))
        .filter((pl.col("down_from") >= window.since) & (pl.col("down_from") < window.until))
    )
    named = spells.join(
        _beginners(spells, place(incidents, fleet)), on=[*ID, "down_from"], how="left"
    )
    return {"repairs": REPAIRS.conform(named.select(REPAIRS.dtypes.names()).sort(REPAIRS.key))}


def _beginners(spells: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    """The incident that best explains each spell: cluster, node, down_from, incident.

    It touched the node, and began within ten minutes of the spell or was going on when the
    spell began. Coalesced incidents come before recorded ones, failures before signs, then the
    nearest in time, then the smaller id.
    """
    touched = incidents.select(
        "cluster",
        "incident",
        "began",
        "ended",
        "definition",
        "counts",
        pl.col("nodes").alias("node"),
    ).explode("node")
    away = (pl.col("began") - pl.col("down_from")).abs()
    going_on = (pl.col("began") <= pl.col("down_from")) & (pl.col("down_from") < pl.col("ended"))
    oldest = pl.col("down_from").dt.truncate("1d") - pl.duration(days=LOOK_BACK_DAYS)
    return (
        spells.select(*ID, "down_from")
        .join(touched, on=ID)
        .filter((away <= NEAR) | going_on, pl.col("began") >= oldest)
        .sort(
            *ID,
            "down_from",
            pl.col("definition") != "coalesced-180s",
            ~pl.col("counts"),
            away,
            "incident",
        )
        .unique([*ID, "down_from"], keep="first", maintain_order=True)
        .select(*ID, "down_from", "incident")
    )
