"""Which part of a table a row belongs to: its day, or its day and hour, by the table's clock."""

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl

from transforms.contract import Table


def partition(table: Table) -> str:
    return table.partition if table.day else "none"


def begin(label: str) -> datetime:
    return datetime.strptime(label[4:14], "%Y-%m-%d").replace(tzinfo=UTC)


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
