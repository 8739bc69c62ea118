"""GPUs in their slots: which board an incident was rooted on, and how long each was at risk there.

A spell is one serial in one slot of one node, from the inventory. An incident belongs to the spell
that held its root device when it began, whether that device was told by bus address, uuid, serial
or slot number; one whose device nobody knows belongs to none. A board is at risk while its node is.
"""

import numpy as np
import polars as pl

from transforms.ledger.timeline import ranges
from transforms.node_days import NodeDays
from transforms.studies.base import RefusalError

DAY_US = 86_400_000_000
NEVER = 2**62

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
    slot, place = pl.col("slot").cast(pl.String), pl.when(pl.col("pci").is_null()).then("place")
    known_by = (pl.col("pci"), pl.col("uuid"), pl.col("serial"), slot, place)
    names = pl.concat(
        found.select(*SPELL, "valid_to", known_as=name).filter(pl.col("known_as").is_not_null())
        for name in known_by
    )
    only = incidents.filter(pl.col("gpus").list.len() == 1)
    told = pl.concat(
        rows.select(*NODE, "incident", "began", known_as=name).filter(pl.col("known_as") != "")
        for rows, name in ((incidents, pl.col("device")), (only, pl.col("gpus").list.first()))
    )
    sat = (
        told.join(names, on=[*NODE, "known_as"])
        .filter(
            pl.col("began") >= pl.col("valid_from"),
            pl.col("valid_to").is_null() | (pl.col("began") < pl.col("valid_to")),
        )
        .select(*SPELL, "incident", "began")
    )
    # Few incidents are told to sit in two spells: only they need an order.
    is_twice = sat["incident"].is_duplicated()
    twice = sat.filter(is_twice).sort("incident", *SPELL)
    return pl.concat(
        [sat.filter(~is_twice), twice.unique("incident", keep="first", maintain_order=True)]
    ).sort("incident")


def days_at_risk(found: pl.DataFrame, risk: pl.DataFrame) -> pl.DataFrame:
    """Days each spell was at risk, from `risk`'s node_days; a day cut by a swap is shared by time.

    Spells that outlast the exposure take their node's sum; only the others are cut day by day.
    """
    if risk.is_empty():
        return found.select(SPELL).with_columns(node_days=pl.lit(0.0))
    grid = NodeDays.of(risk.select("day", *NODE, "node_days"))
    days, number = grid.rows["node_days"].to_numpy(), grid.numbers(found)
    first, last = int(grid.span()[0].min()), int(grid.span()[1].max())
    begins, ends = (found[name].to_physical() for name in ("valid_from", "valid_to"))
    begin = np.maximum(begins.to_numpy(), first * DAY_US)
    end = np.minimum(ends.fill_null(NEVER).to_numpy(), (last + 1) * DAY_US)
    is_whole = (begin == first * DAY_US) & (end == (last + 1) * DAY_US)
    told = np.where((number >= 0) & is_whole, grid.sums(days)[number], 0.0)
    cut = np.flatnonzero((number >= 0) & ~is_whole & (end > begin))
    # Its days one by one, from the one it came on to the one it left on.
    came, went = begin[cut] // DAY_US, -(-end[cut] // DAY_US)
    spell, nth = ranges(went - came)
    day = came[spell] + nth
    row = grid.find(number[cut][spell], day)
    inside = np.minimum(end[cut][spell], (day + 1) * DAY_US) - np.maximum(begin[cut][spell], day * DAY_US)  # fmt: skip
    spent = np.where(row >= 0, days[row], 0.0) * (inside / DAY_US)
    told[cut] = np.bincount(spell, spent, minlength=len(cut))
    return found.select(*SPELL, "valid_to").with_columns(node_days=pl.Series(told))
