"""What was watched, from which age to which, and what happened to it: the matter of life analysis.

A unit is a node under one host name without a break, or a GPU under one serial. Its age counts
from the day it was commissioned; a GPU's only runs while it sits in a slot, whichever. Who was
there before the records begin enters the watch at its age of that day, not at 0 (left truncation);
who is still there, or left for no fault, leaves it without an end (right censoring; methods T-4).
Where nobody knows since when, age 0 is the first day of the records.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from transforms.catalogue import classify_reasons
from transforms.fleet import ID, place

LABELS = ("cluster", "provider", "hall", "rack", "model")
ALWAYS = pl.lit(0).cast(pl.Datetime("us", "UTC"))
DAY_US = 86_400_000_000
MOMENT = 1 / DAY_US
"""What the clock can tell apart, in days. Two failures at one instant are this far apart."""


@dataclass(frozen=True)
class Watched:
    """Units under watch and what befell them; ages in days.

    units  unit, LABELS, node, entry, exit, is_lost (left for a fault), is_silent (left, and nobody
           says why), is_dated (its age is known)
    hits   unit, age, at, class, component: failures within the watch of their unit
    strays failures of no unit that was watched then
    """

    units: pl.DataFrame
    hits: pl.DataFrame
    strays: int


def nodes_watched(
    fleet: pl.DataFrame, nodes: pl.DataFrame, events: pl.DataFrame, since: datetime, until: datetime
) -> Watched:
    """Nodes by host name; a new life begins where the inventory has a gap.

    `nodes` is the inventory as observed: it alone says why a node left. A node that was racked anew
    lives on, and stands where it stood when the watch of it began.
    """
    spells = fleet.sort(*ID, "valid_from").rename({"gpu_model": "model"})
    is_new = (pl.col("valid_from") > pl.col("valid_to").shift(1)).over(ID).fill_null(True)
    spells = spells.with_columns(life=is_new.cum_sum())
    reasons = place(nodes, fleet).select(*ID, "valid_to", "removal_reason").drop_nulls("valid_to")
    lives = (
        spells.sort("life", "valid_from")
        .group_by("life", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in ID),
            pl.col("valid_from").first(),
            pl.when(pl.col("valid_to").is_null().any())
            .then(None)
            .otherwise(pl.col("valid_to").max())
            .alias("valid_to"),
            *(
                pl.col(name)
                .filter((pl.col("valid_to") > since).fill_null(True))
                .first()
                .alias(name)
                for name in LABELS[1:]
            ),
        )
        .join(reasons.unique([*ID, "valid_to"]), on=[*ID, "valid_to"], how="left")
        .filter(pl.col("valid_from") < until, (pl.col("valid_to") > since).fill_null(True))
        .sort("life")
        .with_row_index("unit")
    )
    is_dated = pl.col("valid_from") > ALWAYS
    born = pl.when(is_dated).then("valid_from").otherwise(pl.lit(since))
    began = pl.max_horizontal("born", pl.lit(since))
    ended = pl.min_horizontal(pl.col("valid_to").fill_null(until), pl.lit(until))
    lives = lives.with_columns(born=born, is_dated=is_dated).with_columns(
        entry_at=began, exit_at=ended
    )
    units = _left(lives, until).select(
        "unit",
        *LABELS,
        "node",
        _days("entry_at", "born").alias("entry"),
        _days("exit_at", "born").alias("exit"),
        "is_lost",
        "is_silent",
        "is_dated",
    )
    found = events.join(lives.select("unit", *ID, "born", "entry_at", "exit_at"), on=ID)
    hits = found.filter(pl.col("at").is_between("entry_at", "exit_at"))
    if lives.select(ID).is_duplicated().any():  # one life may end as the next begins
        hits = hits.sort("unit", "at").unique(["incident"], keep="first", maintain_order=True)
    hits = hits.with_columns(age=_days("at", "born"))
    return _watched(units, hits, events.height)


def gpus_watched(
    gpus: pl.DataFrame, fleet: pl.DataFrame, events: pl.DataFrame, since: datetime, until: datetime
) -> Watched:
    """GPUs by serial, across slots and nodes; a life ends where the serial turns up nowhere again.

    A failure belongs to the GPU that sat at its root's bus address then, else to the only GPU that
    the incident names. What overlaps in the records of one serial counts once.
    """
    following = pl.col("valid_from").shift(-1).over("serial")
    was_dated = pl.col("valid_from") > ALWAYS
    spells = (
        place(gpus, fleet)
        .sort("serial", "valid_from")
        .filter(pl.col("valid_from") < until)
        .with_columns(
            from_at=pl.when(was_dated).then("valid_from").otherwise(pl.lit(since)),
            to_at=pl.min_horizontal(pl.col("valid_to").fill_null(until), following, pl.lit(until)),
        )
        .with_columns(to_at=pl.max_horizontal("from_at", "to_at"))
        .with_columns(lasted=_days("to_at", "from_at"))
        .with_columns(before=(pl.col("lasted").cum_sum() - pl.col("lasted")).over("serial"))
    )
    unseen = pl.max_horizontal(_days(pl.lit(since), "from_at"), pl.lit(0.0))
    lives = (
        spells.with_columns(unseen=pl.min_horizontal(unseen, "lasted"))
        .group_by("serial", maintain_order=True)
        .agg(
            pl.col("valid_from").first().alias("born"),
            pl.col("valid_to", "removal_reason", "to_at").last(),
            pl.col("unseen").sum().alias("entry"),
            pl.col("lasted").sum().alias("exit"),
            *(
                pl.col(name).filter(pl.col("to_at") > since).first().alias(name)
                for name in ("cluster", "node", "model")
            ),
        )
        .filter(pl.col("to_at") > since)
        .sort("serial")
        .with_row_index("unit")
    )
    places = (
        fleet.sort(*ID, "valid_from")
        .group_by(ID, maintain_order=True)
        .agg(pl.col("provider", "hall", "rack").last())
    )
    units = (
        _left(lives.with_columns(is_dated=pl.col("born") > ALWAYS), until)
        .join(places, on=ID, how="left", maintain_order="left")
        .select(
            "unit", *LABELS, "node", "entry", "exit", "is_lost", "is_silent", "is_dated"
        )
    )  # fmt: skip
    return _watched(units, _gpu_hits(spells.join(lives.select("serial", "unit"), on="serial"), events), events.height)  # fmt: skip


def _gpu_hits(spells: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    sat = spells.select("unit", *ID, "pci", "uuid", "serial", "from_at", "to_at", "before")
    only = pl.when(pl.col("gpus").list.len() == 1).then(pl.col("gpus").list.first())
    asked = events.filter((pl.col("device") != "") | (pl.col("gpus").list.len() > 0)).with_columns(
        only=only
    )
    by_slot = asked.join(sat, left_on=[*ID, "device"], right_on=[*ID, "pci"])
    by_uuid = asked.join(sat.drop(ID), left_on="only", right_on="uuid")
    by_serial = asked.join(sat.drop(ID), left_on="only", right_on="serial")
    kept = [*events.columns, "unit", "from_at", "to_at", "before"]
    return (
        pl.concat([part.select(kept) for part in (by_slot, by_uuid, by_serial)])
        .filter(pl.col("at").is_between("from_at", "to_at"))
        .unique(["incident"], keep="first", maintain_order=True)
        .with_columns(age=pl.col("before") + _days("at", "from_at"))
    )


def _left(lives: pl.DataFrame, until: datetime) -> pl.DataFrame:
    """Add is_lost and is_silent: gone before `until` for a fault; gone, with no reason told."""
    is_gone = (pl.col("valid_to") < pl.lit(until)).fill_null(False)
    is_told = pl.col("removal_reason").fill_null("") != ""
    return classify_reasons(lives, "removal_reason").with_columns(
        is_lost=is_gone & is_told & (pl.col("reason_kind") != "planned"),
        is_silent=is_gone & ~is_told,
    )


def _watched(units: pl.DataFrame, hits: pl.DataFrame, events: int) -> Watched:
    units = units.sort("unit")  # whose numbers count from 0
    order = np.lexsort((hits["at"].to_physical().to_numpy(), hits["unit"].to_numpy()))
    found = hits.select("unit", "age", "at", *ID, "class", "component")[order]
    unit, entry = found["unit"].to_numpy(), units["entry"].to_numpy()
    # Whoever enters is at risk right behind its entry: no failure stands on the edge itself.
    age = np.maximum(found["age"].to_numpy(), entry[unit] + MOMENT)
    last = np.maximum(units["exit"].to_numpy(), entry + MOMENT)
    np.maximum.at(last, unit, age)
    return Watched(
        units.with_columns(exit=pl.Series(last)),
        found.with_columns(age=pl.Series(age)),
        events - found.height,
    )


def _days(late: str | pl.Expr, early: str | pl.Expr) -> pl.Expr:
    late, early = (pl.col(end) if isinstance(end, str) else end for end in (late, early))
    return (late - early).dt.total_microseconds() / DAY_US
