"""Snapshots: folders of hard links to the files of one moment, for readers that must never break."""

import os
import shutil
from pathlib import Path

from flows.atomic import draft_folder, flush, link

FOLDER = ".snapshots"
KEPT = 4


def freeze(root: Path, staging: Path, now: dict[str, Path]) -> Path:
    """Link the files `now` (by their name from the root); return the folder, relative to `root`.

    The latest snapshot serves again while it holds these very files; the oldest are removed.
    """
    kept = root / FOLDER
    numbers = sorted(int(p.name) for p in kept.glob("*") if p.name.isdecimal())
    if numbers and _is_same(kept / str(numbers[-1]), now):
        return Path(FOLDER, str(numbers[-1]))
    fresh = str(numbers[-1] + 1 if numbers else 1)
    draft = draft_folder(staging)
    folders = set()
    for name, path in now.items():
        folder = (draft / name).parent
        if folder not in folders:
            folder.mkdir(parents=True, exist_ok=True)
            folders.add(folder)
        link(path, draft / name)
    kept.mkdir(exist_ok=True)
    os.replace(draft, kept / fresh)
    flush(kept)
    for number in numbers[: 1 - KEPT]:
        shutil.rmtree(kept / str(number), ignore_errors=True)
    return Path(FOLDER, fresh)


def _is_same(snapshot: Path, now: dict[str, Path]) -> bool:
    frozen = {
        os.path.relpath(os.path.join(folder, name), snapshot): os.path.join(folder, name)
        for folder, _, names in os.walk(snapshot)
        for name in names
    }
    return frozen.keys() == now.keys() and all(
        (a := os.stat(frozen[name])).st_mtime_ns == (b := os.stat(path)).st_mtime_ns
        and a.st_size == b.st_size
        for name, path in now.items()
    )
