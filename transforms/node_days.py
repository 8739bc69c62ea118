"""`exposure` as the grid that it nearly is: the same nodes, day after day.

It is the largest table that studies read, ten million rows of texts for 12,500 nodes over two
years. But from one day to the next a fleet is mostly the same, so its rows come in stretches: days
by nodes, in which no name needs a look. What is asked of nodes (their sums, their first and last
day, one of their days) is then taken from plain arrays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.fleet import ID

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Stretch:
    """Days on end of which each has rows of the same nodes in the same order.

    begin  the row where it begins
    days   days since 1970, one after the other
    nodes  numbers of the nodes, in the order of a day's rows
    """

    begin: int
    days: Ints
    nodes: Ints

    def grid(self, values: Rows) -> Rows:
        """Its part of `values` (one a row of all), days by nodes."""
        size = len(self.days) * len(self.nodes)
        return values[self.begin : self.begin + size].reshape(len(self.days), -1)


@dataclass(frozen=True)
class NodeDays:
    """Rows of `exposure` in order of day, cut into stretches.

    rows   the rows; each node has one a day
    nodes  cluster and node (or the names asked for) of every number, in their order
    """

    rows: pl.DataFrame
    nodes: pl.DataFrame
    stretches: tuple[Stretch, ...]

    @staticmethod
    def of(exposure: pl.DataFrame, keys: Sequence[str] = ID) -> "NodeDays":
        """`exposure` holds at least day, cluster, node, which are its key.

        With more `keys`, such as a hall, a node has a number for every place where it stood.
        """
        is_in_order = exposure["day"].is_sorted()
        rows = exposure if is_in_order else exposure.sort("day", maintain_order=True)
        day = rows["day"].to_physical().to_numpy()
        begins = np.append(0, np.flatnonzero(day[1:] != day[:-1]) + 1)[: len(day)]
        ends = np.append(begins[1:], len(day))[: len(begins)]
        names = rows.select(keys)
        # A stretch ends where a day's names differ from those of the day before.
        fresh: list[int] = []
        last = names.clear()
        for block, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            here = names.slice(begin, end - begin)
            if not here.equals(last):
                fresh.append(block)
                last = here
        layouts = [names.slice(begins[k], ends[k] - begins[k]) for k in fresh]
        nodes, number = _numbered(pl.concat(layouts) if layouts else names)
        cuts = np.cumsum([0, *(layout.height for layout in layouts)])
        stretches = tuple(
            Stretch(
                int(begins[first]), day[begins[first:until]].astype(np.int64), number[cut:next_cut]
            )
            for first, until, cut, next_cut in zip(
                fresh, [*fresh[1:], len(begins)], cuts, cuts[1:], strict=False
            )
        )
        return NodeDays(rows, nodes, stretches)

    def sums(self, values: Rows) -> Rows:
        """Sum of `values` (one a row) by number of node."""
        total = np.zeros(self.nodes.height, values.dtype)
        for one in self.stretches:
            np.add.at(total, one.nodes, one.grid(values).sum(axis=0))
        return total

    def sums_by_period(
        self, columns: Sequence[str], period_of: Callable[[Ints], Ints]
    ) -> pl.DataFrame:
        """number, period and the sums of `columns`: one row a node and period that it has rows in.

        `period_of` gives the number of the period of each day, which must not fall.
        """
        values = {name: self.rows[name].to_numpy() for name in columns}
        parts = []
        for one in self.stretches:
            period = period_of(one.days)
            begins = np.flatnonzero(np.diff(period, prepend=period[0] - 1))
            sums = {n: np.add.reduceat(one.grid(v), begins, axis=0) for n, v in values.items()}
            number = np.tile(one.nodes, len(begins))
            told = {"number": number, "period": np.repeat(period[begins], len(one.nodes))}
            parts.append(pl.DataFrame(told | {n: v.ravel() for n, v in sums.items()}))
        if len(parts) == 1:
            return parts[0]
        return pl.concat(parts).group_by("number", "period").agg(pl.col(columns).sum())

    def before(self, values: Rows) -> Rows:
        """By row, the sum of `values` over the earlier days of its node."""
        found = np.empty_like(values)
        total = np.zeros(self.nodes.height, values.dtype)
        for one in self.stretches:
            mine, here = one.grid(values), one.grid(found)
            here[0] = total[one.nodes]
            np.cumsum(mine[:-1], axis=0, out=here[1:])
            here[1:] += here[0]
            total[one.nodes] = here[-1] + mine[-1]
        return found

    def span(self, is_there: npt.NDArray[np.bool_] | None = None) -> tuple[Ints, Ints]:
        """First and last day by number of node, of all rows or of those where `is_there`.

        Of a node without one the first lies behind the last.
        """
        first = np.full(self.nodes.height, np.iinfo(np.int64).max)
        last = np.full(self.nodes.height, np.iinfo(np.int64).min)
        for one in self.stretches:
            nodes, begin, end = one.nodes, one.days[:1], one.days[-1:]
            if is_there is not None:
                mine = one.grid(is_there)
                some = mine.any(axis=0)
                nodes, mine = nodes[some], mine[:, some]
                begin, end = (
                    one.days[mine.argmax(axis=0)],
                    one.days[::-1][mine[::-1].argmax(axis=0)],
                )
            np.minimum.at(first, nodes, begin)
            np.maximum.at(last, nodes, end)
        return first, last

    def numbers(self, rows: pl.DataFrame) -> Ints:
        """The number of each row's node; -1 of a node that is not here."""
        known = self.nodes.with_row_index("number")
        found = rows.select(ID).join(known, on=ID, how="left", maintain_order="left")
        return found["number"].cast(pl.Int64).fill_null(-1).to_numpy()

    def number_at(self, row: Ints) -> Ints:
        """The number of the node of each row numbered; -1 where that is -1."""
        if not self.stretches:
            return np.full(len(row), -1, np.int64)
        begins = np.array([one.begin for one in self.stretches])
        wide = np.array([len(one.nodes) for one in self.stretches])
        stretch = np.searchsorted(begins, np.maximum(row, 0), "right") - 1
        column = (row - begins[stretch]) % wide[stretch]
        nodes = np.concatenate([one.nodes for one in self.stretches])
        return np.where(row < 0, -1, nodes[(np.cumsum(wide) - wide)[stretch] + column])

    def number_of_row(self) -> Ints:
        """The number of the node of each row of all."""
        parts = [np.tile(one.nodes, len(one.days)) for one in self.stretches]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def find(self, number: Ints, day: Ints) -> Ints:
        """The row of each node and day (days since 1970); -1 where there is none."""
        row = np.full(len(number), -1)
        order = np.argsort(day, kind="stable")
        ordered = day[order]
        column = np.empty(self.nodes.height, np.int64)
        for one in self.stretches:
            some = order[
                np.searchsorted(ordered, one.days[0]) : np.searchsorted(
                    ordered, one.days[-1], "right"
                )
            ]
            if not len(some):
                continue
            column[:] = -1
            column[one.nodes] = np.arange(len(one.nodes))
            line = np.searchsorted(one.days, day[some])
            place = np.where(number[some] < 0, -1, column[number[some]])
            is_there = (one.days[line] == day[some]) & (place >= 0)
            row[some[is_there]] = (one.begin + line * len(one.nodes) + place)[is_there]
        return row

    def of_rows(self, rows: pl.DataFrame) -> Ints:
        """The row of each of `rows` (day, cluster, node); -1 where there is none."""
        if self.nodes.columns != list(ID):
            return NodeDays.of(self.rows.select("day", *ID)).of_rows(rows)
        day = rows["day"].cast(pl.Date).to_physical().cast(pl.Int64).to_numpy()
        return self.find(self.numbers(rows), day)

    def at(self, row: Ints, columns: Sequence[str]) -> pl.DataFrame:
        """`columns` of the rows numbered; null where that is -1."""
        places = pl.Series(row, dtype=pl.Int64)
        return self.rows.select(columns).select(
            pl.all().gather(places.set(places < 0, None).cast(pl.UInt32))
        )


def dates(days: Ints) -> pl.Series:
    """Days since 1970 as dates."""
    return pl.Series(days, dtype=pl.Int32).cast(pl.Date)


def day_sums(exposure: pl.DataFrame, places: Sequence[str], column: str) -> pl.DataFrame:
    """`column` of `exposure` summed by places and day: places, day, column; in order of day."""
    if not places:
        return exposure.group_by("day").agg(pl.col(column).sum()).sort("day")
    grid = NodeDays.of(exposure.select("day", *places, column), places)
    values = grid.rows[column].to_numpy()
    parts: list[tuple[Ints, Ints, Rows]] = []
    for one in grid.stretches:
        there = np.unique(one.nodes)
        sums = summed(one.grid(values), one.nodes, grid.nodes.height, axis=1)[:, there]
        number = np.tile(there, len(one.days))
        parts.append((np.repeat(one.days, len(there)), number, sums.reshape(-1)))
    if not parts:
        return exposure.select(*places, "day", column).clear()
    days, number, sums = (np.concatenate(part) for part in zip(*parts, strict=True))
    return grid.nodes[number].with_columns(pl.Series("day", dates(days)), pl.Series(column, sums))


def summed(values: np.ndarray, group: Ints, groups: int, axis: int) -> np.ndarray:
    """Sum of the rows (axis 0) or columns (axis 1) of `values` by their group."""
    if groups == len(group) and np.array_equal(group, np.arange(groups)):
        return values
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    if not np.array_equal(ordered, group):
        values = np.take(values, order, axis)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    shape = (groups, values.shape[1]) if axis == 0 else (values.shape[0], groups)
    found = np.zeros(shape, np.int64 if values.dtype == bool else values.dtype)
    if len(starts):
        part = np.add.reduceat(values, starts, axis, dtype=found.dtype)
        if axis == 0:
            found[ordered[starts]] = part
        else:
            found[:, ordered[starts]] = part
    return found


def _numbered(names: pl.DataFrame) -> tuple[pl.DataFrame, Ints]:
    """The distinct rows of `names` in their order, and the number of each row's."""
    number, example = combined(column.cast(pl.Categorical) for column in names)
    distinct = names[example]
    order = distinct.with_row_index("was").sort(names.columns)["was"].to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[number]


def combined(columns: Iterable[pl.Series]) -> tuple[Ints, Ints]:
    """The number of each row's combination of what `columns` (of whole or coded values) say, and
    by number the last row that says it."""
    number = np.zeros(0, np.int64)
    kinds = 0
    for place, column in enumerate(columns):
        own, many = dense(column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy())
        number, kinds = dense(number * many + own) if place else (own, many)
    example = np.empty(kinds, np.int64)
    example[number] = np.arange(len(number))
    return number, example


def dense(codes: Ints) -> tuple[Ints, int]:
    """Numbers from 0 in place of `codes`, as they come in size, and how many there are."""
    codes = codes - codes.min(initial=0)
    most = int(codes.max(initial=0))
    if most > 4 * len(codes) + 1_000_000:
        distinct, number = np.unique(codes, return_inverse=True)
        return number, len(distinct)
    is_used = np.zeros(most + 1, bool)
    is_used[codes] = True
    return (np.cumsum(is_used) - 1)[codes], int(is_used.sum())
