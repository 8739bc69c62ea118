"""From what was watched to lives with a beginning, an end or none, one row each.

first-failure     from commissioning to the first failure seen
between-failures  from each failure to the next of that unit; the stretch before the first is none
repair            from out of service to back in service
removal           from commissioning to leaving the fleet for a fault

Lives have `entry` and `exit` (exit > entry), `is_end`, `is_zero`: it ended in the instant it began.
Such a life is given the shortest time that the clock can tell, so that it counts, and no more.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from transforms.fleet import ID
from transforms.lives import LABELS, MOMENT, Watched
from transforms.operating import operated_by_node

KINDS = ("class", "component")


def first_failures(watched: Watched, kinds: Sequence[str]) -> pl.DataFrame:
    """One life per unit, and per kind where kinds are asked: a failure of one ends no other's."""
    units = watched.units
    if kinds:
        units = units.join(watched.hits.select(kinds).unique().sort(kinds), how="cross")
    first = watched.hits.group_by(["unit", *kinds]).agg(pl.col("age").min())
    return _settled(
        units.join(first, on=["unit", *kinds], how="left").with_columns(
            exit=pl.coalesce("age", "exit"), is_end=pl.col("age").is_not_null()
        )
    )


def removals(watched: Watched) -> pl.DataFrame:
    return _settled(watched.units.with_columns(is_end=pl.col("is_lost")))


def gpu_gaps(watched: Watched, kinds: Sequence[str]) -> pl.DataFrame:
    """Between failures of each GPU, on the time that it sat in a slot."""
    hits = watched.hits.join(watched.units.drop("cluster"), on="unit", how="left", maintain_order="left")  # fmt: skip
    return _gaps(
        hits.with_columns(
            operated=pl.col("age") - pl.col("entry"), total=pl.col("exit") - pl.col("entry")
        ),
        ["unit"],
        kinds,
    )


def node_gaps(
    watched: Watched, risk: pl.DataFrame, kinds: Sequence[str], until: datetime
) -> pl.DataFrame:
    """Between failures of each node, on its own exposure: `risk` holds node_days of the clock."""
    labels = watched.units.unique(ID, keep="first", maintain_order=True).select(
        *ID, *LABELS[1:], "is_dated"
    )
    hits = operated_by_node(watched.hits, risk, until).join(
        labels, on=ID, how="left", maintain_order="left"
    )
    return _gaps(hits.drop_nulls("operated"), ["number"], kinds)


def repair_spells(
    repairs: pl.DataFrame,
    incidents: pl.DataFrame,
    watched: Watched,
    until: datetime,
    with_planned: bool,
) -> pl.DataFrame:
    """Repairs in hours, open ones censored at `until`; class and component of what began them."""
    labels = watched.units.unique(ID, keep="first", maintain_order=True).select(*ID, *LABELS[1:])
    causes = incidents.select("incident", "class", "component").cast({"class": pl.String})
    back = pl.min_horizontal(pl.col("up_again").fill_null(until), pl.lit(until))
    hours = (back - pl.col("down_from")).dt.total_microseconds() / 3.6e9
    spells = repairs if with_planned else repairs.filter(~pl.col("planned"))
    return _settled(
        spells.filter(pl.col("down_from") <= until)
        .join(labels, on=ID, how="left", maintain_order="left")
        .join(causes, on="incident", how="left", maintain_order="left")
        .with_columns(
            pl.col(KINDS).fill_null("no incident"),
            entry=0.0,
            exit=hours,
            is_end=(pl.col("up_again") <= until).fill_null(False),
            is_dated=True,
        )
    )


def _gaps(hits: pl.DataFrame, unit: Sequence[str], kinds: Sequence[str]) -> pl.DataFrame:
    """`hits` with `operated` and `total` of their units, as lives; `share` is operated / total."""
    following = pl.col("operated").shift(-1).over([*unit, *kinds])
    return _settled(
        hits.sort(*unit, *kinds, "operated").with_columns(
            entry=0.0,
            exit=pl.coalesce(following, "total") - pl.col("operated"),
            is_end=following.is_not_null(),
            share=(pl.col("operated") / pl.col("total")).clip(MOMENT, 1),
        )
    )


def _settled(lives: pl.DataFrame) -> pl.DataFrame:
    is_zero = pl.col("is_end") & (pl.col("exit") - pl.col("entry") <= MOMENT)
    return lives.with_columns(
        is_zero=is_zero, exit=pl.max_horizontal("exit", pl.col("entry") + MOMENT)
    )
