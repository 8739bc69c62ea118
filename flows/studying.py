"""A study put to a lake: read the days and columns it asks for, let it answer."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl

from flows import settings
from flows.errors import CallError, DataError
from flows.lake import Lake
from transforms.studies import BY_NAME, Asked, RefusalError


def answer(root: Path, name: str, asked: Asked) -> pl.DataFrame:
    """Rows of the study `name`; a refusal is one line that says what would help."""
    return told(name, asked, frames_of(root, name, asked))


def frames_of(root: Path, name: str, asked: Asked) -> dict[str, pl.DataFrame]:
    """The tables and settings that the study reads to answer `asked`."""
    study, lake = BY_NAME[name], Lake(root)
    since, until = (_midnight(day) for day in (asked.since, asked.until))
    columns = study.columns(asked)
    # What has no day comes whole: an age may have begun long before the days asked for.
    frames = {
        table.name: lake.read(
            table, *((since, until) if table.day else (None, None)), columns.get(table.name)
        )
        for table in study.reads
    }
    if all(frame.is_empty() for frame in frames.values()):
        raise DataError(f"{root}: nothing derived for these days. Run `faultledger derive`.")
    lists = {"calendar": settings.calendar_rows, "prices": settings.price_rows}
    return frames | {need: lists[need](settings.load(root)) for need in study.needs}


def told(name: str, asked: Asked, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """What the study `name` says of `frames`."""
    try:
        return BY_NAME[name].by(asked, **frames)
    except RefusalError as error:
        raise CallError(f"{name}: {error}.") from error


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
