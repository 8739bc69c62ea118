"""Very many files of one format in one go, through the source's own reader of many.

Whatever is not plain - a broken packing, a contract that a row does not keep, a clock that was
never set, a share of refusals that the caller does not allow - sends all the files of a batch
the way of `reading.take`, one by one: that way is exact, and says what is wrong with which.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import polars as pl

from flows import settings
from flows.errors import RefusedError
from flows.holding import Held
from flows.packing import Budget
from flows.reading import EARLIEST, LARGEST, Options, Taken, origin_of, take
from transforms.sources import BY_NAME as SOURCES
from transforms.sources.base import Bulk, BulkReader, Source
from transforms.tables import BY_NAME as TABLES

BATCH_BYTES = 256 * 1024**2
"""Text read in one go: more files at once write each hour's partition less often."""


def take_all(
    held: Sequence[Held], source: Source, options: Options, said: settings.Settings
) -> list[Taken]:
    """Read files of a source that has a reader of many; as `reading.take` of each of them.

    The rows of all files are in the frames of the first: the lake sorts them anyway, and cutting
    them up by file would cost more than reading them. Counts and refusals stay with their file.
    """
    read = _in_one_go(held, source, options, said) if len(held) > 1 else None
    return read or [take(one, source, options, said, None) for one in held]


def _in_one_go(
    held: Sequence[Held], source: Source, options: Options, said: settings.Settings
) -> list[Taken] | None:
    origins = [origin_of(one, options, said) for one in held]
    try:
        texts = [one.text(Budget(one.size)).read_all(LARGEST) for one in held]
        for one in held:
            one.check()
    except RefusedError:
        return None
    try:
        told = _reader(source.name).read(list(zip(texts, origins, strict=True)))
        frames = _whole_tables(told)
    except (Exception, pl.exceptions.PanicException):
        _reader.cache_clear()  # it may be left in the middle of something
        return None
    if frames is None or not _is_plain(told, options):
        return None
    taken = [
        Taken(one, source.name, origin.modified, part, False, dict(sorted(rows.items())))
        for one, origin, part, rows in zip(held, origins, told.parts, told.rows, strict=True)
    ]
    taken[0] = replace(taken[0], parsed=replace(taken[0].parsed, frames=frames))
    return [replace(one, told=options.told()) for one in taken]


@lru_cache(maxsize=4)
def _reader(source: str) -> BulkReader:
    """Kept for as long as the process runs: what it knows of a target is learnt once."""
    begin = SOURCES[source].bulk
    assert begin
    return begin()


def _whole_tables(told: Bulk) -> dict[str, pl.DataFrame] | None:
    """The frames of each table as one, held to its contract; None where they break it."""
    whole: dict[str, pl.DataFrame] = {}
    for name in sorted({name for name, _ in told.frames}):
        table = TABLES[name]
        parts = [frame for of, frame in told.frames if of == name]
        rows = table.conform(pl.concat([table.empty(), *parts], how="diagonal", rechunk=False))
        broken = table.broken_rules(rows)
        if any(n for rule, n in broken.items() if rule != "primary_key"):
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
