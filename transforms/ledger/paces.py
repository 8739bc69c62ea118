"""The ideal step time of each segment of a run, frozen from its first steps (methods G-4).

    first_steps   the first 200 steps of a segment on each day on which it had not had as many lately
    ideal_steps   of these the 10th percentile, once for the whole life of the segment

A segment is a run on so many GPUs with batches of one size: whoever changes either changes what a
step takes. Its ideal rests on the first 200 steps of its first fortnight alone, so that it cannot
creep up with a fault that comes later, however long the run lasts. Code versions and sequence
lengths, which would part segments further, are in no log that is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from transforms.ledger.in_use import on_attempts
from transforms.ledger.lines import REACH_DAYS, REACH_MS, attempt_lines
from transforms.ledger.logs import Logs
from transforms.ledger.steps import COLUMNS
from transforms.ledger.timeline import (
    DAY_MS,
    FOREVER,
    latest_before,
    midnights,
    ms,
    pack,
    ranges,
    starts_of,
    unpack,
)
from transforms.tables.derived import FIRST_STEPS, IDEAL_STEPS
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS

if TYPE_CHECKING:
    from transforms.recipes import Window

STEPS = 200
ORDER = 10
"""The ideal is the (n - 1) // 10 th smallest of n: the 10th percentile, lower of two neighbours."""
BATCHES_PER_OCTAVE = 8
"""Batches whose tokens round to one eighth of an octave (4 % either way) are of one size."""
LATELY_MS = REACH_MS - DAY_MS
"""One day less than the reach: a step may end on the day after it began."""
SEGMENT = ["cluster", "run", "gpus", "batch_tokens"]


def first_steps(
    window: "Window", *, run_attempts: pl.DataFrame, steps: pl.DataFrame, gpu_use: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """Rows of FIRST_STEPS for the days of the window; steps outside of their allocation are none."""
    lines = attempt_lines(run_attempts, window.horizon)
    logs = Logs.on(lines, steps, CHECKPOINTS.empty(), RUN_MARKS.empty())
    told = _within_allocations(logs.steps, lines)
    if told.is_empty():
        return {"first_steps": FIRST_STEPS.empty()}
    number, table = segments(told, lines, on_attempts(gpu_use, lines))
    began, ended = told["began"].to_numpy(), told["ended"].to_numpy()
    keys, took = pack(number, began), ended - began
    order = None
    if not bool((keys[1:] > keys[:-1]).all()):
        order = np.lexsort((took, keys))
        keys, took = keys[order], took[order]
    opens = np.unique(np.searchsorted(keys, midnights(keys)))
    opens = opens[opens < len(keys)]
    segment, at = unpack(keys[opens])
    since, until = ms(window.since), ms(window.until)
    # As many as it had lately make it one whose first steps are known already.
    had = opens - np.searchsorted(keys, pack(segment, at // DAY_MS * DAY_MS - LATELY_MS))
    count = np.diff(opens, append=len(keys))
    wanted = np.flatnonzero((had < STEPS) & (at >= since) & (at < until))
    row, nth = ranges(np.minimum(count[wanted], STEPS))
    chosen = opens[wanted][row] + nth
    said = pl.Series(chosen if order is None else order[chosen])
    rows = table[pl.Series(segment[wanted][row])].select(
        *SEGMENT,
        day=pl.Series(at[wanted][row] // DAY_MS).cast(pl.Int32).cast(pl.Date),
        nth=pl.Series(nth),
        took_ms=pl.Series(took[chosen]),
        tokens=told["tokens"].gather(said) if "tokens" in told.columns else pl.lit(None, pl.Int64),
    )
    typed = rows.select(pl.col(name).cast(kind) for name, kind in FIRST_STEPS.dtypes.items())
    return {"first_steps": FIRST_STEPS.conform(typed.sort(FIRST_STEPS.key))}


def ideal_steps(window: "Window", *, first_steps: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Rows of IDEAL_STEPS for the segments whose first day is in the window.

    `first_steps` are those of all days before the window too: a segment has one first day.
    """
    opened = first_steps.group_by(SEGMENT).agg(pl.col("day").min().alias("first_day"))
    days = pl.col("first_day").is_between(window.since.date(), window.until.date(), closed="left")
    rows = (
        first_steps.join(opened.filter(days), on=SEGMENT)
        .filter(pl.col("day") < pl.col("first_day") + pl.duration(days=REACH_DAYS))
        .sort(*SEGMENT, "day", "nth")
        .group_by(SEGMENT, maintain_order=True)
        .agg(
            pl.col("first_day").first(),
            pl.col("took_ms").head(STEPS).sort(),
            pl.col("tokens").head(STEPS).mean().round().cast(pl.Int64),
        )
        .select(
            *SEGMENT,
            began=pl.col("first_day").cast(IDEAL_STEPS.dtypes["began"]),
            forgotten=pl.lit(None, IDEAL_STEPS.dtypes["began"]),
            tokens="tokens",
            steps=pl.col("took_ms").list.len().cast(pl.Int64),
            ideal_ms=pl.col("took_ms").list.get((pl.col("took_ms").list.len() - 1) // ORDER),
        )
        .select(IDEAL_STEPS.dtypes.names())
    )
    return {"ideal_steps": IDEAL_STEPS.conform(rows.sort(IDEAL_STEPS.key))}


def segments(
    steps: pl.DataFrame, lines: pl.DataFrame, used: pl.DataFrame
) -> tuple[np.ndarray, pl.DataFrame]:
    """Number the segments: that of each step, and the table of SEGMENT by number, with `most`.

    `used` is what `in_use.on_attempts` gives; `most` GPUs are those that the attempt has used so far.
    """
    line = steps["line"].to_numpy()
    alike = {"line": line}
    if "tokens" in steps.columns:
        alike["batch_tokens"] = _batches(steps["tokens"].fill_null(0).to_numpy())
    if not used.is_empty():
        row = latest_before(used, steps["line"], steps["began"])
        for name in ("use", "most"):
            alike[name] = np.where(row >= 0, used[name].to_numpy()[row], -1)
    starts = starts_of(*alike.values())
    all_in_use = {name: pl.lit(-1, pl.Int64) for name in ("use", "most")}
    untold = {"batch_tokens": pl.lit(0, pl.Int64)} | all_in_use
    heads = (
        pl.DataFrame({name: told[starts] for name, told in alike.items()})
        .with_columns(**{name: lit for name, lit in untold.items() if name not in alike})
        .join(lines.select("line", "cluster", "run", "gpus"), on="line", maintain_order="left")
        .with_columns(
            pl.when(pl.col(told) >= 0).then(told).otherwise("gpus").alias(name)
            for name, told in (("gpus", "use"), ("most", "most"))
        )
    )
    names = [*SEGMENT, "most"]
    table = heads.select(names).unique().sort(names).with_row_index("segment")
    found = heads.join(table, on=names, maintain_order="left")["segment"].cast(pl.Int64)
    return np.repeat(found.to_numpy(), np.diff(starts, append=len(line))), table


def _within_allocations(steps: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Steps of which any part lies in the allocation of their line."""
    if steps.is_empty():
        return steps
    line, _, began, ended = (steps[name].to_numpy() for name in COLUMNS)
    started, stopped = (lines[name].fill_null(0).to_numpy() for name in ("started", "ended"))
    starts = starts_of(line)
    first, last = np.minimum.reduceat(ended, starts), np.maximum.reduceat(began, starts)
    if ((last < stopped[line[starts]]) & (first > started[line[starts]])).all():
        return steps  # seen attempt by attempt, which is cheaper than step by step
    inside = (began < stopped[line]) & (ended > started[line])
    return steps.filter(pl.Series(inside))


def _batches(tokens: np.ndarray) -> np.ndarray:
    """Tokens of each step, rounded to parts of an octave; 0 where none are told."""
    octave = np.rint(BATCHES_PER_OCTAVE * np.log2(np.maximum(tokens, 1)))
    return np.where(tokens > 0, np.rint(np.exp2(octave / BATCHES_PER_OCTAVE)), 0).astype(np.int64)


@dataclass(frozen=True)
class Paces:
    """What the steps of every segment ideally take.

    used          GPUs in use, as `in_use.on_attempts` gives them
    ideal_steps   rows of that table
    """

    used: pl.DataFrame
    ideal_steps: pl.DataFrame

    def of(self, steps: pl.DataFrame, lines: pl.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """Ideal time of each step, and the pace of its own segment where any is behind it (ms).

        FOREVER where a segment has none, as outside of any allocation. The ideal of a segment that
        lost GPUs on the way is that of the full size, token by token: what lies between is the price
        of going on with fewer (G-8).
        """
        number, table = segments(steps, lines, self.used)
        known = self.ideal_steps.select(*SEGMENT, "ideal_ms", "tokens")
        found = table.join(known, on=SEGMENT, how="left", maintain_order="left")
        pace = found["ideal_ms"].fill_null(FOREVER)
        full = self._of_the_full_size(found)
        ideal = pl.DataFrame({"pace": pace, "full": full}).min_horizontal()
        if (ideal == pace).all():
            return pace.to_numpy()[number], None
        return ideal.to_numpy()[number], pace.to_numpy()[number]

    def _of_the_full_size(self, table: pl.DataFrame) -> pl.Series:
        """What a step of each shrunken segment would take at the full size's GPU time a token; else null.

        Full is the most that the attempt has used. Where no tokens are told a step counts as a step.
        """
        small = table.filter(pl.col("gpus") < pl.col("most"))
        if small.is_empty():
            return pl.Series("full", [None] * len(table), pl.Int64)
        whole = self.ideal_steps.select(
            *("cluster", "run"), most="gpus", full_batch="batch_tokens", full_ms="ideal_ms",
            full_tokens="tokens",
        )  # fmt: skip
        is_told = (pl.col("batch_tokens") > 0) & (pl.col("full_batch") > 0)
        share = pl.when(is_told).then(pl.col("tokens") / pl.col("full_tokens")).otherwise(1.0)
        scaled = (
            small.join(whole, on=["cluster", "run", "most"])
            .with_columns(
                full=(pl.col("full_ms") * pl.col("most") / pl.col("gpus") * share).round()
            )
            .sort("segment", pl.col("batch_tokens") != pl.col("full_batch"), "full")
            .unique("segment", keep="first")
            .select("segment", pl.col("full").cast(pl.Int64))
        )
        return table.join(scaled, on="segment", how="left", maintain_order="left")["full"]
