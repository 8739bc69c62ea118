"""Operation as a clock: instants told in node-days gone by since the watch began (R-10).

A fleet that grows fails more often per week, which is no trend. On the node-days that it has
operated, whatever the calendar says, failures of a steady fleet come evenly.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from transforms.fleet import ID
from transforms.node_days import NodeDays, day_sums

DAY_US = 86_400_000_000
MIDNIGHT = pl.col("at").dt.truncate("1d")


def observed_until(exposure: pl.DataFrame) -> datetime:
    """The last instant that `exposure` covers: its last day up to the longest wall time in it."""
    last = exposure["day"].max()
    wall_ms = exposure.filter(pl.col("day") == last)["wall_ms"].max()
    return pl.Series([last]).cast(pl.Datetime("us", "UTC"))[0] + timedelta(milliseconds=wall_ms)  # type: ignore[arg-type]


def observed_since(exposure: pl.DataFrame) -> datetime:
    return pl.Series([exposure["day"].min()]).cast(pl.Datetime("us", "UTC"))[0]


def operation(exposure: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
    """What each unit had operated before each of its days: units, day, node_days, before.

    `exposure` holds node_days on the clock asked for. Without units the whole fleet is one. Rows
    come day by day.
    """
    by_day = exposure.select(*units, "day", "node_days")
    if not set(ID) <= set(units):  # a node has one row a day already
        by_day = day_sums(by_day, units, "node_days").sort("day", *units)
    elif not by_day["day"].is_sorted():
        by_day = by_day.sort("day", maintain_order=True)
    before = pl.col("node_days").cum_sum() - pl.col("node_days")
    return by_day.with_columns(before=before.over(units) if units else before)


def operated(events: pl.DataFrame, days: pl.DataFrame, units: Sequence[str], until: datetime):  # type: ignore[no-untyped-def]
    """`events` (units, at) with `operated`: node-days gone by when each happened, null off the clock.

    Inside a day operation is taken as even; the last day ends at `until`. Instants are known to a
    microsecond, and stand in the middle of theirs.
    """
    keys = [*units, "day"]
    events = events.with_columns(day=pl.col("at").dt.date())
    days = days.join(events.select(keys), on=keys, how="semi", nulls_equal=True)
    told = events.join(days, on=keys, how="left", nulls_equal=True)
    return told.with_columns(operated=_gone(until)).drop("node_days", "before")


def operated_by_node(events: pl.DataFrame, risk: pl.DataFrame, until: datetime) -> pl.DataFrame:
    """`operated` where each node is a unit; `total`, the node-days of each in all; and `number`,
    which is a node's place among them by cluster and name, -1 if it is not there.

    `risk` holds node_days on the clock asked for.
    """
    grid = NodeDays.of(risk.select("day", *ID, "node_days"))
    days = grid.rows["node_days"].to_numpy()
    events = events.with_columns(day=pl.col("at").dt.date())
    number = grid.numbers(events)
    row = grid.find(number, events["day"].to_physical().cast(pl.Int64).to_numpy())
    is_there, is_known = row >= 0, number >= 0
    told = events.with_columns(
        pl.Series("number", number),
        pl.Series("node_days", np.where(is_there, days[row], np.nan)),
        pl.Series("before", np.where(is_there, grid.before(days)[row], np.nan)),
        pl.Series("total", np.where(is_known, grid.sums(days)[number], np.nan)),
    ).with_columns(pl.col("node_days", "before", "total").fill_nan(None))
    return told.with_columns(operated=_gone(until)).drop("node_days", "before")


def _gone(until: datetime) -> pl.Expr:
    left_us = (pl.lit(until) - MIDNIGHT).dt.total_microseconds().clip(1, DAY_US)
    gone_us = (pl.col("at") - MIDNIGHT).dt.total_microseconds() + 0.5
    return pl.when(pl.col("node_days") > 0).then(
        pl.col("before") + pl.col("node_days") * (gone_us / left_us).clip(0, 1)
    )


def instants(
    incidents: pl.DataFrame,
    exposure: pl.DataFrame,
    definition: str,
    klass: str | None,
    places: Sequence[str] = (),
) -> pl.DataFrame:
    """Failures one by one, with the `places` where their nodes stood that day.

    Columns day, at, cluster, node, device, gpus, class, component, incident and `places`, which
    are null where the node had no exposure that day.
    """
    from transforms.fleet import place

    chosen = incidents.filter(
        pl.col("counts") & (pl.col("definition").cast(pl.String) == definition)
    ).cast({"class": pl.String})
    if (chosen["cluster"] == "").any():
        chosen = place(chosen, exposure.select(ID).unique())
    rows = chosen if klass is None else chosen.filter(pl.col("class") == klass)
    rows = rows.select(
        "day", pl.col("began").alias("at"), *ID, "device", "gpus", "class", "component", "incident"
    )
    return stood(rows, exposure, places) if places else rows


def stood(rows: pl.DataFrame, exposure: pl.DataFrame, places: Sequence[str]) -> pl.DataFrame:
    """`rows` (day, cluster, node) with the `places` where their nodes stood that day, else null."""
    names = [name for name in places if exposure.schema[name] == pl.String]
    grid = NodeDays.of(exposure.select("day", *ID, *places), [*ID, *names])
    row = grid.of_rows(rows)
    number = pl.Series(grid.number_at(row), dtype=pl.Int64)
    named = grid.nodes.select(pl.col(names).gather(number.set(number < 0, None)))
    there = pl.concat([named, grid.at(row, [n for n in places if n not in names])], how="horizontal")  # fmt: skip
    return pl.concat([rows, there.select(places)], how="horizontal")
