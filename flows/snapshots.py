"""Snapshots: folders of hard links to the files of one moment, for readers that must never break.

Each says in `files.json` which files it holds, under the sizes and times that they had when they
were linked, so that nobody need look through its thousands of folders.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.atomic import draft_folder, flush, link
from flows.census import Census, Stamp, Stamps
from flows.lake import PART, Lake
from flows.partitions import file_of
from flows.undated import lay_by_day
from transforms import tables
from transforms.contract import Table

FOLDER = ".snapshots"
FILES = "files.json"
KEPT = 4
TRIES = 4  # to find a moment at which nobody writes

Held = dict[str, Stamps]
"""'observed/nodes' and so on to the stamps of the files."""


@dataclass(frozen=True)
class Snapshot:
    """A frozen lake; `folder` lies below the root of the lake that it is of."""

    lake: Lake
    folder: Path
    held: Held
    told: dict[str, Any] = field(default_factory=dict)

    def stamps(self, table: Table) -> Stamps:
        return self.held.get(_place(table), {})


def snapshot(lake: Lake, census: Census | None = None) -> Snapshot:
    """Freeze the tables of `lake` as they are now.

    The latest snapshot serves again while it holds these very files. Of several the oldest goes:
    it becomes the new one, since few of thousands of files and folders have changed in between.

    `census` is of one who has it that nobody else writes derived tables: those are as it says.
    """
    with lake.lock("snapshot"):
        lay_by_day(lake)
        now = _now(lake, census)
        kept = lake.root / FOLDER
        numbers = sorted(int(p.name) for p in kept.glob("*") if p.name.isdecimal())
        if numbers and _held(kept / str(numbers[-1])) == now:
            return _at(lake, str(numbers[-1]), now, census)
        fresh = str(numbers[-1] + 1 if numbers else 1)
        draft = draft_folder(lake.staging)
        if len(numbers) >= KEPT:
            os.replace(kept / str(numbers[0]), draft)
        before = _held(draft)
        if before is None:
            shutil.rmtree(draft)
            draft.mkdir()
        (draft / FILES).unlink(missing_ok=True)
        held = _bring_up_to(draft, before or {}, lake.root, now)
        for _ in range(TRIES):
            if held == now or now == (now := _now(lake, census)):
                break
            held = _bring_up_to(draft, held, lake.root, now)
        (draft / FILES).write_text(json.dumps(held))
        kept.mkdir(exist_ok=True)
        os.replace(draft, kept / fresh)
        flush(kept)
        for number in numbers[: 1 - KEPT]:
            shutil.rmtree(kept / str(number), ignore_errors=True)
        return _at(lake, fresh, held, census)


def _now(lake: Lake, census: Census | None) -> Held:
    fresh = Census(lake)
    asked = {"observed": fresh, "derived": census or fresh}
    return {_place(t): stamps for t in tables.ALL if (stamps := asked[t.room].stamps(t))}


def _at(lake: Lake, number: str, held: Held, census: Census | None) -> Snapshot:
    folder = Path(FOLDER, number)
    frozen = Snapshot(Lake(lake.root / folder), folder, held)
    if census:  # what it was told of files holds of the same files
        known = (t for t in tables.ALL if t.name in census.told)
        same = (t.name for t in known if census.stamps(t) == frozen.stamps(t))
        frozen.told.update({name: census.told[name] for name in same})
    return frozen


def _place(table: Table) -> str:
    return f"{table.room}/{table.name}"


def _bring_up_to(draft: Path, before: Held, root: Path, now: Held) -> Held:
    """Make the files of a former snapshot those of `now`; return which it has."""
    held: Held = {}
    for place in {*before, *now}:
        then, wanted = before.get(place, {}), now.get(place, {})
        for label in then.keys() - wanted.keys():
            (draft / place / _name(label)).unlink(missing_ok=True)
        found = {
            label: stamp
            if then.get(label) == stamp
            else _linked(root / place / _name(label), draft / place / _name(label))
            for label, stamp in wanted.items()
        }
        there = {label: stamp for label, stamp in found.items() if stamp is not None}
        held |= {place: there} if there else {}
    return held


def _linked(path: Path, to: Path) -> Stamp | None:
    """Give a file its name in the snapshot; None where it is gone by now."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)  # never written over: it is a file of an earlier moment
    link(path, to)
    try:
        about = os.stat(to)
    except FileNotFoundError:
        return None
    return about.st_size, about.st_mtime_ns


def _name(label: str) -> str:
    return file_of(label, PART)


def _held(folder: Path) -> Held | None:
    """What a snapshot says that it holds; None of one that does not say."""
    try:
        told = json.loads((folder / FILES).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return {
        place: {label: (size, changed) for label, (size, changed) in stamps.items()}
        for place, stamps in told.items()
    }
