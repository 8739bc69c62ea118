"""Steps that nothing cuts, claimed as one: a million claims become as many as there are marks.

A claim on a step is its own only where something else bears on its time. Steps that follow each
other without a gap, on one day and with one owner, and that no mark touches, are one claim of the
same length, whose ideal time is the sum of theirs.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from transforms.ledger.timeline import midnights, pack


def blocks(
    line: np.ndarray,
    began: np.ndarray,
    ended: np.ndarray,
    marks: np.ndarray,
    same: np.ndarray,
    amounts: Mapping[str, np.ndarray] | None = None,
) -> pl.DataFrame:
    """Merge claims on steps between `marks` (keys of line and instant).

    Gives line, began, ended, the row of the first step, and the sums of `amounts` (ms, of each step
    no more than it took) where any are given. Steps of a claim have one value of `same`. Sums of the sweep's slices over days are those of the
    single claims, as long as begin and end of every claim above them, and every instant at which
    anything changes that is summed by, is a mark.
    """
    low, high = pack(line, began), pack(line, ended)
    row = None
    if not (low[1:] >= low[:-1]).all():
        row = np.argsort(low, kind="stable")
        low, high, same = low[row], high[row], same[row]
    joins = _joins(low, high, marks)
    joins &= same[1:] == same[:-1]
    starts = np.append(0, np.flatnonzero(~joins) + 1) if len(low) else np.empty(0, np.int64)
    last = np.append(starts[1:], len(low))[: len(starts)] - 1
    first = starts if row is None else row[starts]
    merged = pl.DataFrame(
        {
            "line": line[first],
            "began": began[first],
            "ended": ended[last if row is None else row[last]],
            "row": first,
        }
    )
    for name, amount in (amounts or {}).items():
        whole = np.minimum(amount, ended - began)
        if row is not None:
            whole = whole[row]
        # A step by itself keeps its own amount: part of it may go to another claim.
        summed = np.add.reduceat(whole, starts) if len(starts) else whole
        kept = np.where(last > starts, summed, amount[first])
        merged = merged.with_columns(pl.Series(name, kept, pl.Int64))
    return merged


def _joins(low: np.ndarray, high: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """True where a step goes on from the one before and neither is touched by anything else."""
    is_free = np.ones(len(low), bool)
    # Steps that overlap share their time in the order in which they began.
    apart = low[1:] >= high[:-1]
    if not apart.all():
        is_free[1:] = low[1:] >= np.maximum.accumulate(high)[:-1]
        is_free[:-1] &= apart
    held = _holding(low, high, marks)
    is_free[held[held >= 0]] = False
    days = midnights(low)
    held = _holding(low, high, days)
    is_inside = (held >= 0) & (low[held] < days) if len(low) else held >= 0
    is_free[held[is_inside]] = False
    joins = is_free[1:] & is_free[:-1] & (high[:-1] == low[1:])
    opens = held[(held > 0) & ~is_inside]  # the day begins with this step
    joins[opens - 1] = False
    return joins


def _holding(low: np.ndarray, high: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """For each cut the last step that began by then, -1 if it had ended or there is none."""
    at = np.searchsorted(low, cuts, side="right") - 1
    return np.where((at >= 0) & (cuts < high[at]), at, -1) if len(low) else at
