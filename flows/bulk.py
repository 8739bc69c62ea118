"""Very many files of one format in one go, through the source's own reader of many.

Whatever is not plain - a broken packing, a contract that a row does not keep, a clock that was
never set, a share of refusals that the caller does not allow - sends all the files read together
the way of `reading.take`, one by one: that way is exact, and says what is wrong with which.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import polars as pl

from flows import packing, settings
from flows.errors import RefusedError
from flows.holding import CHANGED, Held, hold_open
from flows.identity import Digest
from flows.landing import Found
from flows.packing import Budget, Stream
from flows.pieces import PIECE
from flows.reading import EARLIEST, Options, Taken, origin_of, take
from flows.windows import FileWindow, TextWindow
from transforms.sources import BY_NAME as SOURCES
from transforms.sources.base import Bulk, BulkReader, Origin, Skimmed, Source, Text, Window
from transforms.tables import BY_NAME as TABLES

TOGETHER = 64 * 1024**2
"""Bytes of text that are read in one go. A file that is read in pieces by itself is not among it."""
SKIMMED = 4
"""So many bytes of text that was skimmed take the room of one: numbers remain, and no names."""
LARGE, LARGE_PACKED = 4 * 1024**2, 128 * 1024
"""Bytes of files so large that few are read in one go, as text and packed."""
HEADS = 64 * 1024, 256 * 1024
"""Bytes within which a scrape of a node ends, mostly and nearly always."""
WORTH_IT = 1024**2
"""Bytes of one file alone from which on it is worth setting up the reader of many."""


def acquaint(found: Sequence[Found], name: str, options: Options, said: settings.Settings) -> None:
    """Show the reader of many how files begin of which few are read in one go.

    It learns their targets together, which costs little more than one of them.
    """
    if name not in SOURCES or SOURCES[name].bulk is None or options.is_again:
        return
    cluster = options.cluster or said.cluster
    heads = [
        (head, Origin(one.name, EARLIEST, cluster, options.node))
        for one in found
        if one.size >= LARGE_PACKED and (head := _head(one, _reader(name)))
    ]
    try:
        _reader(name).learn(heads)
    except (Exception, pl.exceptions.PanicException):
        _reader.cache_clear()


def _head(one: Found, reader: BulkReader) -> bytes:
    """How the text of a large file begins; nothing of any other."""
    try:
        with one.path.open("rb") as file:
            is_packed = packing.is_packed(file.read(10))
            file.seek(0)
            if one.is_tree or (one.size < LARGE and not is_packed):
                return b""
            text = packing.undo(Stream(file), Budget(one.size))
            return next((head for size in HEADS if reader.cut(head := text.peek(size))), b"")
    except (OSError, RefusedError):
        return b""  # reading it whole will say so


@dataclass(frozen=True)
class Waiting:
    """A file that waits for others to be read with it.

    skimmed  what its source's reader has taken out of it already
    room     how far it fills what is read in one go, in bytes of TOGETHER
    """

    held: Held
    skimmed: Skimmed | None
    room: int


def skim_file(
    found: Found,
    memory: bytearray,
    source: Source,
    options: Options,
    said: settings.Settings,
) -> Waiting | None:
    """Take out of a large file what it says while its bytes pass by; None where that is not all.

    The file stays open, to be read once more if it must be.
    """
    if found.is_tree or not WORTH_IT <= found.size <= PIECE:
        return None
    held = hold_open(found)
    assert held.file
    digest = Digest(is_bulk=True)
    window = FileWindow(held.file, held.size, digest, memory)
    kept: list[Held] = []
    origin = origin_of(held, options, said)
    skimmed = _skimmed(source, window, origin, lambda: _once_more(kept[0]))
    if skimmed is None:
        held.close()
        return None
    size = window.passed
    held = replace(held, digest=str(digest), size=size, budget=Budget(size))
    kept.append(held)
    return Waiting(held, skimmed, size // SKIMMED)


def skim(held: Held, source: Source, options: Options, said: settings.Settings) -> Waiting:
    """Take out of a packed file what it says, and let go of its text."""
    as_it_is = Waiting(held, None, held.size)
    if not held.data or held.size < LARGE_PACKED or not packing.is_packed(bytes(held.data[:10])):
        return as_it_is
    if not (text := _text(held)):
        return as_it_is
    origin = origin_of(held, options, said)
    skimmed = _skimmed(source, TextWindow(text), origin, lambda: _once_more(held))
    return Waiting(held, skimmed, len(text) // SKIMMED + held.size) if skimmed else as_it_is


def _skimmed(
    source: Source, window: Window, origin: Origin, again: Callable[[], Text]
) -> Skimmed | None:
    try:
        return _reader(source.name).skim(window, origin, again)
    except (Exception, pl.exceptions.PanicException) as error:
        if isinstance(error, OSError):
            raise
        _reader.cache_clear()
        return None


def _once_more(held: Held) -> Text:
    text = _text(held)
    if text is None:
        raise RefusedError(CHANGED)
    return text


def take_all(
    waiting: Sequence[Waiting],
    source: Source,
    options: Options,
    said: settings.Settings,
    staging: Path | None,
) -> list[Taken]:
    """Read files of a source that has a reader of many; as `reading.take` of each of them.

    The rows of files read together are in the frames of the first: the lake sorts them anyway,
    and cutting them up by file would cost more than reading them. Counts and refusals stay with
    their file. Of a file that was read so only the name and the hash are kept, not the bytes.
    """
    taken: list[Taken] = []
    is_small = sum(one.held.size for one in waiting) < WORTH_IT
    is_worth_it = len(waiting) > 1 or bool(waiting[0].skimmed) or not is_small
    alone = [([one.held for one in waiting], None)]
    for some, parts in _together(waiting, options, said) if is_worth_it else alone:
        read = parts and _in_one_go(some, parts, source, options)
        taken += read or [take(one, source, options, said, staging) for one in some]
    return taken


Parts = list[tuple[Text, Origin] | Skimmed]


def _together(
    waiting: Sequence[Waiting], options: Options, said: settings.Settings
) -> Iterator[tuple[list[Held], Parts | None]]:
    """Files with what is to be read of them; without it one that must be read by itself."""
    some: list[Held] = []
    parts: Parts = []
    room = 0
    for one in waiting:
        text = None if one.skimmed else _text(one.held)
        wanted = one.room if text is None else len(text)
        is_alone = text is None and one.skimmed is None
        if some and (is_alone or room + wanted > TOGETHER):
            yield some, parts
            some, parts, room = [], [], 0
        if is_alone:
            yield [one.held], None
            continue
        some.append(one.held)
        room += wanted
        if one.skimmed:
            parts.append(one.skimmed)
        elif text is not None:
            parts.append((text, origin_of(one.held, options, said)))
    if some:
        yield some, parts


def _text(one: Held) -> Text | None:
    """The whole text, or None where it is broken, was changed, or is too long."""
    try:
        text = one.whole(PIECE)
        one.check()
    except RefusedError:
        return None
    return text


def _in_one_go(
    held: Sequence[Held], parts: Parts, source: Source, options: Options
) -> list[Taken] | None:
    try:
        told = _reader(source.name).read(parts)
        frames = _whole_tables(told)
    except (Exception, pl.exceptions.PanicException):
        _reader.cache_clear()  # it may be left in the middle of something
        return None
    if frames is None or not _is_plain(told, options):
        return None
    taken = [
        Taken(
            one.without_bytes() if source.is_bulk else one,
            source.name,
            (part[1] if isinstance(part, tuple) else part.origin).modified,
            parsed,
            False,
            dict(sorted(rows.items())),
            told=options.told(),
        )
        for one, part, parsed, rows in zip(held, parts, told.parts, told.rows, strict=True)
    ]
    taken[0] = replace(taken[0], parsed=replace(taken[0].parsed, frames=frames))
    return taken


@lru_cache(maxsize=4)
def _reader(source: str) -> BulkReader:
    """Kept for as long as the process runs: what it knows of a target is learnt once."""
    begin = SOURCES[source].bulk
    assert begin
    return begin()


def _whole_tables(told: Bulk) -> dict[str, pl.DataFrame] | None:
    """The frames of each table as one, held to its contract; None where they break it.

    A scrape fills few of the many columns of a sample table: the others are left out.
    """
    whole: dict[str, pl.DataFrame] = {}
    for name in sorted({name for name, _ in told.frames}):
        table = TABLES[name]
        dtypes = table.dtypes
        parts = [frame for of, frame in told.frames if of == name]
        rows = pl.concat(parts, how="diagonal", rechunk=False)
        if any(dtypes.get(column) != kind for column, kind in rows.schema.items()):
            return None
        if not table.keeps_column_rules(rows):
            return None
        if table.day and rows.select((pl.col(table.day) < EARLIEST).any()).item():
            return None
        whole[name] = rows
    return whole


def _is_plain(told: Bulk, options: Options) -> bool:
    return all(
        part.records == part.accepted + part.rejected + part.ignored
        and part.rejected <= options.max_reject_share * max(part.records, 1)
        for part in told.parts
    )
