"""Training logs on the lines of their attempts, and the span of time that is accounted for."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.ledger import steps as training
from transforms.ledger.lines import REACH_DAYS, REACH_MS, WRITER, Writers, end_of_reach, on_lines
from transforms.ledger.timeline import BOUNDS, DAY_MS, FOREVER, starts_of


@dataclass(frozen=True)
class Logs:
    """Training logs on the lines of their attempts; instants in ms. Steps may have `tokens`."""

    steps: pl.DataFrame
    checkpoints: pl.DataFrame
    marks: pl.DataFrame

    @classmethod
    def on(
        cls,
        lines: pl.DataFrame,
        steps: pl.DataFrame,
        checkpoints: pl.DataFrame,
        run_marks: pl.DataFrame,
    ) -> "Logs":
        # Tokens are carried only where some are told: most of a large log is its steps.
        tokens = ["tokens"] if steps["tokens"].null_count() < len(steps) else []
        told = steps.select(*WRITER, "step", "began", "ended", *tokens)
        trained, saved, marked = on_lines(Writers.of(lines), told, checkpoints, run_marks)
        return cls(
            training.one_row_a_step(_in_reach(trained, "ended")),
            _in_reach(saved, "block_ended"),
            _in_reach(marked, "ended"),
        )

    def lasting(self, kind: str) -> pl.DataFrame:
        """Marks of one kind that came to an end."""
        return self.marks.filter(pl.col("kind") == kind, pl.col("ended").is_not_null())

    def heard(self, held: pl.DataFrame, lines: int) -> pl.DataFrame:
        """When allocations are known to have a log: line, began, ended, sorted and apart.

        `held` has line, began and ended of the allocations, and logs_steps. That one is true says
        so of the whole; else every row of a log within the allocation does of the days within reach.
        """
        known = held.filter("logs_steps").select(BOUNDS)
        others = held.filter(~pl.col("logs_steps")).select(BOUNDS)
        if others.is_empty():
            return known
        since, until = by_line(others, lines)
        found = []
        for rows in (self.steps, self.checkpoints, self.marks):
            line, began = rows["line"].to_numpy(), rows["began"].to_numpy()
            inside = (since[line] <= began) & (began < until[line])
            line, day = line[inside], began[inside] // DAY_MS
            first = starts_of(line, day)
            found.append(pl.DataFrame({"line": line[first], "day": day[first]}))
        days = pl.concat(found).unique().sort("line", "day")
        is_apart = pl.col("line").diff().ne(0) | pl.col("day").diff().gt(2 * REACH_DAYS + 1)
        told = (
            days.group_by("line", is_apart.fill_null(True).cum_sum().alias("n"))
            .agg(
                began=(pl.col("day").min() - REACH_DAYS) * DAY_MS,
                ended=(pl.col("day").max() + 1 + REACH_DAYS) * DAY_MS,
            )
            .select(BOUNDS)
        )
        return pl.concat([known, shared(told, others)]).sort("line", "began")


def _in_reach(rows: pl.DataFrame, end: str) -> pl.DataFrame:
    """What lasts beyond the reach is taken to have ended there: farther days do not read of it."""
    if ((rows[end] - rows["began"]) <= REACH_MS).all():
        return rows
    return rows.with_columns(
        pl.when(pl.col(end).is_not_null()).then(pl.min_horizontal(end, end_of_reach("began")))
    )


def shared(rows: pl.DataFrame, spells: pl.DataFrame) -> pl.DataFrame:
    """The parts of rows that lie within spells of their line, which are apart."""
    there = spells.select("line", low="began", high="ended")
    return (
        rows.join(there, on="line", maintain_order="left_right")
        .with_columns(
            began=pl.max_horizontal("began", "low"), ended=pl.min_horizontal("ended", "high")
        )
        .filter(pl.col("began") < pl.col("ended"))
        .drop("low", "high")
    )


@dataclass(frozen=True)
class Span:
    """The time that is claimed: each line's allocation (ms), within [since, until)."""

    started: np.ndarray
    stopped: np.ndarray
    since: int
    until: int

    @classmethod
    def of(cls, lines: pl.DataFrame, steps: pl.DataFrame, since: int, until: int) -> "Span":
        """[since, until), from the begin of the `steps` on that straddle `since`."""
        straddling = steps.filter(pl.col("began") < since, pl.col("ended") > since)
        held = holding(lines).select("line", "started", "ended")
        return cls(*by_line(held, len(lines)), min([since, *straddling["began"]]), until)

    def cut(
        self, line: np.ndarray, began: np.ndarray, ended: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Begins and ends cut to the span; nothing is left where they do not rise."""
        low, high = np.maximum(self.started, self.since), np.minimum(self.stopped, self.until)
        if not len(line):
            return began, ended
        # Seen stretch by stretch of a line, which is cheaper than row by row.
        starts = starts_of(line)
        of = line[starts]
        is_within = (np.minimum.reduceat(began, starts) >= low[of]).all()
        if is_within and (np.maximum.reduceat(ended, starts) <= high[of]).all():
            return began, ended
        return np.maximum(began, low[line]), np.minimum(ended, high[line])

    def within(self, level: pl.DataFrame) -> pl.DataFrame:
        """Claims cut to the span; an open one lasts to its end."""
        if level.is_empty():
            return level
        line, began = level["line"].to_numpy(), level["began"].to_numpy()
        began, ended = self.cut(line, began, level["ended"].fill_null(FOREVER).to_numpy())
        cut = level.with_columns(began=pl.Series(began), ended=pl.Series(ended))
        return cut.filter(pl.col("began") < pl.col("ended"))


def holding(lines: pl.DataFrame) -> pl.DataFrame:
    """The attempts that were allocated GPUs."""
    return lines.filter(pl.col("started").is_not_null(), pl.col("gpus") > 0)


def by_line(bounds: pl.DataFrame, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """When the allocation of each line began and ended; one that is not in `bounds` holds nothing."""
    began, ended = np.full(lines, FOREVER), np.zeros(lines, np.int64)
    place = bounds["line"].to_numpy()
    began[place], ended[place] = (bounds[name].to_numpy() for name in bounds.columns[1:])
    return began, ended
