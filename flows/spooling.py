"""Rows of a file too large to hold: on the disk, found again by table and partition.

The memory that this takes depends on the size of a piece of the file and on `ROWS_AT_ONCE`, not on
the file. A partition of samples with more rows than that is given in shares, each of them the
devices within a range of names, so that no two shares tell of one device, and the files that they
become lie apart.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from flows.atomic import draft_folder
from flows.partitions import split
from transforms.contract import Table
from transforms.folding import telling
from transforms.tables import BY_NAME

ROWS_AT_ONCE = 2_000_000
MOST_SHARES = 20
"""So many files beside one another are few enough for who reads them; then the shares are larger."""
EVEN = 4  # names to a share, that shares may be about as large
ASKED = 256  # rows of a piece by whose names the ranges are chosen


@dataclass(frozen=True)
class Slice:
    """Rows of one piece in one partition.

    ends   of each device column its first and last name
    asked  some of the device columns' rows
    """

    path: Path
    at: int
    count: int
    ends: Mapping[str, tuple[str, str]]
    asked: pl.DataFrame


@dataclass(frozen=True)
class Share:
    """The devices of [low, high) by one of a table's columns; an end of None is open."""

    column: str
    low: str | None
    high: str | None

    def filter(self) -> pl.Expr:
        inside = pl.lit(True) if self.low is None else pl.col(self.column) >= self.low
        return inside if self.high is None else inside & (pl.col(self.column) < self.high)

    def may_meet(self, one: Slice) -> bool:
        first, last = one.ends[self.column]
        is_after = self.low is not None and last < self.low
        return not is_after and (self.high is None or first < self.high)


@dataclass
class Spool:
    """Rows of one file on the disk, in the order of the file."""

    folder: Path
    settle: Callable[[pl.DataFrame], pl.DataFrame]
    _slices: dict[str, dict[str, list[Slice]]] = field(default_factory=dict)

    @classmethod
    def within(cls, staging: Path, settle: Callable[[pl.DataFrame], pl.DataFrame]) -> "Spool":
        return cls(draft_folder(staging), settle)

    def add(self, frames: Mapping[str, pl.DataFrame]) -> None:
        for name, frame in frames.items():
            table = BY_NAME[name]
            parts = list(split(table, table.conform(frame))) if frame.height else []
            path = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
            if parts:
                whole = pl.concat([rows for _, rows in parts])
                # Of the hundreds of metrics of a sample table a file tells few.
                told = telling(whole) if table.is_sampled else whole
                told.write_ipc(path, compression="lz4")
            start = 0
            for label, rows in parts:
                held = self._slices.setdefault(name, {}).setdefault(label, [])
                names = rows.select(_device(table) if table.is_sampled else [])
                ends = {column.name: (column.min(), column.max()) for column in names}
                asked = names.gather_every(rows.height // ASKED + 1)
                held.append(Slice(path, start, rows.height, ends, asked))  # type: ignore[arg-type]
                start += rows.height

    def tables(self) -> list[Table]:
        return [BY_NAME[name] for name in sorted(self._slices)]

    def partitions(self, table: Table) -> Iterator[pl.DataFrame]:
        """All rows of the file for one partition after the other, or for a share of one."""
        for label in self.labels(table):
            for rows in settled([self], table, label):
                yield table.widen(rows)

    def labels(self, table: Table) -> list[str]:
        return sorted(self._slices.get(table.name, ()))

    def slices(self, table: Table, label: str) -> list[Slice]:
        return self._slices.get(table.name, {}).get(label, [])

    def part(self, table: Table, label: str) -> pl.DataFrame:
        """The rows of one partition, as they came."""
        return table.widen(self.told(table, label))

    def told(self, table: Table, label: str, share: Share | None = None) -> pl.DataFrame:
        """The rows of one partition or of a share of it, without metrics that they do not tell."""
        rows = []
        for one in self.slices(table, label):
            if share is None or share.may_meet(one):
                lazy = pl.scan_ipc(one.path).slice(one.at, one.count)
                rows.append((lazy.filter(share.filter()) if share else lazy).collect())
        return pl.concat(rows, how="diagonal") if rows else table.empty()

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def settled(spools: Sequence[Spool], table: Table, label: str) -> Iterator[pl.DataFrame]:
    """What the pieces of each file together say of one partition, share by share.

    The rows of several files are side by side, as they would be if each came alone.
    """
    for share in _shares(spools, table, label):
        parts = [spool.settle(spool.told(table, label, share)) for spool in spools]
        if any(part.height for part in parts):
            yield pl.concat(parts, how="diagonal")


def _shares(spools: Sequence[Spool], table: Table, label: str) -> list[Share | None]:
    slices = [one for spool in spools for one in spool.slices(table, label)]
    wanted = sum(one.count for one in slices) // ROWS_AT_ONCE + 1
    if wanted == 1 or not table.is_sampled:
        return [None]
    asked = pl.concat([one.asked for one in slices])
    count = min(wanted, MOST_SHARES)
    # By node, unless there are too few: then the devices are told apart by themselves.
    enough = [name for name in asked.columns if asked[name].n_unique() >= EVEN * count]
    column = enough[0] if enough else max(asked.columns, key=lambda name: asked[name].n_unique())
    names = asked[column].sort()
    cuts = sorted({str(names[len(names) * n // count]) for n in range(1, count)})
    lows = [None, *cuts]
    return [Share(column, low, high) for low, high in zip(lows, [*cuts, None], strict=True)]


def _device(table: Table) -> list[str]:
    """The columns that name a device, the widest first."""
    return [name for name in table.key if name not in ("cluster", table.day)]
