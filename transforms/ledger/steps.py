"""Training steps: one row each, what they should have taken, and which may yet be lost.

methods G-4 (ideal step time, slow steps), G-3 (the provisional tail); lineage has kept or lost.
"""

import numpy as np
import polars as pl

from transforms.ledger.lines import REACH_MS
from transforms.ledger.timeline import DAY_MS, pack

COLUMNS = ("line", "step", "began", "ended")
UNTOLD = -1


def one_row_a_step(steps: pl.DataFrame) -> pl.DataFrame:
    """Fold what several ranks say of one step: line, step, began, ended (tokens), sorted by time.

    Overlapping records of one step are one step, from the first begin to the last end. A later
    record of the same number, apart in time, is the step run again.
    """
    told = steps.select(*COLUMNS, *_tokens(steps))
    line, step, began, ended = (told[name].to_numpy() for name in COLUMNS)
    keys = pack(line, began)
    if (keys[1:] < keys[:-1]).any():
        row = np.argsort(keys, kind="stable")
        told, line, step, began, ended = told[row], line[row], step[row], began[row], ended[row]
    # One writer tells one step after the other, or at least none twice: nothing to fold.
    is_next = line[1:] != line[:-1]
    in_turn = (began[1:] > began[:-1]) & (began[1:] >= ended[:-1])
    if (in_turn | is_next).all() or ((step[1:] > step[:-1]) | is_next).all():
        return told
    return fold_steps(told)


def fold_steps(steps: pl.DataFrame) -> pl.DataFrame:
    """The same for rows in any order, whatever the ranks say; of tokens the most that one tells."""
    ordered = steps.select(*COLUMNS, *_tokens(steps)).sort("line", "step", "began", "ended")
    if ordered.is_empty():
        return ordered
    line, step, began, ended = (ordered[name].to_numpy() for name in COLUMNS)
    is_other = np.append(True, (np.diff(line) != 0) | (np.diff(step) != 0))
    # The latest end so far within each step: one running maximum, with the step on top.
    values, rank = np.unique(ended, return_inverse=True)
    top = np.cumsum(is_other) << 32
    reached = values[np.maximum.accumulate(top | rank) & 0xFFFFFFFF]
    starts = np.flatnonzero(is_other | np.append(True, reached[:-1] <= began[1:]))
    folded = ordered[starts].with_columns(ended=pl.Series(np.maximum.reduceat(ended, starts)))
    if _tokens(steps):
        most = np.maximum.reduceat(ordered["tokens"].fill_null(UNTOLD).to_numpy(), starts)
        folded = folded.with_columns(tokens=pl.Series(most).replace(UNTOLD, None))
    return folded.sort("line", "began", "step", "ended")


def _tokens(steps: pl.DataFrame) -> list[str]:
    return ["tokens"] if "tokens" in steps.columns else []


def stretches(steps: pl.DataFrame, lines: pl.DataFrame) -> tuple[np.ndarray, pl.DataFrame]:
    """Number the stretches of rising steps: an attempt, or its part up to a manual rollback.

    Gives the number of each step's stretch (rising with the order in which the run lived them),
    and one row per stretch: stretch, line, run_line, first_step, began, and left_at, when the step
    before it ended (of whatever stretch).
    """
    line, step = steps["line"].to_numpy(), steps["step"].to_numpy()
    falls = np.ones(len(steps), bool)
    falls[1:] = (step[1:] <= step[:-1]) | (line[1:] != line[:-1])
    opens = np.flatnonzero(falls)
    first = steps[opens]
    table = first.select("line", first_step="step", began="began").with_columns(
        left_at=steps["ended"].gather(pl.Series(np.maximum(opens - 1, 0), dtype=pl.Int64)),
        stretch=pl.int_range(pl.len()),
        run_line=lines["run_line"].gather(first["line"]),
    )
    return np.cumsum(falls) - 1, table


def is_provisional(
    line: np.ndarray, began: np.ndarray, ended: np.ndarray, lines: pl.DataFrame, saves: pl.DataFrame
) -> np.ndarray:
    """True for steps of a live run that no durable checkpoint holds yet.

    `line`, `began` and `ended` are of the steps; `saves` (durable ones) has line and began. A
    checkpoint holds the steps that ended before it began.
    """
    unsaved = np.zeros(len(line), bool)
    is_open = lines.filter("is_open")
    if is_open.is_empty():
        return unsaved
    run = lines["run_line"].to_numpy()[line]
    first_live = np.full(int(lines["run_line"].to_numpy().max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_live, is_open["run_line"].to_numpy(), is_open["started"].to_numpy())
    held = saves.join(lines.select("line", "run_line"), on="line")
    held = held.select("run_line", saved="began").unique().sort("run_line", "saved")
    keys = pack(held["run_line"], held["saved"])
    reach = began // DAY_MS * DAY_MS + REACH_MS
    live = np.flatnonzero(first_live[run] < reach)
    position = np.searchsorted(keys, pack(run[live], ended[live]))
    padded = np.append(keys, np.iinfo(np.int64).max)
    unsaved[live] = padded[position] >= pack(run[live], reach[live])
    return unsaved
