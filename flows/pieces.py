"""Files too large to hold: read piece by piece, their rows spooled by day, merged a day at once.

The memory that this takes depends on the size of a piece and of the largest day, not of the file.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from flows.atomic import draft_folder
from flows.errors import RefusedError
from flows.partitions import split
from transforms.contract import Table
from transforms.folding import telling
from transforms.sources.base import Reading
from transforms.tables import BY_NAME

PIECE = 16 * 1024**2  # larger ones cost more to parse, by the page faults of their columns
LONGEST_PIECE = 8 * PIECE
ROWS_AT_ONCE = 1_000_000
MOST_REJECTS = 1_000_000
MOST_UNKNOWN = 1_000_000
"""Names of one file that nobody knows: exporters have some thousands."""


class Readable(Protocol):
    def read(self, count: int) -> bytes: ...

    def check(self) -> None: ...


def blocks(stream: Readable, size: int = PIECE) -> Iterator[bytes]:
    """The stream in blocks of about `size`, each but the last ending with a line feed."""
    rest = b""
    while more := stream.read(size):
        end = more.rfind(b"\n") + 1
        if end:
            yield rest + more[:end]
            rest = more[end:]
        else:
            rest += more
            _not_longer_than(LONGEST_PIECE, rest)
    stream.check()
    if rest:
        yield rest


def cut_up(
    stream: Readable, reading: Reading, size: int = PIECE, longest: int = LONGEST_PIECE
) -> Iterator[bytes]:
    """The stream in pieces of about `size`, cut where `reading` allows."""
    rest = b""
    while more := stream.read(size):
        rest += more
        if cut := reading.cut(rest):
            yield rest[:cut]
            rest = rest[cut:]
        else:
            _not_longer_than(longest, rest)
    stream.check()
    if rest:
        yield rest


def _not_longer_than(most: int, rest: bytes) -> None:
    if len(rest) > most:
        raise RefusedError(
            f"no sound record ends within {most:,} bytes: wrong source or broken file"
        )


@dataclass
class Spool:
    """Rows of one file on the disk, in the order of the file, found again by table and partition."""

    folder: Path
    settle: Callable[[pl.DataFrame], pl.DataFrame]
    _slices: dict[str, dict[str, list[tuple[Path, int, int]]]] = field(default_factory=dict)

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
                held.append((path, start, rows.height))
                start += rows.height

    def tables(self) -> list[Table]:
        return [BY_NAME[name] for name in sorted(self._slices)]

    def partitions(self, table: Table) -> Iterator[pl.DataFrame]:
        """All rows of the file for one partition after the other."""
        for label in self.labels(table):
            yield table.widen(self.settled(table, label))

    def labels(self, table: Table) -> list[str]:
        return sorted(self._slices.get(table.name, ()))

    def settled(self, table: Table, label: str) -> pl.DataFrame:
        """What the pieces together say of one partition, without metrics that they do not tell.

        What many rows say of a thing is brought together for some of the things at a time.
        """
        slices = self._slices.get(table.name, {}).get(label, [])
        shares = sum(count for _, _, count in slices) // ROWS_AT_ONCE + 1
        if shares == 1 or not table.is_sampled:
            return self.settle(self._told(table, label))
        device = pl.concat_str(name for name in table.key if name != table.day)
        share = device.hash(seed=1) % shares
        parts = [self.settle(self._told(table, label, share == n)) for n in range(shares)]
        return pl.concat(parts, how="diagonal")

    def part(self, table: Table, label: str) -> pl.DataFrame:
        """The rows of one partition, as they came."""
        return table.widen(self._told(table, label))

    def _told(self, table: Table, label: str, wanted: pl.Expr | None = None) -> pl.DataFrame:
        slices = self._slices.get(table.name, {}).get(label, [])
        lazy = [pl.scan_ipc(path).slice(at, count) for path, at, count in slices]
        rows = [(one if wanted is None else one.filter(wanted)).collect() for one in lazy]
        return pl.concat(rows, how="diagonal") if rows else table.empty()

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
