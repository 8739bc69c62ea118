"""What a regression is fitted to: failures and node-days of each node within each combination of
levels, added up from the grid of node-days.

On a day a node stands in its places, has the row of the fleet that holds then, is of some age and
lives in some month. All but the places are numbers that a day and a node give, so that a day of
a node goes into its cell by arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.fleet import ID
from transforms.mtbf import DAY_MS
from transforms.node_days import NodeDays, dates

ON_THE_DAY = ("cluster", "provider", "hall", "rack")
OF_THE_FLEET = {"model": "gpu_model", "pdu": "pdu", "leaf_switch": "leaf_switch", "cooling_loop": "cooling_loop"}  # fmt: skip
AGES = (30, 90, 180, 365, 730)
"""Days in the fleet at which an age band ends."""
NOT_TOLD = "not told"

Ints = npt.NDArray[np.int64]


def cells_of(
    hours: pl.DataFrame, hits: pl.DataFrame, fleet: pl.DataFrame, factors: Sequence[str]
) -> pl.DataFrame:
    """cluster, node, factors, node_days, failures: a row for each combination with exposure.

    hours  day, cluster, node, ms at risk, and the places that factors name; a row a node and day
    hits   day, cluster, node, failures; those on days without exposure are left out
    """
    stands = [name for name in ON_THE_DAY[1:] if name in factors]
    grid = NodeDays.of(hours, [*ID, *stands])
    kinds = Kinds.of(grid, fleet, factors)
    ms = grid.rows["ms"].to_numpy()
    total = np.zeros(grid.nodes.height * kinds.count, np.int64)
    for one in grid.stretches:
        cell = kinds.cells(one.days[:, None], one.nodes[None, :])
        np.add.at(total, np.broadcast_to(cell, one.grid(ms).shape), one.grid(ms))
    seen = np.zeros_like(total)
    row = grid.of_rows(hits)
    is_there = (row >= 0) & (np.append(ms, 0)[row] > 0)
    day = hits["day"].to_physical().cast(pl.Int64).to_numpy()[is_there]
    cell = kinds.cells(day, grid.number_at(row[is_there]))
    np.add.at(seen, cell, hits["failures"].to_numpy()[is_there].astype(np.int64))
    cells = np.flatnonzero(total)
    number, kind = np.divmod(cells, kinds.count)
    by = list(dict.fromkeys((*ID, *factors)))
    return (
        pl.concat([grid.nodes[number], kinds.told(number, kind)], how="horizontal")
        .with_columns(ms=pl.Series(total[cells]), failures=pl.Series(seen[cells]))
        .group_by(by)
        .agg(node_days=pl.col("ms").sum() / DAY_MS, failures=pl.col("failures").sum())
        .with_columns(pl.col(factors).fill_null(NOT_TOLD))
        .sort(by)
    )


@dataclass(frozen=True)
class Kinds:
    """What a node's days are told apart by, in numbers.

    rows   the fleet in order of node and day; starts: where each number's begin
    since  by number and rank, the day from which on a row holds; born: the first of them
    """

    rows: pl.DataFrame
    starts: Ints
    since: Ints
    born: Ints
    months: pl.DataFrame
    first: int
    month: Ints
    bands: int

    @staticmethod
    def of(grid: NodeDays, fleet: pl.DataFrame, factors: Sequence[str]) -> "Kinds":
        nodes = grid.nodes.select(ID).with_row_index("number")
        rows = (
            fleet.join(nodes, on=ID)
            .with_columns(from_day=pl.col("valid_from").dt.date().to_physical().cast(pl.Int64))
            .sort("number", "valid_from", maintain_order=True)
        )
        number, day = rows["number"].to_numpy(), rows["from_day"].to_numpy()
        count = np.bincount(number, minlength=nodes.height)
        starts = np.cumsum(count) - count
        since = np.full((nodes.height, count.max(initial=0)), np.iinfo(np.int64).max)
        since[number, np.arange(rows.height) - starts[number]] = day
        born = np.full(nodes.height, np.iinfo(np.int32).max, np.int64)
        born[count > 0] = day[starts[count > 0]]
        days = np.concatenate([one.days for one in grid.stretches] or [np.zeros(0, np.int64)])
        first = int(days.min(initial=0)) if not len(days) else int(days.min())
        every = np.arange(first, int(days.max(initial=first)) + 1)
        month = pl.DataFrame({"month": dates(every).dt.strftime("%Y-%m")})
        months = month.unique(maintain_order=True)
        in_order = month.join(months.with_row_index("at"), on="month", maintain_order="left")
        at = in_order["at"].cast(pl.Int64).to_numpy() if "month" in factors else np.zeros(len(every), np.int64)  # fmt: skip
        bands = len(AGES) + 2 if "age" in factors else 1
        return Kinds(rows, starts, since, born, months, first, at, bands)

    @property
    def count(self) -> int:
        return (self.since.shape[1] + 1) * self.bands * self.months.height

    def cells(self, day: Ints, number: Ints) -> Ints:
        """The cell of each day and number, which are broadcast."""
        rank = sum((day >= self.since[number, k] for k in range(self.since.shape[1])), start=0)
        band: Ints | int = 0
        if self.bands > 1:
            age = day - self.born[number]
            band_of = np.searchsorted(AGES, np.arange(AGES[-1] + 1), "right") + 1
            band = np.append(band_of, 0)[np.clip(age, -1, AGES[-1])]
        month = self.month[day - self.first]
        return ((number * (self.since.shape[1] + 1) + rank) * self.bands + band) * self.months.height + month  # fmt: skip

    def told(self, number: Ints, kind: Ints) -> pl.DataFrame:
        """The factors that a number's kinds stand for, in words."""
        rest, month = np.divmod(kind, self.months.height)
        rank, band = np.divmod(rest, self.bands)
        row = pl.Series(self.starts[number] + rank - 1).set(pl.Series(rank == 0), None)
        home = self.rows.select(pl.col("evidence", *OF_THE_FLEET.values()).gather(row))
        is_dated = (home["evidence"].cast(pl.String) == "inventory").fill_null(False)
        words = pl.Series(["", *age_bands()])[band]
        return home.select(
            **{name: pl.col(column) for name, column in OF_THE_FLEET.items()},
            age=pl.when(is_dated & pl.Series(band > 0)).then(words),
            month=self.months["month"][month],
        )


def age_bands() -> list[str]:
    edges = [0, *AGES]
    return [
        *(f"{a} to {b - 1} days" for a, b in zip(edges, AGES, strict=False)),
        f"{AGES[-1]} days or more",
    ]
