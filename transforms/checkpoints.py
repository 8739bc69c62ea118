"""What a checkpoint cost and what it saved: blocking time, and the last one that is safe.

A save blocks training from `began` to `block_ended`; it is worth something from `durable_at` on
and holds the steps that ended before it began. A failed save keeps its stall and saves nothing
(methods G-10). Works on the columns of `checkpoints`, whatever the type of its instants.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

IS_SAVE = pl.col("kind") == "save"


def stalls(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Saves that blocked training and let it go on, as intervals: `ended` beside `began`.

    One that never let training go on is no stall: the run hung in it.
    """
    return checkpoints.filter(IS_SAVE, pl.col("block_ended").is_not_null()).with_columns(
        ended=pl.col("block_ended")
    )


def restores(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Loads of a checkpoint, as intervals; `ended` is null for one that never came to an end."""
    return checkpoints.filter(~IS_SAVE).with_columns(ended=pl.col("block_ended"))


def durable(checkpoints: pl.DataFrame, horizon: datetime | int | None = None) -> pl.DataFrame:
    """Saves that are safe on storage, by `horizon` (an instant as in `durable_at`) if given."""
    safe = checkpoints.filter(IS_SAVE, pl.col("ok"), pl.col("durable_at").is_not_null())
    return safe if horizon is None else safe.filter(pl.col("durable_at") <= pl.lit(horizon))


def last_durable(checkpoints: pl.DataFrame, at: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Add to each row of `at` (columns `by` and `at`) the last save that was safe by then.

    Adds `saved_step` and `saved_at` (when the save began: steps that ended before it are in it);
    null where there was none. Of saves that became safe together the later one counts.
    """
    saves = (
        durable(checkpoints)
        .sort(*by, "durable_at", "began", "step")
        .unique([*by, "durable_at"], keep="last", maintain_order=True)
        .select(
            *by,
            pl.col("durable_at").alias("at"),
            pl.col("step").alias("saved_step"),
            pl.col("began").alias("saved_at"),
        )
    )
    return (
        at.with_row_index("row")
        .sort("at")
        .join_asof(saves.sort("at"), on="at", by=list(by), check_sortedness=False)
        .sort("row")
        .drop("row")
    )
