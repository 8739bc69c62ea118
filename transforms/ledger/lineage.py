"""Which restart took what away: stretches of training, what they came from, what they discarded.

A step is lost when a later attempt of its run starts training at or below it (methods G-3). Where
an attempt really started its checkpoint tells, also if its first steps were never logged. Of two
attempts that trained at once (a zombie after a lost node) the one lives whose checkpoint the
next attempt came from, whatever the other did meanwhile.
"""

import numpy as np
import polars as pl

from transforms.ledger.lines import REACH_MS
from transforms.ledger.timeline import DAY_MS

TWIN_MS = 7 * DAY_MS
"""A zombie that outlives its heir's begin by more is not recognised: see lines.REACH_DAYS."""


def from_checkpoints(table: pl.DataFrame, restores: pl.DataFrame) -> pl.DataFrame:
    """Lower `first_step` of stretches to the step after the checkpoint that they began from.

    `table` has stretch, line, first_step and began; `restores` (loads on their lines) line, step,
    began, ok. Only a load between the stretch before, of the same attempt, and this one counts.
    """
    loads = restores.filter("ok").select("line", loaded="began", restored="step").sort("loaded")
    if loads.is_empty() or table.is_empty():
        return table.with_columns(restored=pl.lit(None, pl.Int64))
    earlier = pl.col("began").shift(1).over("line")
    named = (
        table.with_columns(earlier=earlier)
        .sort("began")
        .join_asof(
            loads,
            left_on="began",
            right_on="loaded",
            by="line",
            tolerance=DAY_MS,
            check_sortedness=False,
        )
        .sort("stretch")
    )
    is_own = (pl.col("loaded") > pl.col("earlier")).fill_null(True)
    return (
        named.with_columns(restored=pl.when(is_own).then("restored"))
        .with_columns(first_step=pl.min_horizontal("first_step", pl.col("restored") + 1))
        .drop("earlier", "loaded")
    )


def dead_ends(
    table: pl.DataFrame, steps: pl.DataFrame, saves: pl.DataFrame, lines: pl.DataFrame
) -> np.ndarray:
    """For each stretch the one that passed it over for a zombie's checkpoint; -1 for none.

    `table` is in the order in which runs lived, with `restored`; `steps` have line, step, began;
    `saves` line, step, began. An attempt is passed over if the one before it trained on beside
    it, and the next attempt came from that one's checkpoint, or began at a step that only that
    one had reached.
    """
    none = np.full(len(table), -1)
    spans = lines.select("line", "prev", "started", "ended")
    twins = (
        spans.join(spans.select(prev="line", zombie_ended="ended"), on="prev")
        .filter(pl.col("zombie_ended") > pl.col("started"))
        .select("line", "prev")
    )
    if twins.is_empty() or table.is_empty():
        return none
    follows = table.with_columns(
        next_stretch=pl.when(pl.col("line") != pl.col("line").shift(-1))
        .then(pl.col("stretch").shift(-1))
        .backward_fill()
        .over("run_line")
    )
    heirs = table.select(
        next_stretch="stretch", next_line="line", next_run="run_line", at="began",
        next_first="first_step", next_restored="restored",
    )  # fmt: skip
    twins = (
        twins.join(
            follows.select("line", "run_line", "stretch", "next_stretch", "began"), on="line"
        )
        .join(heirs, on="next_stretch")
        .filter(
            pl.col("next_run") == pl.col("run_line"),
            pl.col("at") - pl.col("began") <= TWIN_MS,
            pl.col("next_line") != pl.col("prev"),
        )
    )
    if twins.is_empty():
        return none
    meanwhile = pl.col("began_then").is_between(pl.col("began"), pl.col("at"))

    def reached(rows: pl.DataFrame, line: str) -> pl.DataFrame:
        then = rows.select(pl.col("line").alias(line), "step", began_then="began")
        return (
            twins.select("stretch", line, "began", "at", "next_restored")
            .join(then, on=line)
            .filter(meanwhile)
        )

    last = [
        reached(steps, line).group_by("stretch").agg(pl.col("step").max().alias(name))
        for line, name in (("prev", "zombie_last"), ("line", "own_last"))
    ]
    saved = [
        reached(saves, line)
        .filter(pl.col("step") == pl.col("next_restored"))
        .select("stretch", pl.lit(True).alias(name))
        .unique()
        for line, name in (("prev", "zombie_saved"), ("line", "own_saved"))
    ]
    judged = twins
    for found in (*last, *saved):
        judged = judged.join(found, on="stretch", how="left")
    by_save = pl.col("zombie_saved") & pl.col("own_saved").is_null()
    by_step = (pl.col("next_first") > pl.col("own_last") + 1) & (
        pl.col("next_first") <= pl.col("zombie_last") + 1
    )
    unsaid = pl.col("own_saved").is_null() & pl.col("zombie_saved").is_null()
    dead = judged.filter(by_save.fill_null(False) | (by_step.fill_null(False) & unsaid))
    none[dead["stretch"].to_numpy()] = dead["next_stretch"].to_numpy()
    return none


def discarded_by(
    step: np.ndarray, at: np.ndarray, stretch: np.ndarray, table: pl.DataFrame, dead: np.ndarray
) -> np.ndarray:
    """For each step the first later stretch of its run that starts at or below it; -1 if kept.

    `step` numbers, `at` begins and `stretch` the stretches of steps. Only a restart within reach
    of the step's day counts (see lines.REACH_DAYS). What is passed over (`dead`, as dead_ends
    gives it) takes nothing away, and all its own steps are lost.
    """
    by = np.full(len(step), -1)
    # Nearly all steps lie below every later start of their run.
    doubtful = step >= _lowest_later(table)[stretch]
    if (dead >= 0).any():
        doubtful |= (dead >= 0)[stretch]
    rows = np.flatnonzero(doubtful)
    if len(rows):
        by[rows] = _discarded(step[rows], at[rows], stretch[rows], table, dead)
    return by


def _lowest_later(table: pl.DataFrame) -> np.ndarray:
    """For each stretch the lowest first step of the later ones of its run."""
    lowest = pl.col("first_step").shift(-1).reverse().cum_min().reverse()
    return table.select(lowest.over("run_line").fill_null(np.iinfo(np.int64).max)).to_numpy()[:, 0]


def _discarded(
    step: np.ndarray, at: np.ndarray, stretch: np.ndarray, table: pl.DataFrame, dead: np.ndarray
) -> np.ndarray:
    first = table["first_step"].to_numpy()
    began = np.append(table["began"].to_numpy(), 0)
    limit = at // DAY_MS * DAY_MS + DAY_MS + REACH_MS
    by = _first_below(step, stretch, table, first)
    if (dead >= 0).any():
        passed = np.append(dead, -1)
        living = np.where(dead >= 0, np.iinfo(np.int64).max, first)
        is_passed = (passed[by] >= 0) & (began[passed[by]] < limit)
        by = np.where(is_passed, _first_below(step, stretch, table, living), by)
        own = passed[stretch]
        by = np.where((own >= 0) & (began[own] < limit), own, by)
    return np.where((by >= 0) & (began[by] < limit), by, -1)


def _first_below(
    step: np.ndarray, stretch: np.ndarray, table: pl.DataFrame, first_step: np.ndarray
) -> np.ndarray:
    """The first later stretch of the same run whose first step is not above each step; else -1.

    Each step looks the answer up in a sparse table of minima: log2(stretches) passes, whatever
    the run's history.
    """
    # A wall behind each run stops the search there.
    wall = np.iinfo(np.int64).min
    run = table["run_line"].to_numpy()
    place = np.arange(len(table)) + (run_ends := np.cumsum(np.diff(run, prepend=run[:1]) != 0))
    first = np.full(len(table) + (int(run_ends[-1]) if len(table) else 0) + 1, wall)
    first[place] = first_step
    minima = [first]
    while (width := 1 << (len(minima) - 1)) * 2 <= len(first):
        minima.append(np.minimum(minima[-1][:-width], minima[-1][width:]))
    at = place[stretch] + 1
    for level in range(len(minima) - 1, -1, -1):
        fits = at + (1 << level) <= len(first)
        here = minima[level][np.where(fits, at, 0)]
        at = np.where(fits & (here > step), at + (1 << level), at)
    stretch_at = np.full(len(first), -1)
    stretch_at[place] = np.arange(len(table))
    return stretch_at[at]
