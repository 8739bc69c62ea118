"""Kept training tokens, and the GPU time of the steps that they took: what MFU is made of (G-5).

A step belongs to the day on which it began within its allocation, with all its tokens; tokens of
steps that a restart discarded do not count. The GPU time is the ledger's own `ideal` and `slow`.
"""

import numpy as np
import polars as pl

from transforms.emptiness import empty_from
from transforms.fleet import place
from transforms.ledger.fates import Fates
from transforms.ledger.logs import Span, holding
from transforms.ledger.readouts import KEPT
from transforms.ledger.timeline import DAY_MS, starts_of
from transforms.tables.derived import RUN_TOKENS

SEVERAL = " + "


def run_tokens(
    fates: Fates,
    lines: pl.DataFrame,
    slices: pl.DataFrame,
    fleet: pl.DataFrame,
    span: Span,
    since: int,
) -> pl.DataFrame:
    """Rows of RUN_TOKENS for the days of [since, span.until).

    `slices` are what the lines' allocations were, cut at midnights, with leaf and gpus.
    """
    told = _kept(fates, span, since)
    day = (pl.col("began") // DAY_MS).alias("day")
    is_kept = pl.col("leaf").cast(pl.String).is_in(KEPT)
    spent = (
        slices.filter(is_kept)
        .group_by("line", day)
        .agg(((pl.col("ended") - pl.col("began")) * pl.col("gpus")).sum().alias("kept_gpu_ms"))
    )
    counted = ["steps", "told_steps", "tokens", "kept_gpu_ms"]
    keys = ["day", "cluster", "run", "gpu_model"]
    return RUN_TOKENS.conform(
        spent.join(told, on=["line", "day"], how="full", coalesce=True)
        .join(lines.select("line", "cluster", "run"), on="line")
        .join(gpu_models(lines, fleet), on="line", how="left")
        .with_columns(pl.col("gpu_model").fill_null(""), pl.col("day").cast(pl.Int32).cast(pl.Date))
        .group_by(keys)
        .agg(pl.col(counted).sum().cast(pl.Int64))
        .select(RUN_TOKENS.dtypes.names())
        .sort(RUN_TOKENS.key)
    )


def _kept(fates: Fates, span: Span, since: int) -> pl.DataFrame:
    """Kept steps of each line and day on which they began: steps, told_steps, tokens."""
    kept = fates.kept
    line, began = (fates.steps[name].to_numpy()[kept] for name in ("line", "began"))
    firsts = starts_of(line)
    # Steps come by line and time: those of one line and day mostly stand together, and the first
    # of a line tells whether any began ahead of the allocation.
    if (began[firsts] < span.started[line[firsts]]).any():
        began = np.maximum(began, span.started[line])
    day = began // DAY_MS
    opens = starts_of(line, day)
    steps = np.diff(opens, append=len(day))
    told_steps, tokens = np.zeros_like(steps), np.zeros_like(steps)
    if "tokens" in fates.steps.columns and len(opens):
        told = fates.steps["tokens"]
        count = told.fill_null(0).to_numpy()[kept]
        told_steps = np.add.reduceat(told.is_not_null().to_numpy()[kept].astype(np.int64), opens)
        tokens = np.add.reduceat(count, opens)
    counted = {"steps": steps, "told_steps": told_steps, "tokens": tokens}
    stands = {"line": line[opens], "day": day[opens], **counted}
    return (
        pl.DataFrame(stands)
        .filter((pl.col("day") * DAY_MS).is_between(since, span.until, closed="left"))
        .group_by("line", "day")
        .agg(pl.col(*counted).sum())
    )


@empty_from("fleet")
def gpu_models(lines: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """The model of the GPUs that each line was allocated: line, gpu_model; several are joined by +.

    The inventory as of the allocation's begin decides; lines on nodes without a model are left out.
    """
    known = fleet.filter(pl.col("gpu_model").is_not_null(), pl.col("gpus") > 0).with_columns(
        *(pl.col(name).dt.epoch("ms") for name in ("valid_from", "valid_to"))
    )
    nodes = (
        holding(lines)
        .select("line", "cluster", "started", node="nodes")
        .explode("node")
        .drop_nulls()
    )
    return (
        place(nodes, fleet)
        .join(known, on=["cluster", "node"])
        .filter(
            pl.col("valid_from") <= pl.col("started"),
            (pl.col("valid_to") > pl.col("started")).fill_null(True),
        )
        .group_by("line")
        .agg(pl.col("gpu_model").unique().sort().str.join(SEVERAL))
    )
