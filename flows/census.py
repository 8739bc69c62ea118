"""Which files the tables of a lake have, for one run: each table's folders are looked at once.

What was found is noted beside the lake under the times at which the folders last changed. A folder
whose time is as noted is not listed again: since files of the lake are put in place of one another,
never changed where they lie, the same time means the same files. A lake of thousands of hours costs
a run one question to the system a folder. A time so close before the look that a later change could
bear it as well is not relied upon.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flows import lates
from flows.lake import DEPTHS, PART, Lake
from flows.partitions import floor, partition
from transforms.contract import Table

Stamp = tuple[int, int]
"""Size and time of change (ns) of a file."""
Stamps = dict[str, Stamp]
"""Label to stamp, in order of the labels."""
Node = Any  # of JSON: [time, {name: node or stamp}], or None
"""A folder: its time of change, and by name its folders or, of the lowest, sizes and times of files."""
NEAR = 2 * 10**9
"""ns: no file system's clock is coarser."""


class Census:
    """The files of a lake as they were when first asked for; `renew` has those of a table looked at
    again."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._held: dict[str, Stamps] = {}
        self._labels: dict[str, list[str]] = {}
        self.told: dict[str, Any] = {}
        """What others have found out about the files of a table, by its name."""

    def stamps(
        self, table: Table, since: datetime | None = None, until: datetime | None = None
    ) -> Stamps:
        """The files of a table, or those that begin in [since, until)."""
        if table.name not in self._held:
            self._held[table.name] = _look(self.lake, table)
            self._labels[table.name] = list(self._held[table.name])
        held, labels = self._held[table.name], self._labels[table.name]
        if table.day is None or not held or (since is None and until is None):
            return dict(held)
        first = bisect_left(labels, _first(table, since)) if since else 0
        last = bisect_left(labels, _first(table, until)) if until else len(labels)
        return {label: held[label] for label in labels[first:last]}

    def renew(
        self, tables: Iterable[Table], since: datetime | None = None, until: datetime | None = None
    ) -> None:
        """Have the files of these tables that begin in [since, until) looked at again."""
        for table in tables:
            self.told.pop(table.name, None)
            held = self._held.pop(table.name, None)
            if held is None or table.day is None or since is None or until is None:
                continue
            first, last = _first(table, since), _first(table, until)
            others = {x: stamp for x, stamp in held.items() if not first <= x < last}
            renewed = sorted((others | self.lake.stamps(table, since, until)).items())
            self._held[table.name] = dict(renewed)
            self._labels[table.name] = [label for label, _ in renewed]


def _first(table: Table, at: datetime) -> str:
    """The label of the first partition that begins at or after `at`."""
    whole = floor(table, at)
    if whole < at:
        whole += timedelta(hours=1 if partition(table) == "hour" else 24)
    day, hour = whole.isoformat()[:10], whole.hour
    return f"day={day}/hour={hour:02}" if partition(table) == "hour" else f"day={day}"


def _look(lake: Lake, table: Table) -> Stamps:
    name = f"census/{table.room}.{table.name}.json"
    note = lake.recall(name)
    folder = lake.folder(table)
    if not folder.is_dir():
        return {}
    now = _clock(lake.state("census/clock"))
    known = note.get("folder")
    found = _seen(str(folder), DEPTHS[partition(table)], known, note.get("looked", 0) - NEAR)
    if found is not None and found is not known:
        lake.remember(name, {"looked": now, "folder": found})
    return dict(_stamps(table, found, DEPTHS[partition(table)])) if found else {}


def _clock(path: Path) -> int:
    """What time it is to the file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path.stat().st_mtime_ns


def _seen(path: str, depth: int, known: Node, trusted: int) -> Node:
    """What lies in a folder; the very object `known` where all is as it was; None if it is gone."""
    try:
        changed = os.stat(path).st_mtime_ns
        is_same = bool(known and known[0] == changed < trusted)
        if depth == 0:
            return known if is_same else [changed, _files(path)]
        names = known[1] if is_same else _folders(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    before = known[1] if known else {}
    below = {}
    for name in names:
        node = _seen(f"{path}/{name}", depth - 1, before.get(name), trusted)
        if node is not None:
            below[name] = node
            is_same = is_same and node is before.get(name)
    return known if is_same and len(below) == len(before) else [changed, below]


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _files(path: str) -> dict[str, tuple[int, int]]:
    found = {}
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet"):
                with suppress(FileNotFoundError):
                    about = entry.stat()
                    found[entry.name] = (about.st_size, about.st_mtime_ns)
    return found


def _stamps(table: Table, node: Node, depth: int) -> Iterator[tuple[str, Stamp]]:
    """Label and stamp of the files of a folder, in order; void late ones are none."""
    folders = {"": node}
    for level in range(depth):
        folders = {
            f"{label}/{name}" if level else name: below[1][name]
            for label, below in folders.items()
            for name in sorted(below[1])
        }
    for label, (_, files) in folders.items():
        if PART not in files:
            continue
        size, changed = files[PART]
        yield label, (size, changed)
        if table.is_sampled and len(files) > 1:
            for name in sorted(files):
                if lates.is_beside(name, size):
                    yield f"{label}/{name.removesuffix('.parquet')}", tuple(files[name])
