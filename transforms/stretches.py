"""Steps that follow each other, told as one row: what a million steps say is mostly that all went on.

Where a run must be cut into attempts, only the ends of such a stretch matter. A stretch holds
steps of one writer, restart count and UTC day whose numbers and begins rise, with no more than a
minute from one to the next and no other record between them or at the begin of one.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.alike import heads, looked_up
from transforms.ledger.timeline import pack, ranges, starts_of

DAY_US = 86_400_000_000
SILENCE_US = 60_000_000


def stretches(steps: pl.DataFrame, others: pl.DataFrame, writer: Sequence[str]) -> pl.DataFrame:
    """One row per stretch: the writer, restart, began, ended, step, last_step, usual.

    steps   has the columns of `writer`, restart, step, began and ended
    others  every other record of those writers: the writer and `began`
    `ended` is the latest end in the stretch; `usual` the median step of the writer's day.
    """
    names = list(writer)
    if steps.is_empty():
        return steps.select(*names, "restart", "began", "ended", "step").with_columns(
            last_step=pl.col("step"), usual=pl.col("ended") - pl.col("began")
        )
    first, counts = heads(steps, names)
    known = first.unique().sort(names).with_columns(number=pl.int_range(pl.len()))
    number = looked_up(first, counts, known).to_numpy()
    told = steps.select(
        pl.col("began").dt.epoch("us"), pl.col("ended").dt.epoch("us"), "restart", "step"
    )
    began, ended, restart, step = (column.to_numpy() for column in told)
    keys = pack(number, began // 1000)
    row = np.arange(len(keys))
    if (keys[1:] < keys[:-1]).any():
        row = np.argsort(keys, kind="stable")
        keys, number, began = keys[row], number[row], began[row]
        ended, restart, step = ended[row], restart[row], step[row]
    day = began // DAY_US
    starts = np.flatnonzero(
        _begins(keys, number, day, began, ended, restart, step, _keys(others, known))
    )
    last = np.append(starts[1:], len(keys)) - 1
    return (
        steps.select(*names, "restart")[row[starts]]
        .with_columns(
            began=pl.Series(began[starts]),
            ended=pl.Series(np.maximum.reduceat(ended, starts)),
            step=pl.Series(step[starts]),
            last_step=pl.Series(step[last]),
            usual=_usual(number, day, ended - began, starts),
        )
        .with_columns(
            pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in ("began", "ended")
        )
    )


def _begins(
    keys: np.ndarray,
    number: np.ndarray,
    day: np.ndarray,
    began: np.ndarray,
    ended: np.ndarray,
    restart: np.ndarray,
    step: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """True where a stretch begins; rows in order of writer and begin."""
    begins = np.ones(len(keys), bool)
    if len(keys) < 2:
        return begins
    together = began[1:] <= began[:-1]
    begins[1:] = (
        (number[1:] != number[:-1])
        | (restart[1:] != restart[:-1])
        | (day[1:] != day[:-1])
        | (step[1:] <= step[:-1])
        | together
        | (began[1:] - ended[:-1] > SILENCE_US)
    )
    begins[2:] |= together[:-1]  # of two that begin together each stays by itself
    low, high = (np.searchsorted(keys, others, side=side) for side in ("left", "right"))
    at, nth = ranges(high - low + 1)
    places = low[at] + nth
    begins[places[places < len(keys)]] = True
    return begins


def _keys(others: pl.DataFrame, known: pl.DataFrame) -> np.ndarray:
    """Keys of the other records of writers of steps."""
    named = others.join(known, on=known.columns[:-1])
    return pack(named["number"], named["began"].dt.epoch("us").to_numpy() // 1000)


def _usual(number: np.ndarray, day: np.ndarray, took: np.ndarray, rows: np.ndarray) -> pl.Series:
    """The median (of two the lower) length of the steps of each writer and day, for some rows."""
    firsts = starts_of(number, day)
    medians = np.empty(len(firsts), np.int64)
    for group, lengths in enumerate(np.split(took, firsts[1:])):
        middle = (len(lengths) - 1) // 2
        medians[group] = np.partition(lengths, middle)[middle]
    usual = medians[np.searchsorted(firsts, rows, side="right") - 1]
    return pl.Series("usual", usual).cast(pl.Duration("us"))
