"""The lake: one folder, one Parquet file a table and day, replaced whole or not at all.

    <root>/landed/<source>/<sha256>.zst                     bytes as they came
    <root>/observed/<table>/day=2026-03-02/part.parquet     what the sources said
    <root>/observed/<table>/day=.../hour=07/part.parquet    samples; late ones may lie beside it
    <root>/derived/<table>/day=2026-03-02/part.parquet      what we concluded
    <root>/<room>/<table>/part.parquet                      tables without a day
    <root>/reports/<week>/                                  report.html, .md, .json
    <root>/.staging .locks .state .snapshots                drafts, locks, what can be made again

Parquet readers open a file by name more than once, so a file replaced in the middle of a query
breaks the query. Whatever must never break reads a snapshot: a folder of hard links to the files
of one moment, which nothing touches until it is the oldest of several.
"""

import json
import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from flows import lates
from flows.atomic import locked, publish, publish_bytes
from flows.decoding import batches, load, together
from flows.footers import footer
from flows.partitions import (
    file_of,
    floor,
    labels,
    labels_within,
    partition,
    split,
    within,
    within_days,
)
from transforms.contract import ContractError, Table
from transforms.folding import folded, telling

PART = "part.parquet"
DEPTHS = {"none": 0, "day": 1, "hour": 2}
ROOMS = ("landed", "observed", "derived", "reports")
LARGE = 64 * 1024**2  # bytes: from here on, packing them tightly takes as long as reading them


@dataclass(frozen=True)
class Lake:
    root: Path

    @property
    def staging(self) -> Path:
        return self.root / ".staging"

    @property
    def warehouse(self) -> Path:
        return self.root / "faultledger.duckdb"

    def state(self, name: str) -> Path:
        """A file or folder of notes that can be lost without losing a byte of the tables."""
        return self.root / ".state" / name

    def report(self, week: str) -> Path:
        return self.root / "reports" / week

    def lock(self, name: str) -> AbstractContextManager[None]:
        return locked(self.root / ".locks" / name)

    # landed: bytes as they came

    def land(self, source: str, sha256: str, opened: Callable[[], Any], size: int) -> None:
        """Keep the bytes, unless they are here; the name is the hash of what is inside."""
        path = self.landed_path(source, sha256)

        def pack(draft: Path) -> None:
            packer = zstandard.ZstdCompressor(level=6 if size < LARGE else 3)
            with draft.open("wb") as file:
                packer.copy_stream(opened(), file, size=size)

        if not path.exists():
            publish(path, self.staging, pack)

    def landed(self, source: str, sha256: str) -> bytes:
        packed = self.landed_path(source, sha256).read_bytes()
        return zstandard.ZstdDecompressor().decompress(packed)

    def landed_path(self, source: str, sha256: str) -> Path:
        return self.root / "landed" / source / f"{sha256}.zst"

    # tables: finding

    def globs(self, table: Table) -> tuple[str, str]:
        """The glob of all files of a table, from its folder, and the name of a partition's one."""
        depth = "*/" * DEPTHS[partition(table)]
        return f"{depth}{'*.parquet' if table.is_sampled else PART}", PART

    def folder(self, table: Table) -> Path:
        return self.root / table.room / table.name

    def partitions(self, table: Table, *named: str) -> dict[str, Path]:
        """Label to file, in order: 'day=2026-03-02', of samples 'day=.../hour=07', '' if undated.

        What lies beside an hour's file has a label of its own below it.
        """
        folder = self.folder(table)
        known = named or labels(folder, DEPTHS[partition(table)])
        found = {label: folder / file_of(label, PART) for label in known}
        there = {label: path for label, path in found.items() if os.path.exists(path)}
        if table.is_sampled and not named:
            there |= lates.of(there)
        return dict(sorted(there.items()))

    def within(
        self, table: Table, since: datetime | None, until: datetime | None
    ) -> dict[str, Path]:
        """Label to file, in order, of the partitions of a dated table that begin in [since, until)."""
        named = list(labels_within(self.folder(table), DEPTHS[partition(table)], since, until))
        found = self.partitions(table, *named) if named else {}
        return dict(sorted((found | lates.of(found)).items())) if table.is_sampled else found

    def stamps(
        self, table: Table, since: datetime | None = None, until: datetime | None = None
    ) -> dict[str, tuple[int, int]]:
        """Label to size and time of change (ns) of all files, or of those that begin in [since, until)."""
        paths = self.within(table, since, until) if since or until else self.partitions(table)
        found = {}
        for label, path in paths.items():
            with suppress(FileNotFoundError, NotADirectoryError):
                about = os.stat(path)
                found[label] = (about.st_size, about.st_mtime_ns)
        return found

    def files(
        self, table: Table, since: datetime | None = None, until: datetime | None = None
    ) -> list[Path]:
        """The files that can hold a row of [since, until)."""
        if table.day is None:
            return list(self.partitions(table).values())
        if since is None or not table.interval:
            early = floor(table, since) if since else None
            return list(self.within(table, early, until).values())
        ends = (
            (path, footer(path).reach(table.interval[1]))
            for path in self.within(table, None, until).values()
        )
        return [path for path, end in ends if end is None or end >= since]

    # tables: reading and writing

    def read(
        self,
        table: Table,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Collection[str] | None = None,
        files: list[Path] | None = None,
    ) -> pl.DataFrame:
        """Rows of [since, until): by their day, or, where rows last, all that overlap it.

        `columns` alone are read and given, in the table's order; by default all. `files` are those
        that can hold such rows, if the caller knows.
        """
        wanted = [name for name in table.dtypes if columns is None or name in columns]
        if strange := set(columns or ()) - set(wanted):
            raise ValueError(f"{table.name} has no column {', '.join(sorted(strange))}")
        kept = within(table, since, until)
        frames = [
            together(table, paths, kept, wanted)
            for paths in batches(self.files(table, since, until) if files is None else files)
        ]
        return pl.concat(frames, rechunk=True) if frames else table.empty().select(wanted)

    def merge(
        self,
        table: Table,
        frame: pl.DataFrame,
        instead_of: pl.Expr | None = None,
        also: Collection[str] = (),
    ) -> int:
        """Fold `frame` into what is there; return the rows gained. What does not change stays.

        `instead_of` marks rows that step aside for the new ones, in the partitions of the new ones
        and those labelled in `also`.
        """
        gained = 0
        with self.lock(f"{table.room}.{table.name}"):
            rows = table.conform(frame)
            parts = split(table, telling(rows) if table.is_sampled else rows)
            if also:
                parts = iter((dict.fromkeys(also, table.empty()) | dict(parts)).items())
            for label, rows in parts:
                path = self.folder(table) / file_of(label, PART)
                if table.is_sampled and instead_of is None and rows.height and path.exists():
                    rows = folded(table, [rows])
                    if place := lates.next_place(table, path, rows):
                        self._publish(table, place, rows)
                        gained += rows.height
                        continue
                gained += self._fold(table, label, rows, instead_of)
        return gained

    def compact(self, table: Table, hours: Collection[str] | None = None) -> int:
        """Fold what lies beside its hour into it, by default in all; return the hours folded."""
        with self.lock(f"{table.room}.{table.name}"):
            if hours is None:
                hours = {x.rpartition("/")[0] for x in self.partitions(table) if "/late-" in x}
            for label in sorted(hours):
                self._fold(table, label, table.empty().select(table.key), None)
        return len(hours)

    def drop(self, table: Table, labels: Collection[str]) -> None:
        """Remove these files; of an hour its late ones last, which are void without it."""
        with self.lock(f"{table.room}.{table.name}"):
            for path in self.partitions(table, *sorted(labels)).values():
                if path.name == PART:
                    _remove(path)

    def _fold(
        self, table: Table, label: str, rows: pl.DataFrame, instead_of: pl.Expr | None
    ) -> int:
        """Fold rows into a partition; return those gained."""
        path = self.folder(table) / file_of(label, PART)
        files = [path] if path.exists() else []
        if table.is_sampled and files:
            files += [path.with_name(f"{name}.parquet") for name in lates.beside(path)]
        before = [load(table, file) for file in files]
        kept = before if instead_of is None else [one.filter(~instead_of) for one in before]
        after = folded(table, [*kept, rows])
        held = sum(one.height for one in before)
        self._put(table, path, before[0] if len(before) == 1 else table.empty(), after)
        if table.is_sampled:
            lates.remove(path)
        return after.height - held

    def replace(
        self, table: Table, frame: pl.DataFrame, since: datetime, until: datetime
    ) -> list[Path]:
        """Make `frame` all that `table` says of the days [since, until), or at all if undated."""
        rows = table.conform(frame)
        broken = table.broken_rules(rows) if rows.height else {}  # to ask costs milliseconds
        problems = [f"{n} rows break {rule}" for rule, n in broken.items() if n]
        if strays := rows.height - rows.filter(within_days(table, since, until)).height:
            problems.append(f"{strays} rows outside {since:%Y-%m-%d} to {until:%Y-%m-%d}")
        if problems:
            raise ContractError(
                f"Not writing {table.name} for {since:%Y-%m-%d} to {until:%Y-%m-%d}: "
                f"{'; '.join(problems)}. The contract is in transforms/tables/{table.room}.py."
            )
        with self.lock(f"{table.room}.{table.name}"):
            new = dict(split(table, rows.sort(table.key)))
            for label, part in new.items():
                path = self.folder(table) / label / PART
                before = load(table, path) if path.exists() else table.empty()
                self._put(table, path, before, part)
            for label, path in self.within(table, since, until).items() if table.day else ():
                if label not in new:
                    _remove(path)
        return [self.folder(table) / label / PART for label in new]

    def _put(self, table: Table, path: Path, before: pl.DataFrame, after: pl.DataFrame) -> None:
        if after.is_empty() and before.height and "=" in path.parent.name:
            _remove(path)
        elif not path.exists() or not after.equals(before):
            self._publish(table, path, after)

    def _publish(self, table: Table, path: Path, rows: pl.DataFrame) -> None:
        from flows.encoding import write  # a reader need not wait for what only writers use

        old = path.stat().st_size if path.exists() else None
        publish(path, self.staging, lambda draft: write(table, rows, draft, other_than=old))

    # notes

    def remember(self, name: str, note: dict[str, Any]) -> None:
        publish_bytes(self.state(name), self.staging, json.dumps(note, sort_keys=True).encode())

    def recall(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self.state(name).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}


def _remove(path: Path) -> None:
    """A partition that lost its last row."""
    path.unlink()
    lates.remove(path)
    path.parent.rmdir()
