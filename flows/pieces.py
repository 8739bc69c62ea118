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
from transforms.sources.base import Reading
from transforms.tables import BY_NAME

PIECE = 16 * 1024**2  # larger ones cost more to parse, by the page faults of their columns
LONGEST_PIECE = 8 * PIECE
MOST_REJECTS = 1_000_000


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
                pl.concat([rows for _, rows in parts]).write_ipc(path, compression="lz4")
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
            yield self.settle(self.part(table, label))

    def labels(self, table: Table) -> list[str]:
        return sorted(self._slices.get(table.name, ()))

    def part(self, table: Table, label: str) -> pl.DataFrame:
        """The rows of one partition, as they came."""
        slices = self._slices.get(table.name, {}).get(label, [])
        rows = [pl.scan_ipc(path).slice(at, count).collect() for path, at, count in slices]
        return pl.concat(rows) if rows else table.empty()

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
