"""Finding files and saying what they are: walk, look at the beginning, and ask every source."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows import packing, trees
from flows.errors import CallError, RefusedError
from flows.packing import Budget, Stream, printable
from transforms.sources.base import Source

ARCHIVE = "archive"
NOT_INPUT = {"settings.toml", "license", "changelog", "makefile"}
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Found:
    """One file of the call. `name` is how rows will cite it: relative to the folder given.

    is_tree  a folder that is read as one file
    trouble  why there is nothing to read, else empty
    """

    path: Path
    name: str
    size: int
    asked_for: bool  # named by the caller rather than met in a folder
    is_tree: bool = False
    trouble: str = ""


def walk(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file named or inside a folder named, sorted by name; hidden ones are passed over."""
    found: dict[Path, Found] = {}
    for path in paths:
        if not os.path.lexists(path):
            raise CallError(f"{path}: no such file or folder. Name one that exists.")
        for one in _inside(path) if path.is_dir() else [_looked_at(path, path.name, True)]:
            found.setdefault(one.path.resolve() if not one.trouble else one.path, one)
    yield from sorted(found.values(), key=lambda f: (f.name, str(f.path)))


def _inside(top: Path) -> Iterator[Found]:
    refused: list[OSError] = []
    for folder, below, files in os.walk(top, onerror=refused.append):
        here = Path(folder)
        below[:] = [name for name in below if not name.startswith(".")]
        if trees.devices(here):
            size = sum(1 for _ in trees.parts(here))
            name = printable(
                here.relative_to(top).as_posix() if here != top else top.resolve().name
            )
            yield Found(here, name, size, False, is_tree=True)
            below.clear()
            continue
        for name in [name for name in below if (here / name).is_symlink()]:
            why = "a link to a folder is not followed: name that folder itself"
            yield Found(here / name, _cited(here / name, top), 0, False, trouble=why)
        for name in files:
            if not name.startswith("."):
                yield _looked_at(here / name, _cited(here / name, top), False)
    for error in refused:
        where = Path(str(error.filename))
        yield Found(where, _cited(where, top), 0, True, trouble=_why(error))


def _cited(path: Path, top: Path) -> str:
    return printable(path.relative_to(top).as_posix())


def _looked_at(path: Path, name: str, asked_for: bool) -> Found:
    try:
        said = path.stat()
    except FileNotFoundError:
        why = "a link to nothing" if path.is_symlink() else "gone since it was listed"
        return Found(path, printable(name), 0, asked_for, trouble=why)
    except OSError as error:
        return Found(path, printable(name), 0, True, trouble=_why(error))
    kind = KINDS.get(stat.S_IFMT(said.st_mode), "")
    why = f"{kind}, not a file: write what it gives into one" if kind else ""
    return Found(path, printable(name), said.st_size, asked_for, trouble=why)


def _why(error: OSError) -> str:
    said = (error.strerror or type(error).__name__).lower()
    return f"cannot be read ({said}): ask as a user who may"


def why_unreadable(error: OSError) -> str:
    """What to tell of a file that could not be opened or read to its end."""
    gone = isinstance(error, FileNotFoundError)
    return "gone since it was listed: name it again if it is back" if gone else _why(error)


def is_beside_the_point(name: str) -> bool:
    """Documentation, settings, mappings and planted truth lie among real inputs and are none."""
    path = Path(name)
    return (
        path.name.lower() in NOT_INPUT
        or path.suffix.lower() == ".md"
        or path.stem.lower() in ("readme", "license")
        or "truth" in path.parts[:-1]
        or (path.suffix == ".sql" and "mappings" in path.parts[:-1])
    )


def head(found: Found) -> bytes:
    """The first 64 KiB of the text of a file, unpacked, read no further than that takes.

    Of an archive, the beginning of its first header.
    """
    if found.is_tree:
        return trees.read_tree(found.path)[: packing.HEAD]
    with found.path.open("rb") as file:
        if names := packing.both_ends(file, found.size):
            return names
        return head_of(Stream(file), Budget(found.size))


def head_of(stream: Stream, budget: Budget) -> bytes:
    try:
        return packing.undo(stream, budget).peek(packing.HEAD)
    except RefusedError:
        return b""  # reading the whole file will say so


def is_archive(start: bytes) -> bool:
    return bool(packing.archive_kind(start[:512]))


def recognise(start: bytes, name: str, sources: Iterable[Source]) -> tuple[Source, ...]:
    """The sources surest that a file starting so is theirs: one, several as sure, or none."""
    text = start.decode("utf-8", errors="replace")
    for suffix in packing.SUFFIXES:
        name = name.removesuffix(suffix)
    sources = list(sources)
    # Asking every source costs more than reading a scrape.
    sure = {one: 2 for one in sources if one.begins and text.startswith(one.begins)}
    sure = sure or {source: source.sniff(text, name) for source in sources}
    best = max(sure.values(), default=0)
    return tuple(s for s, how in sure.items() if how == best) if best else ()


def why_not(sure: tuple[Source, ...]) -> tuple[str, str]:
    """(status, reason) of a file that not exactly one source knows."""
    if sure:
        names = " or ".join(source.name for source in sure)
        return "ambiguous", f"could be {names}: say which with --as"
    return (
        "unrecognised",
        "no source knows this format: see `faultledger sources`, or force one with --as",
    )
