"""Very many files of one format in one go, through the source's own reader of many.

Whatever is not plain - a broken packing, a contract that a row does not keep, a clock that was
never set, a share of refusals that the caller does not allow - sends all the files read together
the way of `reading.take`, one by one: that way is exact, and says what is wrong with which.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import polars as pl

from flows import packing, settings
from flows.errors import RefusedError
from flows.holding import Held
from flows.landing import Found
from flows.packing import Budget, Stream
from flows.pieces import PIECE
from flows.reading import EARLIEST, Options, Taken, origin_of, take
from transforms.sources import BY_NAME as SOURCES
from transforms.sources.base import Bulk, BulkReader, Origin, Source, Text
from transforms.tables import BY_NAME as TABLES

TOGETHER = 64 * 1024**2
"""Bytes of text that are read in one go. A file that is read in pieces by itself is not among it.

With more, what was just read has left the processor's memory when its values are parsed; with
less, what each batch costs whatever is in it counts.
"""
LARGE, LARGE_PACKED = 4 * 1024**2, 128 * 1024
"""Bytes of files so large that few are read in one go, as text and packed."""
HEAD = 256 * 1024
"""Bytes within which a scrape of a node ends."""
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
        if one.size >= LARGE_PACKED and (head := _head(one))
    ]
    try:
        _reader(name).learn(heads)
    except (Exception, pl.exceptions.PanicException):
        _reader.cache_clear()


def _head(one: Found) -> bytes:
    """How the text of a large file begins; nothing of any other."""
    try:
        with one.path.open("rb") as file:
            is_packed = packing.is_packed(file.read(10))
            file.seek(0)
            if one.is_tree or (one.size < LARGE and not is_packed):
                return b""
            return packing.undo(Stream(file), Budget(one.size)).peek(HEAD)
    except (OSError, RefusedError):
        return b""  # reading it whole will say so


def take_all(
    held: Sequence[Held],
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
    is_worth_it = len(held) > 1 or sum(one.size for one in held) >= WORTH_IT
    for some, texts in _together(held) if is_worth_it else [(list(held), None)]:
        read = texts and _in_one_go(some, texts, source, options, said)
        taken += read or [take(one, source, options, said, staging) for one in some]
    return taken


def _together(held: Sequence[Held]) -> Iterator[tuple[list[Held], list[Text] | None]]:
    """Files with their texts; without them one that must be read by itself."""
    some: list[Held] = []
    texts: list[Text] = []
    for one in held:
        text = _text(one)
        if some and (text is None or sum(map(len, texts)) + len(text) > TOGETHER):
            yield some, texts
            some, texts = [], []
        if text is None:
            yield [one], None
        else:
            some.append(one)
            texts.append(text)
    if some:
        yield some, texts


def _text(one: Held) -> Text | None:
    """The whole text, or None where it is broken, was changed, or is too long."""
    try:
        text = one.whole(PIECE)
        one.check()
    except RefusedError:
        return None
    return text


def _in_one_go(
    held: Sequence[Held],
    texts: Sequence[Text],
    source: Source,
    options: Options,
    said: settings.Settings,
) -> list[Taken] | None:
    origins = [origin_of(one, options, said) for one in held]
    try:
        told = _reader(source.name).read(list(zip(texts, origins, strict=True)))
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
            origin.modified,
            part,
            False,
            dict(sorted(rows.items())),
            told=options.told(),
        )
        for one, origin, part, rows in zip(held, origins, told.parts, told.rows, strict=True)
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
