"""Rows that follow each other and name the same thing: looked up once, not row by row.

Training logs name their run on every line, and a million lines in a row name the same one. What
hangs on such a name is found for the first row of each stretch and repeated for the others.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl


def heads(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, np.ndarray]:
    """The `names` of the first row of each stretch that shares them, and how long each lasts.

    The stretches come in the order of the rows; the same names may come again. No null among them.
    """
    if frame.is_empty():
        return frame.select(names), np.empty(0, np.int64)
    # Most names are the same on all rows, which is seen faster than where they change.
    told = [frame[name] for name in names]
    changing = [name.name for name in told if not (name == name[0]).all()]
    if not changing:
        return frame.select(names).head(1), np.array([len(frame)])
    differs = frame.select(
        pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in changing).fill_null(
            True
        )
    ).to_series()
    starts = differs.arg_true()
    counts = np.diff(starts.to_numpy().astype(np.int64), append=len(frame))
    return frame.select(names)[starts], counts


def looked_up(first: pl.DataFrame, counts: np.ndarray, table: pl.DataFrame) -> pl.Series:
    """For each row behind the `heads` the number, last column of `table`, of the row with its names.

    Null where `table` has none; it has every combination at most once.
    """
    wanted = table.columns[-1]
    found = first.join(table, on=first.columns, how="left", maintain_order="left")[wanted]
    if not found.null_count():
        return pl.Series(wanted, np.repeat(found.to_numpy(), counts), dtype=found.dtype)
    rows = pl.Series(wanted, np.repeat(found.fill_null(0).to_numpy(), counts), dtype=found.dtype)
    return rows.set(pl.Series(np.repeat(found.is_null().to_numpy(), counts)), None)
