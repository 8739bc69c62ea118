"""Rows of several files become those of one: each thing under one name, one row a key, in order.

Samples are folded fast: one integer a row tells device and instant, and sorts as the key does. The
exact way is `Table.fold`, which also settles two versions of one key; it is taken whenever there
are any, or when a key is missing, or when the integers would not fit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.contract import Table
from transforms.metrics import BY_NAME

LARGEST = 2**62


def folded(table: Table, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """All rows, one a key, in order; of samples without the metrics that none has a value of."""
    if not table.is_sampled:
        return table.fold(name_clusters(table, pl.concat(frames)))
    # Files that lie apart are then in order, one after the other.
    rows = pl.concat(sorted(frames, key=lambda one: _first_key(table, one)), how="diagonal")
    ordered = rows[[name for name in table.dtypes if name in rows.columns]]
    return fold_samples(table, name_clusters(table, ordered))


def _first_key(table: Table, rows: pl.DataFrame) -> tuple[tuple[bool, object], ...]:
    row = rows.select(table.key).row(0) if rows.height else ()
    return tuple((part is None, part) for part in row)


def fold_samples(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """As `table.fold(rows)`, of a table whose key ends in the instant that names the partition."""
    *device, instant = table.key
    if rows.is_empty() or instant != table.day:
        return table.fold(rows)
    at = rows[instant].to_physical()
    if at.null_count() or any(rows[name].null_count() for name in device):
        return table.fold(rows)
    run = runs(rows, device)
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    heads = rows.select(device)
    heads = heads if len(starts) == len(run) else heads[starts]
    instants = at.to_numpy()
    if _ascend(heads) and bool(((run[1:] > run[:-1]) | (instants[1:] > instants[:-1])).all()):
        return rows
    devices = heads.unique().sort(device).with_row_index("\x1f")
    known = heads.join(devices, on=device, how="left", maintain_order="left")["\x1f"]
    number = known.cast(pl.Int64).to_numpy()[run]
    first, last = int(instants.min()), int(instants.max())
    span = last - first + 1
    if devices.height * span > LARGEST:
        return table.fold(rows)
    packed = number * span + (instants - first)
    if bool((packed[1:] > packed[:-1]).all()):
        return rows
    order = np.argsort(packed)
    packed = packed[order]
    if bool((packed[1:] == packed[:-1]).any()):
        return table.fold(rows)
    return rows[order]


def runs(rows: pl.DataFrame, keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the runs of neighbouring rows with equal keys."""
    if rows.is_empty():
        return np.empty(0, np.int64)
    differs = pl.any_horizontal(pl.col(key) != pl.col(key).shift(1) for key in keys)
    found = rows.select(differs.fill_null(False).cum_sum().cast(pl.Int64))
    return found.to_series().to_numpy()


def _ascend(rows: pl.DataFrame) -> bool:
    """Whether each row is later than the one before, by its columns in turn."""
    is_later = pl.repeat(False, max(rows.height - 1, 0), eager=True)
    for column in reversed(rows.get_columns()):
        now, before = column[1:], column[:-1]
        is_later = (now > before) | ((now == before) & is_later)
    return bool(is_later.all())


def telling(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without the metrics that none of them has a value of."""
    empty = {c.name for c in rows if c.name in BY_NAME and c.null_count() == rows.height}
    return rows[[name for name in rows.columns if name not in empty]] if empty else rows


def name_clusters(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Give a row without a cluster the name that another record of the same thing has.

    `sacct` with and without its Cluster column then gives each attempt once, in either order.
    Under two names it is nobody's: the named rows already say all there is.
    """
    others = [name for name in table.key if name != "cluster"]
    if "cluster" not in table.key or (rows["cluster"] == "").sum() in (0, rows.height):
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
