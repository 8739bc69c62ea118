"""Which part of a table a row belongs to: its day, or its day and hour, by the table's clock."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from transforms.contract import Table

FEW = timedelta(days=4)
MOST_LOOKS = 48
"""Partitions that are picked out of the rows one after the other, at a look at all rows each."""


def partition(table: Table) -> str:
    return table.partition if table.day else "none"


def begin(label: str) -> datetime:
    """The first instant of 'day=2026-03-02' or 'day=2026-03-02/hour=07'."""
    hour = int(label[20:22]) if len(label) > 14 else 0
    return datetime(int(label[4:8]), int(label[9:11]), int(label[12:14]), hour, tzinfo=UTC)


def floor(table: Table, moment: datetime) -> datetime:
    """The begin of the partition that holds `moment`."""
    whole = moment.replace(minute=0, second=0, microsecond=0)
    return whole if partition(table) == "hour" else whole.replace(hour=0)


def file_of(label: str, part: str) -> str:
    """The file of a label, from its table's folder: 'day=.../hour=07' or '.../late-21034872-003'."""
    name = label.rpartition("/")[2]
    return f"{label}.parquet" if name.startswith("late-") else f"{label}/{part}".lstrip("/")


def labels(folder: Path, depth: int) -> Iterator[str]:
    """The labels of the partitions that lie `depth` folders down, in no order."""
    if depth == 0:
        yield ""
        return
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        for rest in labels(folder / name, depth - 1):
            yield f"{name}/{rest}" if rest else name


def labels_within(
    folder: Path, depth: int, since: datetime | None, until: datetime | None
) -> Iterator[str]:
    """The labels of the partitions that begin in [since, until), in order; None has no end."""
    first = f"day={since.isoformat()[:10]}" if since else ""
    last = f"day={until.isoformat()[:10]}" if until else "e"
    if since and until and until - since <= FEW:  # asked for by name, whatever else there is
        days = [f"day={since + timedelta(days=n):%Y-%m-%d}" for n in range(FEW.days + 1)]
        known = [day for day in days if day <= last and os.path.isdir(folder / day)]
    else:
        known = sorted(day for day in labels(folder, min(depth, 1)) if first <= day <= last)
    for day in known:
        is_at_an_end = day in (first, last)
        for rest in sorted(labels(folder / day, depth - 1)) if depth else ():
            label = f"{day}/{rest}".rstrip("/")
            if is_at_an_end and not _is_within(begin(label), since, until):
                continue
            yield label


def _is_within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= at) and (until is None or at < until)


def split(table: Table, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Label and rows of every partition, in order; of few ones made one after the other.

    All of them at once are as large as the rows themselves.
    """
    if table.day is None:
        yield "", rows
        return
    is_hourly = partition(table) == "hour"
    form = "day=%Y-%m-%d" + ("/hour=%H" if is_hourly else "")
    begins = rows[table.day].dt.truncate("1h" if is_hourly else "1d")
    known = begins.unique().sort()
    if len(known) == 1 and begins.null_count() == 0:
        yield known[0].strftime(form), rows
        return
    if len(known) <= MOST_LOOKS and begins.null_count() == 0:
        for first in known:
            yield first.strftime(form), rows.filter(begins == first)
        return
    groups = rows.with_columns(begins.alias("\x1f")).partition_by(
        "\x1f", as_dict=True, include_key=False, maintain_order=True
    )
    for (first,), part in sorted(
        groups.items(), key=lambda item: (item[0][0] is not None, str(item[0][0]))
    ):
        yield first.strftime(form) if first else str(first), part


def within(table: Table, since: datetime | None, until: datetime | None) -> pl.Expr:
    if table.interval:
        began, ended = (pl.col(name) for name in table.interval)
        early = pl.lit(True) if until is None else began < until
        late = pl.lit(True) if since is None else ended.is_null() | (ended > since)
        return early & (late if since is None else late | (began >= since))
    return within_days(table, since, until)


def within_days(table: Table, since: datetime | None, until: datetime | None) -> pl.Expr:
    if table.day is None:
        return pl.lit(True)
    dated = table.dtypes[table.day] == pl.Date
    ends = [end.date() if dated and end else end for end in (since, until)]
    inside = pl.lit(True) if ends[0] is None else pl.col(table.day) >= ends[0]
    return inside if ends[1] is None else inside & (pl.col(table.day) < ends[1])
