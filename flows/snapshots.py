"""Snapshots: folders of hard links to the files of one moment, for readers that must never break."""

import os
import shutil
from pathlib import Path

from flows.atomic import draft_folder, flush, link

FOLDER = ".snapshots"
KEPT = 4


def freeze(root: Path, staging: Path, now: dict[str, Path]) -> Path:
    """Link the files `now` (by their name from the root); return the folder, relative to `root`.

    The latest snapshot serves again while it holds these very files. Of several the oldest goes:
    it becomes the new one, since few of thousands of files and folders have changed in between.
    """
    kept = root / FOLDER
    numbers = sorted(int(p.name) for p in kept.glob("*") if p.name.isdecimal())
    if numbers and _is_same(kept / str(numbers[-1]), now):
        return Path(FOLDER, str(numbers[-1]))
    fresh = str(numbers[-1] + 1 if numbers else 1)
    draft = draft_folder(staging)
    if len(numbers) >= KEPT:
        os.replace(kept / str(numbers[0]), draft)
    _bring_up_to(draft, now)
    kept.mkdir(exist_ok=True)
    os.replace(draft, kept / fresh)
    flush(kept)
    for number in numbers[: 1 - KEPT]:
        shutil.rmtree(kept / str(number), ignore_errors=True)
    return Path(FOLDER, fresh)


def _bring_up_to(snapshot: Path, now: dict[str, Path]) -> None:
    """Make the files of a snapshot those of `now`."""
    there = _names(snapshot)
    folders = {os.path.dirname(name) for name in there}
    for name in there - now.keys():
        os.unlink(snapshot / name)
    for name, path in now.items():
        if name in there:
            if _is_one(f"{snapshot}/{name}", path):
                continue
            os.unlink(snapshot / name)
        elif (folder := os.path.dirname(name)) not in folders:
            (snapshot / folder).mkdir(parents=True, exist_ok=True)
            folders.add(folder)
        link(path, snapshot / name)


def _is_one(linked: str, path: Path) -> bool:
    try:
        return os.path.samefile(linked, path)
    except FileNotFoundError:  # its day lost its last row since we looked
        return False


def _is_same(snapshot: Path, now: dict[str, Path]) -> bool:
    return _names(snapshot) == now.keys() and all(
        _stamp(f"{snapshot}/{name}") == _stamp(path) for name, path in now.items()
    )


def _names(snapshot: Path) -> set[str]:
    begin = len(str(snapshot)) + 1
    return {f"{folder}/{name}"[begin:] for folder, _, names in os.walk(snapshot) for name in names}


def _stamp(path: str | Path) -> tuple[int, int]:
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns
