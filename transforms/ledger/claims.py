"""What each moment of an attempt may be called: claims of every kind, most telling first (G-2).

a save that blocks, a wait for data, an evaluation      cut out of the step around them
a lost step, then a kept one
restore, then init
hang, then decide                                       from the interruption's own clock
finished but not released
unknown, or not measured                                the whole allocation
"""

import numpy as np
import polars as pl

from transforms import checkpoints
from transforms.ledger import startup
from transforms.ledger.fates import Fates, claims_of, edges
from transforms.ledger.lines import end_of_reach
from transforms.ledger.logs import Logs, Span, holding, shared
from transforms.ledger.owners import INSURANCE, NOBODY
from transforms.ledger.paces import Paces
from transforms.ledger.struck import Strikes
from transforms.ledger.timeline import BOUNDS, DAY_MS, pack
from transforms.tables.derived import EVIDENCE, LEAVES

LEAF, EVIDENCE_TYPE = pl.Enum(LEAVES), pl.Enum(EVIDENCE)
NONE = np.empty(0, np.int64)


def attempt_claims(
    lines: pl.DataFrame,
    logs: Logs,
    stops: pl.DataFrame,
    fates: Fates,
    paces: Paces,
    strikes: Strikes,
    horizon: int,
    span: Span,
    marks: np.ndarray = NONE,
) -> list[pl.DataFrame]:
    """Claims on the attempts' allocations, highest priority first, as `timeline.sweep` takes them.

    Only what bears on the span is claimed. Columns line, began, ended, leaf, evidence, owner, ideal_ms and pace_ms (of kept
    steps, else null) and provisional; every claim lies within its allocation. Steps that no claim above them
    and none of `marks` (keys of line and instant, where what the slices are summed by changes)
    touches are claimed as one.
    """
    held = holding(lines).with_columns(began="started")
    heard = logs.heard(held, len(lines))
    late = stops.join(heard, on="line", how="semi")
    in_reach = end_of_reach("failed_at")
    hang = late.with_columns(began="failed_at", ended=pl.min_horizontal("detected_at", in_reach))
    decide = late.with_columns(began="detected_at", ended=pl.min_horizontal("decided_at", in_reach))
    restores = startup.closed(checkpoints.restores(logs.checkpoints), logs.steps, stops, held)
    starts = startup.launches(logs.steps, logs.checkpoints, logs.marks, stops, held, heard, lines)
    hang = hang.with_columns(evidence=_last_sign(hang, logs.steps))
    stalls = checkpoints.stalls(logs.checkpoints)
    above = [
        _claim(stalls, "ckpt_stall", "checkpoints", owner=pl.lit(INSURANCE)),
        _claim(logs.lasting("data_wait"), "data_stall", "marks"),
        _claim(logs.lasting("eval"), "eval_or_custom", "marks"),
    ]
    below = [
        _claim(restores, "restore", "checkpoints"),
        _claim(starts, "init", pl.col("evidence")),
        _claim(shared(hang, heard), "hang", pl.col("evidence"), owner=pl.col("owner")),
        _claim(shared(decide, heard), "decide", "marks", owner=pl.col("owner")),
        _claim(_released_late(logs, held), "drain_idle", "marks"),
        _claim(heard, "unknown", "none"),
        _claim(held.filter(~pl.col("logs_steps")), "not_measured", "scheduler"),
    ]
    above = [span.within(level) for level in above]
    lost, kept = claims_of(fates, paces, strikes, lines, logs, horizon, [marks, *map(edges, above)])
    trained_through = [
        _claim(lost, "step_lost", "steps", owner=pl.col("owner")),
        _claim(
            kept,
            "ideal",
            "steps",
            owner=pl.col("owner"),
            ideal_ms=pl.col("ideal_ms"),
            pace_ms=pl.col("pace_ms") if "pace_ms" in kept.columns else None,
            provisional=pl.col("provisional"),
        ),
    ]
    return [*above, *trained_through, *(span.within(level) for level in below)]


def _last_sign(hang: pl.DataFrame, steps: pl.DataFrame) -> pl.Series:
    """What tells that progress ended: steps, where one began earlier on that day, else marks."""
    keys = pack(steps["line"], steps["began"])
    midnight = hang["began"] // DAY_MS * DAY_MS
    since, until = (pack(hang["line"], at) for at in (midnight, hang["began"]))
    has_step = np.searchsorted(keys, since) < np.searchsorted(keys, until, side="right")
    return pl.Series(np.where(has_step, "steps", "marks"), dtype=pl.String)


def _released_late(logs: Logs, held: pl.DataFrame) -> pl.DataFrame:
    """From the end of training to the end of the allocation, as far as the reach goes."""
    done = logs.marks.filter(pl.col("kind").is_in(["finished", "job_end"]))
    return (
        done.select("line", "began")
        .join(held.select("line", "ended"), on="line")
        .with_columns(ended=pl.min_horizontal("ended", end_of_reach("began")))
    )


def _claim(
    rows: pl.DataFrame,
    leaf: str,
    evidence: str | pl.Expr,
    owner: pl.Expr | None = None,
    ideal_ms: pl.Expr | None = None,
    pace_ms: pl.Expr | None = None,
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
        (pl.lit(None) if pace_ms is None else pace_ms).cast(pl.Int64).alias("pace_ms"),
        (pl.lit(False) if provisional is None else provisional).alias("provisional"),
    )
