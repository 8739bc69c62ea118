"""Training steps: one row each, what they should have taken, and which may yet be lost.

methods G-4 (ideal step time, slow steps), G-3 (the provisional tail); lineage has kept or lost.
"""

import numpy as np
import polars as pl

from transforms.ledger.lines import REACH_MS
from transforms.ledger.timeline import DAY_MS, pack, ranges

IDEAL_STEPS = 200
IDEAL_ORDER = 10
"""The ideal is the (n - 1) // 10 th smallest of n: the 10th percentile, lower of two neighbours."""


def one_row_a_step(steps: pl.DataFrame) -> pl.DataFrame:
    """Fold what several ranks say of one step: line, step, began, ended, sorted by time.

    Overlapping records of one step are one step, from the first begin to the last end. A later
    record of the same number, apart in time, is the step run again.
    """
    ordered = steps.select("line", "step", "began", "ended").sort("line", "step", "began", "ended")
    if ordered.is_empty():
        return ordered
    line, step, began, ended = (ordered[name].to_numpy() for name in ordered.columns)
    is_other = np.append(True, (np.diff(line) != 0) | (np.diff(step) != 0))
    # The latest end so far within each step: one running maximum, with the step on top.
    values, rank = np.unique(ended, return_inverse=True)
    top = np.cumsum(is_other) << 32
    reached = values[np.maximum.accumulate(top | rank) & 0xFFFFFFFF]
    starts = np.flatnonzero(is_other | np.append(True, reached[:-1] <= began[1:]))
    return (
        ordered[starts]
        .with_columns(ended=pl.Series(np.maximum.reduceat(ended, starts)))
        .sort("line", "began", "step", "ended")
    )


def stretches(steps: pl.DataFrame, lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number the stretches of rising steps: an attempt, or its part up to a manual rollback.

    Gives the steps with `stretch` (rising with the order in which the run lived them), and one
    row per stretch: stretch, line, run_line, first_step, began.
    """
    falls = (pl.col("step") <= pl.col("step").shift(1)) | (
        pl.col("line") != pl.col("line").shift(1)
    )
    numbered = steps.with_columns(falls.fill_null(False).cum_sum().cast(pl.Int64).alias("stretch"))
    table = (
        numbered.group_by("stretch")
        .agg(
            pl.col("line").first(),
            pl.col("step").first().alias("first_step"),
            pl.col("began").min(),
        )
        .join(lines.select("line", "run_line"), on="line")
        .sort("stretch")
    )
    return numbered, table


def ideal_ms(steps: pl.DataFrame, wanted: pl.DataFrame) -> pl.Series:
    """Ideal time of each wanted step (ms): 10th percentile of its run's first steps at its size.

    Both frames have `segment` (run and GPU count) and `began`; `steps` has `took` too. First are
    the 200 steps from the start of the run at that size, or, for a run older than the reach,
    from the reach on: the same for all steps of a day, so that it cannot creep up with a fault
    of that day.
    """
    ordered = steps.sort("segment", "began", "took")
    keys = pack(ordered["segment"], ordered["began"])
    day = pl.col("began") // DAY_MS
    groups = wanted.select("segment", day.alias("day")).unique().sort("segment", "day")
    midnight = groups["day"].to_numpy() * DAY_MS
    # One day less than the reach: a step may end on the day after it began.
    low = np.searchsorted(keys, pack(groups["segment"], midnight - REACH_MS + DAY_MS))
    high = np.searchsorted(keys, pack(groups["segment"], midnight + REACH_MS))
    row, nth = ranges(np.minimum(high - low, IDEAL_STEPS))
    ideals = (
        pl.DataFrame({"row": row, "took": ordered["took"].gather(low[row] + nth)})
        .group_by("row")
        .agg(pl.col("took").sort().get((pl.len() - 1) // IDEAL_ORDER).alias("ideal"))
        .sort("row")
    )
    named = groups.with_columns(ideals["ideal"])
    return wanted.select("segment", day.alias("day")).join(
        named, on=["segment", "day"], how="left", maintain_order="left"
    )["ideal"]


def is_provisional(steps: pl.DataFrame, lines: pl.DataFrame, saves: pl.DataFrame) -> pl.Series:
    """True for steps of a live run that no durable checkpoint holds yet.

    `steps` has run_line, began and ended; `saves` (durable ones) has run_line and began. A
    checkpoint holds the steps that ended before it began.
    """
    live = (
        lines.filter("is_open").group_by("run_line").agg(pl.col("started").min().alias("live_from"))
    )
    held = (
        saves.select("run_line", pl.col("began").alias("saved")).unique().sort("run_line", "saved")
    )
    keys = pack(held["run_line"], held["saved"])
    position = np.searchsorted(keys, pack(steps["run_line"], steps["ended"]))
    padded = np.append(keys, np.iinfo(np.int64).max)
    limit = pack(steps["run_line"], steps["began"].to_numpy() // DAY_MS * DAY_MS + REACH_MS)
    unsaved = padded[position] >= limit
    is_live = steps.join(live, on="run_line", how="left", maintain_order="left").select(
        pl.col("live_from") < pl.col("began") // DAY_MS * DAY_MS + REACH_MS
    )["live_from"]
    return is_live.fill_null(False) & pl.Series(unsaved)
