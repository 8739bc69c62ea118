"""A run that wants to go and has no GPUs: waiting for repair, or just waiting (methods 4.2, G-2).

Between two attempts a run waits from the end of one to the start of the next, whoever must act;
before its first attempt, and after a pause longer than the reach, from when it could have
started. While any attempt of the run holds GPUs the run is not waiting.
"""

import polars as pl

from transforms.ledger.claims import LEAF
from transforms.ledger.lines import REACH_MS
from transforms.ledger.owners import START_UP
from transforms.ledger.timeline import sweep

SLICE = ("line", "began", "ended", "leaf", "owner", "fallback", "gpus", "provisional")
"""What every slice of an attempt's line says."""


def wait_slices(lines: pl.DataFrame, out: pl.DataFrame, since: int, until: int) -> pl.DataFrame:
    """The waits of all runs within [since, until), on the lines of the attempts waited for.

    `out` has cluster, node, began, ended (ms) and service of nodes out of service. A wait is for
    repair while a node of the attempt before is down or in maintenance. Gives
    SLICE; `gpus` are as many as the attempt waited for asks, or had before.
    """
    waits = _waits(lines, since, until)
    repairs = (
        waits.join(lines.select("nodes", "cluster", prev="line"), on="prev")
        .explode("nodes")
        .join(
            out.filter(pl.col("service").is_in(["down", "planned"])).select(
                "cluster", nodes="node", out_from="began", out_to="ended"
            ),
            on=["cluster", "nodes"],
        )
        .with_columns(
            began=pl.max_horizontal("began", "out_from"), ended=pl.min_horizontal("ended", "out_to")
        )
    )
    running = lines.filter(pl.col("started") < until, pl.col("ended") > since)
    levels = [
        _level(running.with_columns(attempt="line", began="started", owner=0), None),
        _level(repairs, "repair_wait"),
        _level(waits, "queue_wait"),
    ]
    return (
        sweep(levels)
        .filter(pl.col("leaf").is_not_null(), pl.col("gpus") > 0)
        .with_columns(
            line="attempt", fallback=pl.lit(START_UP, pl.Int64), provisional=pl.lit(False)
        )
        .select(SLICE)
        .sort("line", "began")
    )


def _waits(lines: pl.DataFrame, since: int, until: int) -> pl.DataFrame:
    before = lines.select(prev="line", prev_ended="ended", prev_gpus="gpus")
    waiting = pl.when(pl.col("asked") - pl.col("prev_ended") <= REACH_MS).then("prev_ended")
    return (
        lines.filter(pl.col("asked").is_not_null())
        .join(before, on="prev", how="left", maintain_order="left")
        .with_columns(
            attempt="line",
            began=pl.max_horizontal(pl.coalesce(waiting, "asked"), pl.lit(since)),
            ended=pl.min_horizontal(pl.coalesce("started", "ended"), pl.lit(until)),
            # Records of a request may not name the GPUs that it will get.
            gpus=pl.when(pl.col("started").is_null() & (pl.col("gpus") == 0))
            .then(pl.col("prev_gpus").fill_null(0))
            .otherwise("gpus"),
            owner="recovery",
        )
        .filter(pl.col("began") < pl.col("ended"))
        .select("run_line", "attempt", "prev", "began", "ended", "gpus", "owner")
    )


def _level(rows: pl.DataFrame, leaf: str | None) -> pl.DataFrame:
    """Claims on the lines of runs; a null leaf is time in which a run holds GPUs."""
    return rows.select(
        pl.col("run_line").alias("line"),
        "began",
        "ended",
        "attempt",
        pl.lit(leaf, LEAF).alias("leaf"),
        pl.col("owner").cast(pl.Int64),
        "gpus",
    )
