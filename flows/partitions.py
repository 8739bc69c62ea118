"""Which part of a table a row belongs to: its day, or its day and hour, by the table's clock."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from transforms.contract import Table


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


def stamps(
    table: Table, folder: Path, part: str, since: datetime | None, until: datetime | None
) -> dict[str, tuple[int, int]]:
    """Size and time of change (ns) of a table's files, by label; of a dated one of [since, until)."""
    depth = {"none": 0, "day": 1, "hour": 2}[partition(table)]
    if since is None or until is None:
        names = sorted(labels(folder, depth))
    else:
        first = since.replace(hour=0, minute=0, second=0, microsecond=0)
        days = [first + timedelta(days=n) for n in range((until - first) // timedelta(days=1) + 1)]
        names = [
            f"day={day:%Y-%m-%d}/{rest}".rstrip("/")
            for day in days
            for rest in sorted(labels(folder / f"day={day:%Y-%m-%d}", depth - 1))
        ]
        names = [name for name in names if since <= begin(name) < until]
    found = {}
    for name in names:
        try:
            about = os.stat(folder / name / part)
        except (FileNotFoundError, NotADirectoryError):
            continue
        found[name] = (about.st_size, about.st_mtime_ns)
    return found


def split(table: Table, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    if table.day is None:
        yield "", rows
    else:
        form = "day=%Y-%m-%d" + ("/hour=%H" if partition(table) == "hour" else "")
        labels = pl.col(table.day).dt.strftime(form).alias("\x1f")
        groups = rows.with_columns(labels).partition_by(
            "\x1f", as_dict=True, include_key=False, maintain_order=True
        )
        for (label,), part in sorted(groups.items(), key=lambda item: str(item[0])):
            yield str(label), part


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


def name_clusters(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Give a row without a cluster the name that another record of the same thing has.

    `sacct` with and without its Cluster column then gives each attempt once, in either order.
    Under two names it is nobody's: the named rows already say all there is.
    """
    others = [name for name in table.key if name != "cluster"]
    if "cluster" not in table.key or rows.filter(pl.col("cluster") == "").is_empty():
        return rows
    names = (
        rows.filter(pl.col("cluster") != "")
        .group_by(others)
        .agg(pl.col("cluster").min().alias("_name"), pl.col("cluster").n_unique().alias("_names"))
    )
    unnamed = pl.col("cluster") == ""
    return (
        rows.join(names, on=others, how="left")
        .filter(~(unnamed & (pl.col("_names") > 1).fill_null(False)))
        .with_columns(pl.when(unnamed).then(pl.col("_name")).otherwise("cluster").alias("cluster"))
        .with_columns(pl.col("cluster").fill_null(""))
        .select(rows.columns)
    )
