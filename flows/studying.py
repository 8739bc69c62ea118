"""A study put to a lake: read the days and columns it asks for, let it answer."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl

from flows import settings
from flows.errors import CallError, DataError
from flows.lake import Lake
from transforms.contract import Table
from transforms.studies import BY_NAME, Asked, RefusalError, signed
from transforms.tables.derived import EXPOSURE

Days = tuple[datetime | None, datetime | None]
Stamps = dict[str, tuple[int, int]]
Held = dict[tuple[str, *Days], tuple[pl.DataFrame, Stamps]]
"""What was read of a table and days, and how its files were then."""


def answer(root: Path, name: str, asked: Asked) -> pl.DataFrame:
    """Rows of the study `name`; a refusal is one line that says what would help."""
    return told(name, asked, frames_of(root, name, asked))


def frames_of(
    root: Path, name: str, asked: Asked, held: Held | None = None
) -> dict[str, pl.DataFrame]:
    """The tables and settings that the study reads to answer `asked`.

    `held` keeps what was read for whoever asks next: many studies of one lake read it once.
    """
    study, lake = BY_NAME[name], Lake(root)
    days = _midnight(asked.since), _midnight(asked.until)
    columns = study.columns(asked)
    # What has no day comes whole: an age may have begun long before the days asked for.
    frames = {
        table.name: _read(
            lake, table, days if table.day else (None, None), columns.get(table.name), held
        )
        for table in study.reads
    }
    is_empty = all(frame.is_empty() for frame in frames.values())
    # Where all was derived, the study says best what is missing.
    if is_empty and not lake.files(EXPOSURE):
        raise DataError(f"{root}: nothing derived for these days. Run `faultledger derive`.")
    lists = {"calendar": settings.calendar_rows, "prices": settings.price_rows}
    return frames | {need: lists[need](settings.load(root)) for need in study.needs}


def _read(
    lake: Lake,
    table: Table,
    days: Days,
    columns: Collection[str] | None,
    held: Held | None,
) -> pl.DataFrame:
    """The rows of `days` with at least `columns`; what `held` has is not read again."""
    if held is None:
        return lake.read(table, *days, columns)
    wanted = set(table.dtypes) if columns is None else set(columns)
    kept, then = held.get((table.name, *days), (None, {}))
    if kept is not None and wanted <= set(kept.columns):
        return kept
    stamps = lake.stamps(table)
    rows = None
    if kept is not None and stamps == then:
        more = lake.read(table, *days, wanted - set(kept.columns))
        # Rows stand beside each other only if nobody wrote between.
        if lake.stamps(table) == stamps:
            there = pl.concat([kept, more], how="horizontal")
            rows = there.select(name for name in table.dtypes if name in there.columns)
    if rows is None:
        rows = lake.read(table, *days, columns)
    held[table.name, *days] = rows, stamps
    return rows


def told(name: str, asked: Asked, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """What the study `name` says of `frames`."""
    try:
        return signed(BY_NAME[name].by(asked, **frames))
    except RefusalError as error:
        raise CallError(f"{name}: {error}.") from error


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
