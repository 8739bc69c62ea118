"""Known bytes read again, after a parser or a mapping was corrected: new rows instead of the old.

Rows are told apart by the file that they cite. A row of the earlier reading that the new one does
not give again may have won over another file's record of the same thing: those other files are
then read again too, where their bytes were kept, for just these keys. So the lake becomes what it
would be had every file been read this way the first time. Samples cite no file: those that the
new reading gives replace what the lake has of the same device and instant, and none is taken away.

What was begun is noted and the arrivals are written last: a run that was killed is completed by
the same call again.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from flows import filing, holding, known, settings
from flows.decoding import distinct, load
from flows.errors import CallError, DataError
from flows.lake import Lake
from flows.reading import Options, Taken, recalled, take
from flows.spooling import Spool
from flows.undated import lay_by_day
from transforms.contract import Table
from transforms.sources.base import Source, as_they_are
from transforms.tables import BY_NAME, observed

NOTE = "again"


@dataclass
class Again:
    """Files that were read again, held on the disk until all of them are."""

    lake: Lake
    options: Options
    said: settings.Settings
    now: datetime
    gained: Counter[str] = field(default_factory=Counter)
    _taken: list[Taken] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Again":
        self.spool = Spool.within(self.lake.staging, as_they_are)
        self._stack.callback(self.spool.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def arrivals(self) -> pl.DataFrame:
        lay_by_day(self.lake)
        return self.lake.read(observed.ARRIVALS)

    def landed_as(self, source: str) -> Iterator[holding.Held]:
        """Every arrival of one source, from its landed bytes."""
        ours = self.arrivals.filter(pl.col("source") == source).sort("file", "sha256")
        if ours.is_empty():
            raise CallError(f"nothing arrived as {source}: see the table `arrivals`.")
        if not filing.keeps_bytes(source):
            raise CallError(f"the bytes of {source} are not kept: name the files to be read again.")
        for row in ours.iter_rows(named=True):
            yield self._held(row)

    def keep(self, lake: Lake, taken: list[Taken], now: datetime) -> dict[str, int]:
        """Hold what was read until `finish`. A file that is now refused stays as it was."""
        for one in (one for one in taken if not one.is_whole_refused):
            filing.land(self.lake, one)
            for table, rows in _rows(one):
                self.spool.add({table.name: rows})
            light = replace(one.held, data=b"", file=None)  # its bytes are not needed any more
            told = replace(one.parsed, frames={})
            self._taken.append(replace(one, held=light, parsed=told, spool=None))
        return {}

    def finish(self) -> None:
        """Put the new readings in the place of the old."""
        if not self._taken:
            return
        hashes = [one.held.digest for one in self._taken]
        self.lake.remember(NOTE, {"sha256": sorted({*hashes, *unfinished(self.lake)})})
        before = self.arrivals.filter(pl.col("sha256").is_in(hashes))
        names = sorted({one.held.name for one in self._taken} | set(before["file"]))
        tables = {table.name: table for table in self.spool.tables()}
        for source in (name for name in before["source"].unique() if name in self._sources):
            tables |= {table.name: table for table in self._sources[source].makes}
        cited = [table for name, table in sorted(tables.items()) if "file" in table.dtypes]
        self._restore(cited, names, hashes)
        for table in cited:
            self._replace(table, names)
        for name, table in sorted(tables.items()):
            for label in self.spool.labels(table) if table not in cited else ():
                rows = self.spool.part(table, label)
                key = pl.struct(table.key)
                same = key.is_in(rows.select(key).to_series().implode())
                self.gained[name] += self.lake.merge(table, rows, same)
        first_seen = dict(before.select("sha256", "first_seen").iter_rows())
        filing.report(self.lake, self._taken, self.now, self.gained, first_seen)
        for sha256, source in before.select("sha256", "source").iter_rows():
            if source not in {one.source for one in self._taken if one.held.digest == sha256}:
                self.lake.landed_path(source, sha256).unlink(missing_ok=True)
        self.lake.remember(NOTE, {"sha256": sorted(set(unfinished(self.lake)) - set(hashes))})

    @cached_property
    def _sources(self) -> dict[str, Source]:
        return known.sources(self.options)

    def _replace(self, table: Table, names: list[str]) -> None:
        ours = pl.col("file").is_in(names)
        parts = self.lake.partitions(table)
        held = {label for label, path in parts.items() if set(names) & distinct(path, "file")}
        for label in sorted(held | set(self.spool.labels(table))):
            rows = self.spool.part(table, label)
            self.gained[table.name] += self.lake.merge(table, rows, ours, also=[label])

    def _restore(self, tables: list[Table], names: list[str], hashes: list[str]) -> None:
        """Read the other files for the keys that the new readings no longer give as before."""
        lost = {table.name: self._lost(table, names) for table in tables}
        lost = {name: keys for name, keys in lost.items() if keys.height}
        makers = {
            name
            for name, source in self._sources.items()
            if any(table.name in lost for table in source.makes)
        }
        others = self.arrivals.filter(~pl.col("sha256").is_in(hashes))
        for row in others.filter(pl.col("source").is_in(makers)).iter_rows(named=True):
            if self.lake.landed_path(row["source"], row["sha256"]).exists():
                self._restore_from(row, lost, names)
            elif row["file"] in names:
                raise DataError(_not_told_apart(row))
        for row in others.filter(pl.col("file").is_in(names)).iter_rows(named=True):
            if row["source"] not in self._sources and lost:
                raise DataError(_not_told_apart(row))

    def _restore_from(
        self, row: dict[str, Any], lost: dict[str, pl.DataFrame], names: list[str]
    ) -> None:
        reader = self._sources[row["source"]]
        one = take(self._held(row), reader, recalled(row, Options()), self.said, self.lake.staging)
        try:
            if one.is_whole_refused and row["file"] in names:
                raise DataError(_not_told_apart(row))
            for table, rows in _rows(one):
                if table.name in lost:
                    keys = lost[table.name]
                    wanted = rows.join(keys, on=keys.columns, how="semi", nulls_equal=True)
                    self.spool.add({table.name: wanted})
        finally:
            one.close()

    def _lost(self, table: Table, names: list[str]) -> pl.DataFrame:
        """Keys, but for the cluster, of rows that the new readings do not give to the letter."""
        key = [name for name in table.key if name != "cluster"]
        lost = [table.empty().select(key)]
        for label, path in self.lake.partitions(table).items():
            if not set(names) & distinct(path, "file"):
                continue
            old = load(table, path).filter(pl.col("file").is_in(names))
            gone = _plain(old).join(
                _plain(self.spool.part(table, label)), on=old.columns, how="anti", nulls_equal=True
            )
            lost.append(gone.select(key))
        return pl.concat(lost).unique()

    def _held(self, row: dict[str, Any]) -> holding.Held:
        path = self.lake.landed_path(row["source"], row["sha256"])
        return holding.hold_landed(
            path, row["file"], row["bytes"], row["modified"], self.lake.staging
        )


def unfinished(lake: Lake) -> list[str]:
    """Hashes of files whose reading again was begun and not completed."""
    return list(lake.recall(NOTE).get("sha256", []))


def _rows(one: Taken) -> Iterator[tuple[Table, pl.DataFrame]]:
    for name, frame in one.parsed.frames.items():
        yield BY_NAME[name], frame
    for table in one.spool.tables() if one.spool else ():
        for rows in one.spool.partitions(table):  # type: ignore[union-attr]
            yield table, rows


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Lists as texts, so that whole rows can be joined."""
    lists = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    return rows.with_columns(pl.col(lists).list.join("\x1f"))


def _not_told_apart(row: dict[str, Any]) -> str:
    return (
        f"another file named {row['file']} arrived as {row['source']} and cannot be read again, and "
        "its rows cannot be told from these: give the mapping it came by, or a new lake"
    )
