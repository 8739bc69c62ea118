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

Held = dict[tuple[str, datetime | None, datetime | None], pl.DataFrame]


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
    days = tuple(_midnight(day) for day in (asked.since, asked.until))
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
    days: tuple[datetime | None, ...],
    columns: Collection[str] | None,
    held: Held | None,
) -> pl.DataFrame:
    """The rows of `days` with at least `columns`, from `held` where they are there."""
    since, until = days
    kept = None if held is None else held.get((table.name, since, until))
    wanted = set(table.dtypes) if columns is None else set(columns)
    if kept is not None and wanted <= set(kept.columns):
        return kept
    # Who asks a second time asks for other columns, and a third might: then all are kept.
    rows = lake.read(table, since, until, columns if kept is None else None)
    if held is not None:
        held[table.name, since, until] = rows
    return rows


def told(name: str, asked: Asked, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """What the study `name` says of `frames`."""
    try:
        return signed(BY_NAME[name].by(asked, **frames))
    except RefusalError as error:
        raise CallError(f"{name}: {error}.") from error


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
