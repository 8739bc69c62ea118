"""A run that wants to go and has no GPUs: waiting for repair, or just waiting (methods 4.2, G-2).

Between two attempts a run waits from the end of one to the start of the next, whoever must act;
before its first attempt, and after a pause longer than the reach, from when it could have
started. While any attempt of the run holds GPUs the run is not waiting.
"""

import polars as pl

from transforms.emptiness import empty_from
from transforms.fleet import place
from transforms.ledger.claims import EVIDENCE_TYPE, LEAF
from transforms.ledger.free import while_scarce
from transforms.ledger.lines import REACH_MS
from transforms.ledger.owners import START_UP, recovering
from transforms.ledger.timeline import cut_days, sweep

SLICE = (
    *("line", "began", "ended", "leaf", "owner", "fallback", "evidence"),
    *("from_gpu", "gpus", "provisional"),
)
"""What every slice of an attempt's line says. Its GPUs are numbered from 0; the slice tells of
`gpus` of them, `from_gpu` on."""


def wait_slices(
    lines: pl.DataFrame,
    stops: pl.DataFrame,
    out: pl.DataFrame,
    fleet: pl.DataFrame,
    since: int,
    until: int,
) -> pl.DataFrame:
    """The waits of all runs within [since, until), on the lines of the attempts waited for.

    `out` has cluster, node, began, ended (ms) and service of nodes out of service. A wait is for
    repair while a node of the attempt before is down or in maintenance and too few are free in
    its stead (G-2). Gives SLICE; `gpus` are
    as many as the attempt waited for asks, or as there were before.
    """
    waits = (
        sweep(_levels(lines))
        .filter("waits")
        .with_columns(
            line="attempt",
            began=pl.col("began").clip(lower_bound=since),
            ended=pl.col("ended").clip(upper_bound=until),
        )
        .filter(pl.col("began") < pl.col("ended"))
        .select("line", "began", "ended")
    )
    sizes = lines.select("line", "gpus", "started")
    before = lines.select(after="line", gpus_before="gpus")
    # Records of a request may not name the GPUs that it will get.
    unnamed = pl.col("started").is_null() & (pl.col("gpus") == 0)
    waits = (
        recovering(cut_days(waits).drop("day"), lines, stops)
        .join(sizes, on="line", how="left", maintain_order="left")
        .join(before, on="after", how="left", maintain_order="left")
        .with_columns(
            gpus=pl.when(unnamed).then(pl.col("gpus_before").fill_null(0)).otherwise("gpus")
        )
        .select("line", "began", "ended", "after", "recovery", "gpus")
    )
    return (
        sweep(
            [
                _repairs(waits, lines, out, fleet),
                waits.with_columns(
                    leaf=pl.lit("queue_wait", LEAF), evidence=pl.lit("scheduler", EVIDENCE_TYPE)
                ),
            ]
        )
        .with_columns(
            owner="recovery",
            fallback=pl.lit(START_UP, pl.Int64),
            from_gpu=pl.lit(0, pl.Int64),
            provisional=pl.lit(False),
        )
        .filter(pl.col("gpus") > 0)
        .select(SLICE)
    )


def _levels(lines: pl.DataFrame) -> list[pl.DataFrame]:
    """On the lines of runs: holding GPUs; then asking for them, the next attempt to start first;
    then the time between the last attempt and the next request."""
    started = pl.col("started").is_not_null()
    asking = lines.filter(pl.col("asked").is_not_null()).with_columns(
        # Of two requests at once a run waits for the one that starts first.
        began=pl.when(started)
        .then(pl.max_horizontal("asked", pl.col("started").shift(1).over("run_line")))
        .otherwise("asked"),
        until=pl.coalesce("started", "ended"),
    )
    pause = pl.col("asked") - pl.col("free_from")
    between = (
        asking.filter(pause > 0, pause <= REACH_MS)
        .sort("asked", "line")
        .unique(["run_line", "free_from"], keep="first", maintain_order=True)
        .with_columns(began="free_from", until="asked")
    )
    holding = lines.filter(started).with_columns(began="started", until="ended")
    return [
        rows.select(
            pl.col("run_line").alias("line"),
            "began",
            ended="until",
            attempt="line",
            waits=pl.lit(waits),
        )
        for rows, waits in (
            (holding, False),
            (asking.filter(started), True),
            (asking.filter(~started), True),
            (between, True),
        )
    ]


@empty_from("out")
def _repairs(
    waits: pl.DataFrame, lines: pl.DataFrame, out: pl.DataFrame, fleet: pl.DataFrame
) -> pl.DataFrame:
    """The parts of waits in which a node of the attempt before was out of service, and nodes that
    could have served instead were too few."""
    broken = out.filter(pl.col("service").is_in(["down", "planned"]))
    broken = broken.select("cluster", node="node", out_from="began", out_to="ended")
    had = waits.join(lines.select("cluster", after="line", node="nodes"), on="after")
    # A job's records may name no cluster where its nodes' records do.
    found = (
        place(had.explode("node"), fleet)
        .join(broken, on=["cluster", "node"])
        .with_columns(
            began=pl.max_horizontal("began", "out_from"),
            ended=pl.min_horizontal("ended", "out_to"),
            leaf=pl.lit("repair_wait", LEAF),
            evidence=pl.lit("node_states", EVIDENCE_TYPE),
            needs="gpus",
        )
        .filter(pl.col("began") < pl.col("ended"))
    )
    columns = [*waits.columns, "leaf", "evidence"]
    return while_scarce(
        found.select(*columns, "cluster", "node", "needs"), fleet, lines, out
    ).select(columns)
