"""When steps ended of which only the start was written.

A step ends where the next one starts, or where its process ends. Not every next start tells: after
a crash it comes an hour late. So the end is guessed as the median step of the run where nothing
follows, where the process starts anew, where step numbers do not rise, and after a silence.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.alike import heads, looked_up

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SPANS = {
    "tpu_init": "init",
    "training_prep": "init",
    "data_loading": "data_wait",
    "custom_badput_event": "eval",
}
ANEW = ("job_start", "tpu_init_begin", "training_prep_begin")
SILENCE_STEPS = 10
SILENCE_US = 60_000_000
"""A gap is a silence beyond ten median steps and a minute, whatever entries lie in it apart."""


def timed_steps(
    steps: pl.DataFrame, moments: pl.DataFrame, spans: pl.DataFrame, saved: pl.DataFrame
) -> pl.DataFrame:
    """Give the steps (line_no, run, step, at in us since 1970) their `ended` (us); by run and time.

    All frames have `run`. `moments` have event, at and line_no; `spans` and `saved` began and
    ended: time within a step that other entries explain.
    """
    if steps.is_empty():
        return steps.with_columns(ended=pl.col("at"))
    first, counts = heads(steps, ("run",))
    runs = first.unique().sort("run").with_columns(number=pl.int_range(pl.len()))
    number = looked_up(first, counts, runs).to_numpy()
    at, line_no = steps["at"].to_numpy(), steps["line_no"].to_numpy()
    if not _in_order(number, at, line_no):
        order = np.lexsort((line_no, at, number))
        steps, number, at, line_no = steps[order], number[order], at[order], line_no[order]
    step = steps["step"].to_numpy()
    axis = _Axis.of(number, at)
    is_next = np.zeros(len(at), bool)
    is_next[:-1] = (number[1:] == number[:-1]) & (step[1:] > step[:-1])
    next_at = np.full(len(at), -1)
    next_at[:-1] = np.where(number[1:] == number[:-1], at[1:], -1)
    follows = is_next.copy()
    turns = _turns(moments, saved, runs)
    ahead = axis.count_before(turns["number"], turns["at"], turns["line_no"], line_no) - 1
    told = (ahead >= 0) & (number[ahead] == turns["number"].to_numpy())
    told[1:] &= ahead[1:] != ahead[:-1]  # of several the first
    row = ahead[told]
    is_next[row] = False
    next_at[row] = turns["at"].to_numpy()[told]
    follows[row] = turns["is_end"].to_numpy()[told]
    gap = np.where(next_at >= 0, next_at - at, -1)
    usual = _usual(number, gap, is_next, len(runs))[number]
    silence = gap - _explained(spans, saved, runs, axis, number, next_at)
    is_silent = silence > np.maximum(SILENCE_STEPS * usual, SILENCE_US)
    guess = np.where(gap >= 0, np.minimum(usual, gap), usual)
    took = np.where(follows & ~is_silent, gap, guess)
    return steps.with_columns(ended=pl.Series(at + took))


class _Axis:
    """The times of all runs one after the other on one axis of whole numbers."""

    def __init__(self, keys: Ints, low: Ints, width: Ints) -> None:
        self.keys, self._low, self._width = keys, low, width
        self._base = np.cumsum(width + 3) - width - 3

    @classmethod
    def of(cls, number: Ints, at: Ints) -> "_Axis":
        """From the steps' runs and times, sorted by both."""
        starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
        low, high = at[starts], at[np.append(starts[1:], len(at)) - 1]
        axis = cls(np.empty(0, np.int64), low, high - low)
        axis.keys = axis.place(number, at)
        return axis

    def place(self, number: Ints, at: Ints) -> Ints:
        """Where a run's instant lies; one outside its steps lies right beside them."""
        within = np.clip(at - self._low[number], -1, self._width[number] + 1)
        return self._base[number] + within + 1

    def count_before(
        self, number: pl.Series, at: pl.Series, line_no: pl.Series, lines: Ints
    ) -> Ints:
        """How many steps lie before each entry: by run, time, then line."""
        key = self.place(number.to_numpy(), at.to_numpy())
        low, high = (np.searchsorted(self.keys, key, side=side) for side in ("left", "right"))
        tied = np.flatnonzero(high > low)
        # Steps of one instant stand in the order of their lines.
        counts = high[tied] - low[tied]
        entry = np.repeat(tied, counts)
        step = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts) + low[entry]
        np.add.at(low, entry, lines[step] < line_no.to_numpy()[entry])
        return low


def _turns(moments: pl.DataFrame, saved: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """What may follow a step other than a step, in order: number, at (us), line_no, is_end."""
    ends = moments.filter(pl.col("event").is_in(["job_end", *ANEW]))
    restores = saved.filter(pl.col("kind") == "restore").with_columns(event=pl.lit("restore"))
    return (
        pl.concat([frame.select("run", "event", "at", "line_no") for frame in (ends, restores)])
        .join(runs, on="run")
        .select(
            "number",
            pl.col("at").dt.epoch("us"),
            "line_no",
            is_end=pl.col("event") == "job_end",
        )
        .sort("number", "at", "line_no")
    )


def _usual(number: Ints, gap: Ints, is_next: Bools, runs: int) -> Ints:
    """The median (of two the lower) time from step to step of each run; 0 without any."""
    usual = np.zeros(runs, np.int64)
    told, gaps = number[is_next], gap[is_next]
    starts = np.flatnonzero(np.append(True, told[1:] != told[:-1]))[: len(told)]
    for start, stop in zip(starts, np.append(starts[1:], len(told)), strict=False):
        middle = (stop - start - 1) // 2
        usual[told[start]] = np.partition(gaps[start:stop], middle)[middle]
    return usual


def _explained(
    spans: pl.DataFrame,
    saved: pl.DataFrame,
    runs: pl.DataFrame,
    axis: _Axis,
    number: Ints,
    next_at: Ints,
) -> Ints:
    """How much of each step other entries account for (us): each what began during it."""
    explained = np.zeros(len(number), np.int64)
    lasting = (
        pl.concat([frame.select("run", "began", "ended") for frame in (spans, saved)])
        .drop_nulls("ended")
        .join(runs, on="run")
    )
    of = lasting["number"].to_numpy()
    began, ended = (lasting[name].dt.epoch("us").to_numpy() for name in ("began", "ended"))
    row = np.searchsorted(axis.keys, axis.place(of, began), side="right") - 1
    limit = np.where(next_at[row] >= 0, np.minimum(ended, next_at[row]), ended)
    counts = (row >= 0) & (number[row] == of) & (limit > began)
    np.add.at(explained, row[counts], (limit - began)[counts])
    return explained


def _in_order(number: Ints, at: Ints, line_no: npt.NDArray[np.uint32]) -> bool:
    same = number[1:] == number[:-1]
    later = (at[1:] > at[:-1]) | ((at[1:] == at[:-1]) & (line_no[1:] > line_no[:-1]))
    return bool(((number[1:] > number[:-1]) | (same & later)).all())
