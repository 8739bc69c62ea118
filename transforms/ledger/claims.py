"""What each moment of an attempt may be called: claims of every kind, most telling first (G-2).

a save that blocks, a wait for data, an evaluation      cut out of the step around them
a lost step, then a kept one
restore, then init
hang, then decide                                       from the interruption's own clock
finished but not released
unknown, or not measured                                the whole allocation
"""

from dataclasses import dataclass

import polars as pl

from transforms import checkpoints
from transforms.ledger import lineage, startup
from transforms.ledger import steps as training
from transforms.ledger.lines import REACH_MS, on_lines
from transforms.ledger.owners import INSURANCE, NOBODY, ROLLBACK
from transforms.ledger.timeline import BOUNDS, DAY_MS
from transforms.tables.derived import EVIDENCE, LEAVES

LEAF, EVIDENCE_TYPE = pl.Enum(LEAVES), pl.Enum(EVIDENCE)


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
        return cls(
            training.one_row_a_step(on_lines(steps, lines)),
            on_lines(checkpoints, lines),
            on_lines(run_marks, lines),
        )

    def lasting(self, kind: str) -> pl.DataFrame:
        """Marks of one kind that came to an end."""
        return self.marks.filter(pl.col("kind") == kind, pl.col("ended").is_not_null())


def attempt_claims(
    lines: pl.DataFrame, logs: Logs, stops: pl.DataFrame, horizon: int, since: int, until: int
) -> list[pl.DataFrame]:
    """Claims on the attempts' allocations, highest priority first, as `timeline.sweep` takes them.

    Only what bears on [since, until) is claimed, from the begin of the steps that straddle
    `since` on. Columns line, began, ended, leaf, evidence, owner, ideal_ms (of kept steps, else
    null) and provisional; every claim lies within its allocation.
    """
    straddling = logs.steps.filter(pl.col("began") < since, pl.col("ended") > since)
    since = min([since, *straddling["began"]])
    kept, lost = step_claims(lines, logs, stops, horizon, since, until)
    held = lines.filter(pl.col("started").is_not_null(), pl.col("gpus") > 0)
    held = held.with_columns(
        began="started", has_log=pl.col("logs_steps") | pl.col("line").is_in(_wrote(logs, held))
    )
    late = stops.join(held.filter("has_log"), on="line", how="semi")
    in_reach = (pl.col("failed_at") // DAY_MS + 1) * DAY_MS + REACH_MS
    hang = late.with_columns(began="failed_at", ended=pl.min_horizontal("detected_at", in_reach))
    decide = late.with_columns(began="detected_at", ended=pl.min_horizontal("decided_at", in_reach))
    restores = startup.closed(checkpoints.restores(logs.checkpoints), logs.steps, stops, held)
    starts = startup.launches(logs.steps, logs.checkpoints, logs.marks, stops, held, lines)
    trained = pl.col("line").is_in(logs.steps["line"].unique().implode())
    last_sign = pl.when(trained).then(pl.lit("steps")).otherwise(pl.lit("marks"))
    stalls = checkpoints.stalls(logs.checkpoints)
    levels = [
        _claim(stalls, "ckpt_stall", "checkpoints", owner=pl.lit(INSURANCE)),
        _claim(logs.lasting("data_wait"), "data_stall", "marks"),
        _claim(logs.lasting("eval"), "eval_or_custom", "marks"),
        lost,
        kept,
        _claim(restores, "restore", "checkpoints"),
        _claim(starts, "init", pl.col("evidence")),
        _claim(hang, "hang", last_sign, owner=pl.col("owner")),
        _claim(decide, "decide", "marks", owner=pl.col("owner")),
        _claim(_released_late(logs, held), "drain_idle", "marks"),
        _claim(held.filter("has_log"), "unknown", "none"),
        _claim(held.filter(~pl.col("has_log")), "not_measured", "scheduler"),
    ]
    bounds = held.select("line", "started", stopped="ended")
    return [
        level.join(bounds, on="line")
        .with_columns(
            began=pl.max_horizontal("began", "started", pl.lit(since)),
            ended=pl.min_horizontal("ended", "stopped", pl.lit(until)),
        )
        .filter(pl.col("began") < pl.col("ended"))
        .drop("started", "stopped")
        for level in levels
    ]


def _wrote(logs: Logs, held: pl.DataFrame) -> pl.Series:
    """Attempts with a log row within their allocation, not just nearest to it."""
    rows = pl.concat(
        [rows.select("line", at="began") for rows in (logs.steps, logs.checkpoints, logs.marks)]
    )
    inside = rows.join(held.select("line", "started", "ended"), on="line").filter(
        pl.col("at") >= pl.col("started"), pl.col("at") < pl.col("ended")
    )
    return inside["line"].unique().implode()


def step_claims(
    lines: pl.DataFrame, logs: Logs, stops: pl.DataFrame, horizon: int, since: int, until: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Claims of the kept and of the lost steps that overlap [since, until)."""
    numbered, stretches = training.stretches(logs.steps, lines)
    restores = logs.checkpoints.filter(~checkpoints.IS_SAVE)
    stretches = lineage.from_checkpoints(stretches, restores)
    saves = logs.checkpoints.filter(checkpoints.IS_SAVE, pl.col("ok"))
    dead = lineage.dead_ends(stretches, logs.steps, saves, lines)
    segment = pl.struct("run_line", "gpus").rank("dense").cast(pl.Int64)
    size = lines.select("line", "run_line", segment=segment)
    timed = numbered.join(size, on="line", how="left", maintain_order="left").with_columns(
        took=pl.col("ended") - pl.col("began")
    )
    near = timed.filter(pl.col("ended") > since, pl.col("began") < until)
    discarded = pl.Series("by", lineage.discarded_by(near, stretches, dead))
    near = near.with_columns(discarded)
    blamed = _blamed(stretches, stops)
    lost = near.filter(pl.col("by") >= 0).with_columns(
        owner=blamed.gather(discarded.filter(discarded >= 0))
    )
    kept = near.filter(pl.col("by") < 0)
    safe = checkpoints.durable(logs.checkpoints, horizon).join(size, on="line")
    kept = kept.with_columns(
        ideal_ms=training.ideal_ms(timed, kept),
        provisional=training.is_provisional(kept, lines, safe),
    )
    return (
        _claim(
            kept, "ideal", "steps", ideal_ms=pl.col("ideal_ms"), provisional=pl.col("provisional")
        ),
        _claim(lost, "step_lost", "steps", owner=pl.col("owner")),
    )


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
