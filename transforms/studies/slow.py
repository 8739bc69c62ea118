"""Fail-slow: spells in which a run's steps took longer than usual, and which node shows a cause.

Steps of an attempt are taken in blocks of twenty, by the block's median, so that a checkpoint or a
stray step is no spell. Usual is the lower quartile of the attempt's blocks: it does not drift up
with the trouble (G-4). A spell is two blocks in a row or more at 1.1 times the usual or beyond,
the threshold that fail-slow studies use; its limits are exact order statistics of its own steps
over the usual one's. Steps are kept ones and lost ones alike: slow is slow.

Of the attempt's nodes those are named that samples show slowed down, too hot, or with bad links
during the spell, and not in as long a time before it. One node is a suspect; more than half of
them is a common cause; none leaves the workload.
"""

from datetime import timedelta

import polars as pl
from scipy import stats

from transforms.studies.base import Asked, RefusalError, Study, number
from transforms.tables import derived as d
from transforms.tables import observed as o
from transforms.tables.hourly import SAMPLE_SIGNALS

BLOCK = 20
ATTEMPT = ["cluster", "run", "job_id", "restart"]
SPELL = [*ATTEMPT, "spell"]
SLOWS = (
    *("thermal_slowdown", "power_brake", "hw_slowdown", "pcie_replay", "nvlink_error"),
    *("nvlink_recovery", "link_downed", "link_recovery", "link_inactive", "bit_errors"),
)
SHOWN = 3

ANSWER: dict[str, type[pl.DataType] | pl.DataType] = {
    "cluster": pl.String,
    "run": pl.String,
    "job_id": pl.String,
    "restart": pl.Int64,
    "began": o.STEPS.dtypes["began"],
    "ended": o.STEPS.dtypes["began"],
    "steps": pl.Int64,
    "usual_s": pl.Float64,
    "slow_s": pl.Float64,
    "slowdown": pl.Float64,
    "slowdown_lo": pl.Float64,
    "slowdown_hi": pl.Float64,
    "gpus": pl.Int64,
    "gpu_hours_lost": pl.Float64,
    "nodes": pl.Int64,
    "nodes_with_signs": pl.Int64,
    "signs": pl.String,
    "verdict": pl.String,
    "attempt_slow_share": pl.Float64,
}


def slow(
    asked: Asked,
    *,
    steps: pl.DataFrame,
    run_attempts: pl.DataFrame,
    sample_signals: pl.DataFrame,
) -> pl.DataFrame:
    """One row per slow spell, the dearest first; no row where no attempt had one.

    Options: `run` (one run alone), `threshold` (1.1: slow from that many times the usual).
    `attempt_slow_share` is the share of the attempt's step time that is in slow spells.
    """
    threshold = number(asked, "threshold", 1.1, 1.01, 10)
    if run := asked.options.get("run", ""):
        steps = steps.filter(pl.col("run") == run)
    timed = steps.filter(pl.col("ended") > pl.col("began")).sort(*ATTEMPT, "began", "step")
    if timed.is_empty():
        raise RefusalError(f"no step of {run or 'any run'} on the days asked")
    if len(named := run_attempts["cluster"].unique().to_list()) == 1:
        # A training log names no cluster; where there is one, it is that.
        timed = timed.with_columns(pl.col("cluster").replace("", named[0]))
    spells = _spells(_blocked(timed), threshold, asked.level)
    told = _witnessed(_held(spells, run_attempts), sample_signals)
    rows = told.with_columns(
        pl.when(pl.col("nodes") == 0)
        .then(pl.lit("nodes not known"))
        .when(pl.col("nodes_with_signs") == 0)
        .then(pl.lit("no node shows a cause"))
        .when(2 * pl.col("nodes_with_signs") > pl.col("nodes"))
        .then(pl.lit("common cause"))
        .when(pl.col("nodes_with_signs") == 1)
        .then(pl.lit("one suspect"))
        .otherwise(pl.lit("several suspects"))
        .alias("verdict")
    )
    return (
        rows.select(pl.col(name).cast(kind) for name, kind in ANSWER.items())
        .sort(-pl.col("gpu_hours_lost"), -pl.col("slowdown"), *ATTEMPT, "began", nulls_last=True)
        .with_columns(
            clock=pl.lit("step time"), definition=pl.lit(f"steps at {threshold:g} x usual")
        )
    )


def _blocked(timed: pl.DataFrame) -> pl.DataFrame:
    """Each step with its `s`, its `block` within the attempt and the block's median `pace`.

    What is left over at an attempt's end belongs to its last whole block.
    """
    nth = pl.int_range(pl.len()).over(ATTEMPT)
    last = pl.max_horizontal(pl.len().over(ATTEMPT) // BLOCK - 1, 0)
    return timed.with_columns(
        s=(pl.col("ended") - pl.col("began")).dt.total_microseconds() / 1e6,
        block=pl.min_horizontal(nth // BLOCK, last),
    ).with_columns(pace=pl.col("s").median().over(*ATTEMPT, "block"))


def _spells(blocked: pl.DataFrame, threshold: float, level: float) -> pl.DataFrame:
    """One row per spell, its limits by order statistics: ranks from the binomial of one half."""
    blocks = blocked.unique([*ATTEMPT, "block"], keep="first", maintain_order=True)
    usual = blocks.group_by(ATTEMPT).agg(usual_s=pl.col("pace").quantile(0.25, "lower"))
    blocks = blocks.join(usual, on=ATTEMPT, maintain_order="left").with_columns(
        is_slow=pl.col("pace") >= threshold * pl.col("usual_s")
    )
    turn = pl.col("is_slow") != pl.col("is_slow").shift(1)
    blocks = blocks.with_columns(spell=turn.fill_null(True).cum_sum().over(ATTEMPT))
    long = pl.len().over(SPELL) > 1
    slow = blocks.filter("is_slow", long).select(*ATTEMPT, "block", "spell", "usual_s")
    whole = blocked.group_by(ATTEMPT).agg(whole_s=pl.col("s").sum())
    tail = (1 - level) / 2
    spells = (
        blocked.join(slow, on=[*ATTEMPT, "block"])
        .group_by(SPELL)
        .agg(
            pl.col("began").min(),
            pl.col("ended").max(),
            pl.len().alias("steps"),
            pl.col("usual_s").first(),
            pl.col("s").median().alias("slow_s"),
            pl.col("s").sort().alias("all_s"),
            pl.col("s").sum().alias("spell_s"),
            (pl.col("s") - pl.col("usual_s")).clip(0).sum().alias("lost_s"),
        )
        .join(whole, on=ATTEMPT)
    )
    rank = pl.Series("rank", stats.binom.ppf(tail, spells["steps"].to_numpy(), 0.5) - 1)
    low = rank.clip(lower_bound=0).cast(pl.Int64)
    return (
        spells.with_columns(low=low)
        .with_columns(
            slowdown=pl.col("slow_s") / pl.col("usual_s"),
            slowdown_lo=pl.col("all_s").list.get(pl.col("low")) / pl.col("usual_s"),
            slowdown_hi=pl.col("all_s").list.get(-pl.col("low") - 1) / pl.col("usual_s"),
            attempt_slow_share=pl.col("spell_s").sum().over(ATTEMPT) / pl.col("whole_s"),
        )
        .drop("all_s", "low", "spell_s", "whole_s")
    )


def _held(spells: pl.DataFrame, run_attempts: pl.DataFrame) -> pl.DataFrame:
    """Spells with the GPUs and the `names` of the nodes that their attempt held then."""
    held = run_attempts.select(
        "cluster", "job_id", "started", "gpus", names="nodes", over=pl.col("ended")
    ).filter(pl.col("started").is_not_null())
    found = spells.join(held, on=["cluster", "job_id"], how="left").filter(
        pl.col("started").is_null()
        | (
            (pl.col("started") <= pl.col("began"))
            & (pl.col("over").is_null() | (pl.col("over") > pl.col("began")))
        )
    )
    kept = found.sort("started").unique(SPELL, keep="last", maintain_order=True)
    lone = spells.join(kept.select(SPELL), on=SPELL, how="anti")
    rows = pl.concat([kept, lone], how="diagonal")
    return rows.with_columns(
        nodes=pl.col("names").list.len().fill_null(0),
        gpu_hours_lost=pl.col("lost_s") * pl.col("gpus").cast(pl.Float64) / 3600,
    )


def _witnessed(spells: pl.DataFrame, signals: pl.DataFrame) -> pl.DataFrame:
    """Spells with how many of their nodes show a sign that they did not show as long before."""
    signs = signals.filter(pl.col("kind").cast(pl.String).is_in(SLOWS)).select(
        "cluster", "node", pl.col("kind").cast(pl.String), at="began", until="ended"
    )
    near = (
        spells.select(*SPELL, "began", "ended", node="names")
        .explode("node")
        .join(signs, on=["cluster", "node"])
        .filter(pl.col("at") < pl.col("ended"))
    )
    is_during = pl.col("until") >= pl.col("began") - timedelta(minutes=1)
    is_before = (pl.col("until") >= pl.col("began") - (pl.col("ended") - pl.col("began"))) & (
        pl.col("at") < pl.col("began") - timedelta(minutes=1)
    )
    shown = (
        near.group_by(*SPELL, "node", "kind")
        .agg(during=(is_during & ~is_before).any(), before=is_before.any())
        .filter(pl.col("during") & ~pl.col("before"))
        .sort("node", "kind")
    )
    told = shown.group_by(SPELL, maintain_order=True).agg(
        nodes_with_signs=pl.col("node").n_unique(),
        signs=pl.format("{}: {}", "node", "kind").head(SHOWN).str.join(", "),
    )
    return spells.join(told, on=SPELL, how="left").with_columns(
        pl.col("nodes_with_signs").fill_null(0), pl.col("signs").fill_null("")
    )


STUDY = Study(
    name="slow",
    title="Spells in which a run's steps took longer than usual, and the node that shows a cause",
    reads=(o.STEPS, d.RUN_ATTEMPTS, SAMPLE_SIGNALS),
    by=slow,
)
