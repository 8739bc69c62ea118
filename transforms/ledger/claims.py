"""What each moment of an attempt may be called: claims of every kind, most telling first (G-2).

a save that blocks, a wait for data, an evaluation      cut out of the step around them
a lost step, then a kept one
restore, then init
hang, then decide                                       from the interruption's own clock
finished but not released
unknown, or not measured                                the whole allocation
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms import checkpoints
from transforms.ledger import lineage, startup
from transforms.ledger import steps as training
from transforms.ledger.blocks import blocks
from transforms.ledger.lines import REACH_MS, WRITER, Writers, on_lines
from transforms.ledger.owners import INSURANCE, NOBODY, ROLLBACK
from transforms.ledger.timeline import BOUNDS, DAY_MS, FOREVER, pack
from transforms.tables.derived import EVIDENCE, LEAVES

LEAF, EVIDENCE_TYPE = pl.Enum(LEAVES), pl.Enum(EVIDENCE)
NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Logs:
    """Training logs on the lines of their attempts; instants in ms."""

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
        writers = Writers.of(lines)
        told = steps.select(*WRITER, "step", "began", "ended")
        return cls(
            training.one_row_a_step(on_lines(told, writers)),
            on_lines(checkpoints, writers),
            on_lines(run_marks, writers),
        )

    def lasting(self, kind: str) -> pl.DataFrame:
        """Marks of one kind that came to an end."""
        return self.marks.filter(pl.col("kind") == kind, pl.col("ended").is_not_null())


def attempt_claims(
    lines: pl.DataFrame,
    logs: Logs,
    stops: pl.DataFrame,
    horizon: int,
    since: int,
    until: int,
    marks: np.ndarray = NONE,
) -> list[pl.DataFrame]:
    """Claims on the attempts' allocations, highest priority first, as `timeline.sweep` takes them.

    Only what bears on [since, until) is claimed, from the begin of the steps that straddle
    `since` on. Columns line, began, ended, leaf, evidence, owner, ideal_ms (of kept steps, else
    null) and provisional; every claim lies within its allocation. Steps that no claim above them
    and none of `marks` (keys of line and instant, where what the slices are summed by changes)
    touches are claimed as one.
    """
    straddling = logs.steps.filter(pl.col("began") < since, pl.col("ended") > since)
    since = min([since, *straddling["began"]])
    held = lines.filter(pl.col("started").is_not_null(), pl.col("gpus") > 0)
    held = held.with_columns(
        began="started",
        has_log=pl.col("logs_steps") | pl.col("line").is_in(_wrote(logs, held, len(lines))),
    )
    late = stops.join(held.filter("has_log"), on="line", how="semi")
    in_reach = (pl.col("failed_at") // DAY_MS + 1) * DAY_MS + REACH_MS
    hang = late.with_columns(began="failed_at", ended=pl.min_horizontal("detected_at", in_reach))
    decide = late.with_columns(began="detected_at", ended=pl.min_horizontal("decided_at", in_reach))
    restores = startup.closed(checkpoints.restores(logs.checkpoints), logs.steps, stops, held)
    starts = startup.launches(logs.steps, logs.checkpoints, logs.marks, stops, held, lines)
    trained = pl.col("line").is_in(startup.first_of_lines(logs.steps)["line"].implode())
    last_sign = pl.when(trained).then(pl.lit("steps")).otherwise(pl.lit("marks"))
    stalls = checkpoints.stalls(logs.checkpoints)
    above = [
        _claim(stalls, "ckpt_stall", "checkpoints", owner=pl.lit(INSURANCE)),
        _claim(logs.lasting("data_wait"), "data_stall", "marks"),
        _claim(logs.lasting("eval"), "eval_or_custom", "marks"),
    ]
    below = [
        _claim(restores, "restore", "checkpoints"),
        _claim(starts, "init", pl.col("evidence")),
        _claim(hang, "hang", last_sign, owner=pl.col("owner")),
        _claim(decide, "decide", "marks", owner=pl.col("owner")),
        _claim(_released_late(logs, held), "drain_idle", "marks"),
        _claim(held.filter("has_log"), "unknown", "none"),
        _claim(held.filter(~pl.col("has_log")), "not_measured", "scheduler"),
    ]
    bounds = held.select("line", "started", stopped="ended")
    span = Span(*_by_line(bounds, len(lines)), since, until)
    above = [span.within(level) for level in above]
    lost, kept = step_claims(lines, logs, stops, horizon, span, [marks, *map(_edges, above)])
    return [*above, lost, kept, *(span.within(level) for level in below)]


@dataclass(frozen=True)
class Span:
    """The time that is claimed: each line's allocation (ms), within [since, until)."""

    started: np.ndarray
    stopped: np.ndarray
    since: int
    until: int

    def cut(
        self, line: np.ndarray, began: np.ndarray, ended: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Begins and ends cut to the span; nothing is left where they do not rise."""
        low, high = np.maximum(self.started, self.since), np.minimum(self.stopped, self.until)
        return np.maximum(began, low[line]), np.minimum(ended, high[line])

    def within(self, level: pl.DataFrame) -> pl.DataFrame:
        """Claims cut to the span; an open one lasts to its end."""
        line, began = level["line"].to_numpy(), level["began"].to_numpy()
        began, ended = self.cut(line, began, level["ended"].fill_null(FOREVER).to_numpy())
        cut = level.with_columns(began=pl.Series(began), ended=pl.Series(ended))
        return cut.filter(pl.col("began") < pl.col("ended"))


def _edges(claims: pl.DataFrame) -> np.ndarray:
    """Keys of where claims begin and end."""
    return np.concatenate([pack(claims["line"], claims[end]) for end in ("began", "ended")])


def _wrote(logs: Logs, held: pl.DataFrame, lines: int) -> pl.Series:
    """Attempts with a log row within their allocation, not just nearest to it."""
    started, ended = _by_line(held.select("line", "started", "ended"), lines)
    wrote = np.zeros(lines, bool)
    for rows in (logs.steps, logs.checkpoints, logs.marks):
        line, at = rows["line"].to_numpy(), rows["began"].to_numpy()
        wrote[line[(at >= started[line]) & (at < ended[line])]] = True
    return pl.Series(np.flatnonzero(wrote)).implode()


def _by_line(bounds: pl.DataFrame, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """When the allocation of each line began and ended; one that is not in `bounds` holds nothing."""
    began, ended = np.full(lines, FOREVER), np.zeros(lines, np.int64)
    place = bounds["line"].to_numpy()
    began[place], ended[place] = (bounds[name].to_numpy() for name in bounds.columns[1:])
    return began, ended


def step_claims(
    lines: pl.DataFrame,
    logs: Logs,
    stops: pl.DataFrame,
    horizon: int,
    span: Span,
    marks: Sequence[np.ndarray],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Claims of the lost and of the kept steps within `span`; those that no mark touches as one."""
    number, stretches = training.stretches(logs.steps, lines)
    restores = logs.checkpoints.filter(~checkpoints.IS_SAVE)
    stretches = lineage.from_checkpoints(stretches, restores)
    saves = logs.checkpoints.filter(checkpoints.IS_SAVE, pl.col("ok"))
    dead = lineage.dead_ends(stretches, logs.steps, saves, lines)
    line, step, began, ended = (logs.steps[name].to_numpy() for name in logs.steps.columns)
    from_, to = span.cut(line, began, ended)
    near = _rows(from_ < to)
    by = lineage.discarded_by(step[near], began[near], number[near], stretches, dead)
    is_lost = np.zeros(len(line), bool)
    is_lost[near] = by >= 0
    lost, kept = np.flatnonzero(is_lost), _rows((from_ < to) & ~is_lost)
    owner = _blamed(stretches, stops).to_numpy()[by[by >= 0]]
    discarded = blocks(line[lost], from_[lost], to[lost], np.concatenate(marks), owner)
    numbered = lines.with_columns(pl.struct("run_line", "gpus").rank("dense").alias("segment"))
    run_line, segment = (numbered[name].to_numpy() for name in ("run_line", "segment"))
    ideal = training.ideal_ms(segment[line], began, ended - began, kept)
    safe = checkpoints.durable(logs.checkpoints, horizon).join(
        lines.select("line", "run_line"), on="line"
    )
    provisional = training.is_provisional(
        run_line[line[kept]], began[kept], ended[kept], lines, safe
    )
    lasting = blocks(
        line[kept], from_[kept], to[kept], np.concatenate([*marks, _edges(discarded)]),
        provisional, ideal,
    )  # fmt: skip
    return (
        _claim(
            discarded.with_columns(owner=pl.Series(owner[discarded["row"].to_numpy()])),
            "step_lost",
            "steps",
            owner=pl.col("owner"),
        ),
        _claim(
            lasting.with_columns(provisional=pl.Series(provisional[lasting["row"].to_numpy()])),
            "ideal",
            "steps",
            ideal_ms=pl.col("ideal_ms"),
            provisional=pl.col("provisional"),
        ),
    )


def _rows(wanted: np.ndarray) -> np.ndarray | slice:
    """Where rows are wanted; all of them without being listed, so that no copy is made."""
    return slice(None) if wanted.all() else np.flatnonzero(wanted)


def _blamed(stretches: pl.DataFrame, stops: pl.DataFrame) -> pl.Series:
    """Who answers for the steps that each stretch discarded by starting below them.

    The interruption that ended the attempt which trained before it, or the one inside this
    attempt since then; else somebody rolled the run back by hand.
    """
    last = stops.select(pl.col("line").alias("before"), "owner").unique(
        "before", keep="last", maintain_order=True
    )
    inside = stops.sort("failed_at").select("line", pl.col("owner").alias("inner"), "failed_at")
    trained = pl.col("line").shift(1).over("run_line")
    began = pl.col("began").shift(1).over("run_line")
    named = (
        stretches.with_columns(before=trained, before_began=began)
        .join(last, on="before", how="left", maintain_order="left")
        .sort("began")
        .join_asof(inside, left_on="began", right_on="failed_at", by="line", check_sortedness=False)
        .sort("stretch")
    )
    inner = pl.when(pl.col("failed_at") > pl.col("before_began")).then("inner")
    same = pl.col("before") == pl.col("line")
    return named.select(
        pl.when(same).then(inner).otherwise("owner").fill_null(ROLLBACK).alias("owner")
    )["owner"]


def _released_late(logs: Logs, held: pl.DataFrame) -> pl.DataFrame:
    """From the end of training to the end of the allocation."""
    done = logs.marks.filter(pl.col("kind").is_in(["finished", "job_end"]))
    return (
        done.group_by("line")
        .agg(pl.col("began").min())
        .join(held.select("line", "ended"), on="line")
    )


def _claim(
    rows: pl.DataFrame,
    leaf: str,
    evidence: str | pl.Expr,
    owner: pl.Expr | None = None,
    ideal_ms: pl.Expr | None = None,
    provisional: pl.Expr | None = None,
) -> pl.DataFrame:
    """Give rows with line, began and ended the shape of claims."""
    says = pl.lit(evidence) if isinstance(evidence, str) else evidence
    return rows.select(
        *BOUNDS,
        pl.lit(leaf, LEAF).alias("leaf"),
        says.cast(EVIDENCE_TYPE).alias("evidence"),
        (pl.lit(NOBODY) if owner is None else owner).cast(pl.Int64).alias("owner"),
        (pl.lit(None) if ideal_ms is None else ideal_ms).cast(pl.Int64).alias("ideal_ms"),
        (pl.lit(False) if provisional is None else provisional).alias("provisional"),
    )
