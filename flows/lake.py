"""The lake: one folder, one Parquet file a table and day, replaced whole or not at all.

    <root>/landed/<source>/<sha256>.zst                     bytes as they came
    <root>/observed/<table>/day=2026-03-02/part.parquet     what the sources said
    <root>/observed/<table>/day=.../hour=07/part.parquet    samples
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
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from flows.atomic import locked, publish, publish_bytes
from flows.decoding import batches, load, together
from flows.footers import footer
from flows.partitions import (
    begin,
    floor,
    labels,
    name_clusters,
    partition,
    split,
    stamps,
    within,
    within_days,
)
from flows.snapshots import freeze
from transforms import tables
from transforms.contract import ContractError, Table

PART = "part.parquet"
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

    def pattern(self, table: Table) -> str:
        """The glob of a table's files, from the root of the lake or of a snapshot."""
        depth = {"none": "", "day": "*/", "hour": "*/*/"}[partition(table)]
        return f"{table.room}/{table.name}/{depth}{PART}"

    def folder(self, table: Table) -> Path:
        return self.root / table.room / table.name

    def partitions(self, table: Table, *named: str) -> dict[str, Path]:
        """Label ('day=2026-03-02', with '/hour=07' for samples, '' if undated) to file, in order."""
        folder = self.folder(table)
        depth = {"none": 0, "day": 1, "hour": 2}[partition(table)]
        known = sorted(named or labels(folder, depth))
        found = {label: folder / label / PART for label in known}
        return {label: path for label, path in found.items() if os.path.exists(path)}

    def stamps(
        self, table: Table, since: datetime | None = None, until: datetime | None = None
    ) -> dict[str, tuple[int, int]]:
        """Label to size and time of change (ns) of all files, or of those that begin in [since, until)."""
        return stamps(table, self.folder(table), PART, since, until)

    def files(
        self, table: Table, since: datetime | None = None, until: datetime | None = None
    ) -> list[Path]:
        """The files that can hold a row of [since, until)."""
        parts = self.partitions(table)
        if table.day is None:
            return list(parts.values())
        before = [p for label, p in parts.items() if until is None or begin(label) < until]
        if since is None:
            return before
        if table.interval:
            ends = ((path, footer(path).reach(table.interval[1])) for path in before)
            return [path for path, end in ends if end is None or end >= since]
        early = floor(table, since)
        late = set(before)
        return [p for label, p in parts.items() if p in late and begin(label) >= early]

    # tables: reading and writing

    def read(
        self,
        table: Table,
        since: datetime | None = None,
        until: datetime | None = None,
        columns: Collection[str] | None = None,
    ) -> pl.DataFrame:
        """Rows of [since, until): by their day, or, where rows last, all that overlap it.

        `columns` alone are read and given, in the table's order; by default all.
        """
        wanted = [name for name in table.dtypes if columns is None or name in columns]
        if strange := set(columns or ()) - set(wanted):
            raise ValueError(f"{table.name} has no column {', '.join(sorted(strange))}")
        kept = within(table, since, until)
        frames = [
            together(table, paths, kept, wanted)
            for paths in batches(self.files(table, since, until))
        ]
        return pl.concat(frames, rechunk=True) if frames else table.empty().select(wanted)

    def read_column(self, path: Path, name: str) -> set[str]:
        rows = pl.read_parquet(path.read_bytes(), columns=[name])
        return set(rows[name].unique().to_list())

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
            new = dict.fromkeys(also, table.empty()) | dict(split(table, table.conform(frame)))
            for label, rows in new.items():
                path = self.folder(table) / label / PART
                before = load(table, path) if path.exists() else table.empty()
                kept = before if instead_of is None else before.filter(~instead_of)
                after = table.fold(name_clusters(table, pl.concat([kept, rows])))
                gained += after.height - before.height
                self._put(table, path, before, after)
        return gained

    def replace(
        self, table: Table, frame: pl.DataFrame, since: datetime, until: datetime
    ) -> list[Path]:
        """Make `frame` all that `table` says of the days [since, until), or at all if undated."""
        rows = table.conform(frame)
        problems = [f"{n} rows break {rule}" for rule, n in table.broken_rules(rows).items() if n]
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
            old = self.partitions(table)
            for label, path in old.items():
                if label not in new and (table.day is None or since <= begin(label) < until):
                    _remove(path)
        return [self.folder(table) / label / PART for label in new]

    def _put(self, table: Table, path: Path, before: pl.DataFrame, after: pl.DataFrame) -> None:
        if after.is_empty() and before.height and "=" in path.parent.name:
            _remove(path)
        elif not path.exists() or not after.equals(before):
            from flows.encoding import write  # a reader need not wait for what only writers use

            publish(path, self.staging, lambda draft: write(table, after, draft))

    # snapshots and notes

    def snapshot(self) -> Path:
        """Freeze the tables as they are now; return the folder, relative to the root."""
        with self.lock("snapshot"):
            return freeze(self.root, self.staging, dict(self._every_file()))

    def _every_file(self) -> Iterator[tuple[str, Path]]:
        for path in (path for table in tables.ALL for path in self.partitions(table).values()):
            yield path.relative_to(self.root).as_posix(), path

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
    path.parent.rmdir()
