"""Which files arrived before: asked of a few, whatever the lake has taken in.

Arrivals lie by the day on which they were first seen. Of each day's file the digests are noted as
sorted numbers of 64 bits: those of a few files are looked up among a million others at once, and only
a day that seems to have one of them is read. The notes can be lost; they are made of the files again.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from flows import identity, known
from flows.atomic import publish_bytes
from flows.decoding import load
from flows.lake import Lake
from flows.undated import every
from transforms.contract import Table
from transforms.tables import observed

Numbers: TypeAlias = "array[int]"
HEAD = 3  # numbers: size and time of the file that a note is of, and how many digests it has


class Arrived:
    """The arrivals of a lake as they are when it is first asked."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._rows: dict[Path, dict[str, dict[str, Any]]] = {}

    def get(self, digest: str) -> dict[str, Any] | None:
        """What is known of the file with this digest: its source and what was told of it."""
        number = identity.short(digest)
        for path, (digests, _) in self._days.items():
            if _has(digests, number) and digest in self._of(path):
                return self._of(path)[digest]
        return None

    @cached_property
    def old_sizes(self) -> set[int]:
        """Sizes of files of samples that are still known by their SHA-256."""
        return {size for _, sizes in self._days.values() for size in sizes}

    @cached_property
    def _days(self) -> dict[Path, tuple[Numbers, Numbers]]:
        return dict(_digests(self._lake, observed.ARRIVALS))

    def _of(self, path: Path) -> dict[str, dict[str, Any]]:
        if path not in self._rows:
            rows = load(observed.ARRIVALS, path).select("sha256", "source", "told")
            self._rows[path] = {row["sha256"]: row for row in rows.iter_rows(named=True)}
        return self._rows[path]


def holding(lake: Lake, table: Table, digests: Iterable[str]) -> list[str]:
    """Labels of the files of `table` that may have rows of these digests: all that have, and hardly
    any other."""
    wanted = [identity.short(digest) for digest in digests]
    labels = {path: label for label, path in lake.partitions(table).items()}
    return [
        labels[path]
        for path, (there, _) in _digests(lake, table)
        if path in labels and any(_has(there, number) for number in wanted)
    ]


def _has(digests: Numbers, number: int) -> bool:
    at = bisect_left(digests, number)
    return at < len(digests) and digests[at] == number


def _digests(lake: Lake, table: Table) -> list[tuple[Path, tuple[Numbers, Numbers]]]:
    """The digests of each file, in order, and the sizes that are asked of it."""
    found = []
    for label, path in every(lake, table).items():
        note = lake.state(f"digests/{table.name}/{label or 'undated'}")
        numbers = _noted(note)
        try:
            about = path.stat()
            stamp = (about.st_size, about.st_mtime_ns)
            if tuple(numbers[: HEAD - 1]) != stamp:
                numbers = _numbers(table, path, stamp)
                publish_bytes(note, lake.staging, numbers.tobytes())
        except FileNotFoundError:  # its rows have just been laid by their days
            continue
        end = HEAD + int(numbers[HEAD - 1])
        found.append((path, (numbers[HEAD:end], numbers[end:])))
    return found


def _noted(note: Path) -> Numbers:
    try:
        return array("Q", note.read_bytes())
    except (FileNotFoundError, ValueError):
        return array("Q")


def _numbers(table: Table, path: Path, stamp: tuple[int, int]) -> Numbers:
    """What is noted of one file."""
    rows = load(table, path)
    digests = rows["sha256"].unique().to_list()
    sizes: list[int] = []
    if table is observed.ARRIVALS:
        bulk = [name for name in rows["source"].unique() if known.is_bulk(name)]
        is_old = pl.col("source").is_in(bulk) & ~pl.col("sha256").str.starts_with(identity.XXH3)
        sizes = rows.filter(is_old)["bytes"].to_list()
    return array("Q", [*stamp, len(digests), *sorted(map(identity.short, digests)), *sizes])
