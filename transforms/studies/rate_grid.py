"""What rates are asked of, numbered: places by periods, and the exposure of each from the grid of
node-days.

A unit is a place (what a node is or stands in; everything, if no place is asked for) in a period
(a day, a week, a month; all days, if none). Its number is that of its place times the number of
periods, plus that of its period. Exposure is summed twice, in whole milliseconds: by place and day,
and by node and period; all that is asked of units adds up from these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.fleet import ID
from transforms.node_days import NodeDays, dates, summed
from transforms.studies.scatter import judged

PLACES = ("cluster", "provider", "hall", "rack", "node")
PERIODS = {"day": "1d", "week": "1w", "month": "1mo"}
EVERYTHING, ALWAYS = "\x1fall", "\x1fdays"
"""The place and the period of those who ask for none."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grouped:
    """The exposure of cells, rows by columns, of which a row's and a column's group make the unit."""

    ms: Ints
    period: Ints
    place: Ints

    def by_unit(self, values: np.ndarray, units: "RateGrid") -> np.ndarray:
        """Sum of `values` (one a cell), by number of unit."""
        by_period = summed(values, self.period, units.periods.height, axis=0)
        return summed(by_period, self.place, units.places.height, axis=1).T.reshape(-1)

    def of_unit(self, unit: int, units: "RateGrid") -> Ints:
        """The exposure of the unit's cells at risk, in their order."""
        place, period = divmod(unit, units.periods.height)
        mine = self.ms[np.ix_(self.period == period, self.place == place)].reshape(-1)
        return mine[mine > 0]


@dataclass(frozen=True)
class RateGrid:
    """Units, and the days and nodes that they are made of.

    places   names of each place; place: the place of each number of a node where it stood
    periods  names of each period; period: the period of each of `days` (since 1970)
    """

    grid: NodeDays
    places: pl.DataFrame
    place: Ints
    periods: pl.DataFrame
    period: Ints
    days: Ints

    @staticmethod
    def of(
        hours: pl.DataFrame, hits: pl.DataFrame, by: Sequence[str]
    ) -> tuple["RateGrid", pl.DataFrame]:
        """Of exposure (day, cluster, node and places) and failures (day, cluster, node); and the
        failures with `unit`, `by_day` and `by_node`: their unit and the cells they fell into,
        -1 for the cell of a node that nothing is known of."""  # fmt: skip
        stands = [name for name in PLACES[1:4] if name in by]
        named = [name for name in PLACES if name in by]
        grid = NodeDays.of(hours, [*ID, *stands])
        row = grid.of_rows(hits)
        number = grid.number_at(row)
        if stands:
            known = pl.Series(number, dtype=pl.Int64).set(pl.Series(row < 0), None)
            stood = grid.nodes.select(pl.col(stands).gather(known))
            hits = pl.concat([hits, stood], how="horizontal")
        number[row < 0] = _named(hits.filter(pl.Series(row < 0)), grid.nodes)
        everything = pl.lit(EVERYTHING).alias(EVERYTHING)
        names = grid.nodes.with_columns(everything).select(EVERYTHING, *named)
        strays = hits.filter(pl.Series(number < 0)).with_columns(everything).select(names.columns)
        places = pl.concat([names, strays]).unique().sort(pl.all())
        place = _named(names, places)
        day = hits["day"].to_physical().cast(pl.Int64).to_numpy()
        days = np.unique(np.concatenate([*(one.days for one in grid.stretches), np.unique(day)]))
        spans = with_periods(pl.DataFrame({"day": dates(days)}), by)
        spans = spans.with_columns(pl.lit(ALWAYS).alias(ALWAYS)).select(
            ALWAYS, *(name for name in PERIODS if name in by)
        )
        periods = spans.unique(maintain_order=True)
        period = _named(spans, periods)
        told = RateGrid(grid, places, place, periods, period, days)
        there = np.where(number >= 0, place[number], -1)
        there[number < 0] = _named(strays, places)
        line = np.searchsorted(days, day)
        return told, hits.with_columns(
            unit=pl.Series(there * periods.height + period[line]),
            by_day=pl.Series(line * places.height + there),
            by_node=pl.Series(np.where(number < 0, -1, period[line] * grid.nodes.height + number)),
        )

    @property
    def names(self) -> pl.DataFrame:
        """The names of every unit, in the order of their numbers."""
        return self.places.join(self.periods, how="cross", maintain_order="left_right")

    def by_day(self, column: str) -> Grouped:
        """Places by day."""
        found = np.zeros((len(self.days), self.places.height), np.int64)
        values = self.grid.rows[column].to_numpy()
        for one in self.grid.stretches:
            line = np.searchsorted(self.days, one.days)
            found[line] += summed(one.grid(values), self.place[one.nodes], self.places.height, 1)
        return Grouped(found, self.period, np.arange(self.places.height))

    def by_node(self, column: str) -> Grouped:
        """Nodes, each where it stood, by period."""
        found = np.zeros((self.periods.height, self.grid.nodes.height), np.int64)
        values = self.grid.rows[column].to_numpy()
        for one in self.grid.stretches:
            line = np.searchsorted(self.days, one.days)
            mine = summed(one.grid(values), self.period[line], self.periods.height, 0)
            found[:, one.nodes] += mine
        return Grouped(found, np.arange(self.periods.height), self.place)

    def has_exposure(self) -> np.ndarray:
        """Whether there is a row of exposure, by number of unit."""
        there = np.zeros((self.places.height, self.periods.height), bool)
        for one in self.grid.stretches:
            period = np.unique(self.period[np.searchsorted(self.days, one.days)])
            there[np.ix_(np.unique(self.place[one.nodes]), period)] = True
        return there.reshape(-1)

    def scattered(
        self, cells: Grouped, hits: pl.DataFrame, kinds: Sequence[str], seed: int
    ) -> pl.DataFrame:
        """unit, kinds, phi and is_poisson of `hits` (unit, kinds, cell, failures), as `scatter`
        judges them by `cells`."""
        ms = np.append(cells.ms.reshape(-1), 0)
        at_risk = cells.ms > 0
        inverse = np.divide(1.0, cells.ms, out=np.zeros(cells.ms.shape), where=at_risk)
        of_unit = pl.DataFrame(
            {
                "cells": cells.by_unit(at_risk, self),
                "whole": cells.by_unit(cells.ms, self),
                "inverse": cells.by_unit(inverse, self),
            }
        )
        keys = ["unit", *kinds]
        seen = hits.group_by(*keys, "cell").agg(pl.col("failures").sum())
        y, e = pl.col("failures"), pl.col("ms")
        told = (
            seen.with_columns(ms=pl.Series(ms[seen["cell"].to_numpy()]))
            .filter(e > 0)
            .group_by(keys)
            .agg(total=y.sum(), squares=(y.cast(pl.Float64) ** 2 / e).sum())
            .sort(keys)
        )
        told = pl.concat([told, of_unit[told["unit"]]], how="horizontal")
        return judged(
            told,
            keys,
            lambda some: (cells.of_unit(unit, self) for unit in some["unit"]),
            seed,
        )


def with_periods(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Add the column `week` (its Monday) or `month` (its first) where `by` names it."""
    made = [
        pl.col("day").dt.truncate(every).alias(name)
        for name, every in PERIODS.items()
        if name in by and name != "day"
    ]
    return frame.with_columns(made)


def _named(rows: pl.DataFrame, known: pl.DataFrame) -> Ints:
    """Which row of `known` each of `rows` is by the names that `known` has; -1 if none."""
    numbered = known.with_row_index("\x1fnumber")
    keys = known.columns
    found = rows.select(keys).join(
        numbered, on=keys, how="left", maintain_order="left", nulls_equal=True
    )
    return found["\x1fnumber"].cast(pl.Int64).fill_null(-1).to_numpy()
