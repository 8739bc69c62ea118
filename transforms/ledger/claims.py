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
from transforms.ledger import steps as training
from transforms.ledger.lines import REACH_MS, on_lines
from transforms.ledger.owners import INSURANCE, NOBODY, ROLLBACK
from transforms.ledger.timeline import BOUNDS, DAY_MS
from transforms.tables.derived import LEAVES

LEAF = pl.Enum(LEAVES)


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
    `since` on. Columns line, began, ended, leaf, owner, ideal_ms (of kept steps, else null) and
    provisional; every claim lies within its allocation.
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
    levels = [
        _claim(checkpoints.stalls(logs.checkpoints), "ckpt_stall", owner=pl.lit(INSURANCE)),
        _claim(logs.lasting("data_wait"), "data_stall"),
        _claim(logs.lasting("eval"), "eval_or_custom"),
        lost,
        kept,
        _claim(_closed(checkpoints.restores(logs.checkpoints), logs, stops, held), "restore"),
        _claim(_starting(logs, stops, held), "init"),
        _claim(hang, "hang", owner=pl.col("owner")),
        _claim(decide, "decide", owner=pl.col("owner")),
        _claim(_released_late(logs, held), "drain_idle"),
        _claim(held.filter("has_log"), "unknown"),
        _claim(held.filter(~pl.col("has_log")), "not_measured"),
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
    segment = pl.struct("run_line", "gpus").rank("dense").cast(pl.Int64)
    size = lines.select("line", "run_line", segment=segment)
    timed = numbered.join(size, on="line", how="left", maintain_order="left").with_columns(
        took=pl.col("ended") - pl.col("began")
    )
    near = timed.filter(pl.col("ended") > since, pl.col("began") < until)
    discarded = pl.Series("by", training.discarded_by(near, stretches))
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
        _claim(kept, "ideal", ideal_ms=pl.col("ideal_ms"), provisional=pl.col("provisional")),
        _claim(lost, "step_lost", owner=pl.col("owner")),
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


def _starting(logs: Logs, stops: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Start-up: init marks, and the time from the allocation to the first sign of anything else.

    Nobody knows of a first sign that comes later than the reach; such a wait stays unknown.
    """
    signs = ("init", "data_wait", "eval", "detected")
    first = (
        pl.concat(
            [
                logs.steps.select("line", "began"),
                logs.checkpoints.select("line", "began"),
                logs.marks.filter(pl.col("kind").is_in(signs)).select("line", "began"),
            ]
        )
        .group_by("line")
        .agg(pl.col("began").min().alias("ended"))
    )
    launch = held.select("line", "began").join(first, on="line")
    launch = launch.filter(pl.col("ended") - pl.col("began") <= REACH_MS)
    marks = _closed(logs.marks.filter(pl.col("kind") == "init"), logs, stops, held)
    return pl.concat([launch.select(BOUNDS), marks.select(BOUNDS)])


def _closed(
    begun: pl.DataFrame, logs: Logs, stops: pl.DataFrame, held: pl.DataFrame
) -> pl.DataFrame:
    """Close what never ended: when the next step began, its failure was noticed, or at the end.

    A start-up that fails is start-up until somebody notices (methods G-10), not a hang.
    """
    still = begun.filter(pl.col("ended").is_null()).select("line", "began").sort("began")
    steps = logs.steps.select("line", next_step="began").sort("next_step")
    noticed = stops.group_by("line").agg(pl.col("detected_at").max())
    closed = (
        still.join_asof(
            steps, left_on="began", right_on="next_step", by="line", strategy="forward",
            check_sortedness=False,
        )
        .join(noticed, on="line", how="left")
        .join(held.select("line", stopped="ended"), on="line")
        .with_columns(
            ended=pl.min_horizontal(
                "next_step", "detected_at", "stopped", pl.col("began") + REACH_MS
            )
        )
    )  # fmt: skip
    return pl.concat(
        [begun.filter(pl.col("ended").is_not_null()).select(BOUNDS), closed.select(BOUNDS)]
    )


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
    owner: pl.Expr | None = None,
    ideal_ms: pl.Expr | None = None,
    provisional: pl.Expr | None = None,
) -> pl.DataFrame:
    """Give rows with line, began and ended the shape of claims."""
    return rows.select(
        *BOUNDS,
        pl.lit(leaf, LEAF).alias("leaf"),
        (pl.lit(NOBODY) if owner is None else owner).cast(pl.Int64).alias("owner"),
        (pl.lit(None) if ideal_ms is None else ideal_ms).cast(pl.Int64).alias("ideal_ms"),
        (pl.lit(False) if provisional is None else provisional).alias("provisional"),
    )
