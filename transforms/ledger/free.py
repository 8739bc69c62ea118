"""How many GPUs a run could have had at once: those of whole nodes that are well and that no job uses.

A wait is for repair only while these are fewer than the run needs (methods G-2 rule 6). Nodes of one
cluster and one GPU model stand for one another; which partition they serve is not known.
"""

import polars as pl

from transforms.fleet import ID, place
from transforms.ledger.lines import REACH_MS
from transforms.ledger.timeline import (
    DAY_MS,
    FOREVER,
    cut,
    disjoint,
    instant_ms,
    latest_before,
    pack,
    sweep,
)


def while_scarce(
    waits: pl.DataFrame, fleet: pl.DataFrame, lines: pl.DataFrame, out: pl.DataFrame
) -> pl.DataFrame:
    """Cut `waits` down to the time in which the free GPUs of their pool are fewer than `needs`.

    `waits`, cut at midnights, has line, began, ended, cluster, node (one whose like is needed) and needs (GPUs);
    `out` has cluster, node, began, ended. A node that the fleet does not know has no like.
    """
    if waits.is_empty():
        return waits.drop("cluster", "node", "needs")
    since, until = int(waits["began"].min()), int(waits["ended"].max())  # type: ignore[arg-type]
    stays = fleet.select(
        *ID,
        "gpus",
        pool=pl.struct("cluster", "gpu_model").rank("dense").cast(pl.Int64),
        came=instant_ms("valid_from"),
        left=instant_ms("valid_to").fill_null(FOREVER),
    ).sort("came")
    free = _free(stays, fleet, lines, out, since, until)
    named = _pooled(waits, stays)
    pieces = cut(named.with_columns(own="line", line="pool"), pack(free["line"], free["began"]))
    row = pl.Series(latest_before(free, pieces["line"], pieces["began"]))
    has = free["gpus"].gather(row.set(row < 0, None)).fill_null(0)
    scarce = pieces.filter(has < pieces["needs"])
    return scarce.with_columns(line="own").select(
        n for n in waits.columns if n not in (*ID, "needs")
    )


def _pooled(waits: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Add the `pool` of the node as it was when each wait began, or else as it came to be; 0 unknown.

    A node may come back to the fleet with another model of GPU. Nobody knows what it was that left
    farther back than the reach.
    """
    first = stays.unique(ID, keep="first", maintain_order=True).select(*ID, first="pool")
    is_known = pl.col("left") >= pl.col("began") // DAY_MS * DAY_MS - REACH_MS
    return (
        waits.with_row_index("wait")
        .sort("began")
        .join_asof(
            stays.select(*ID, "pool", "came", "left"),
            left_on="began", right_on="came", by=ID, check_sortedness=False,
        )
        .join(first, on=ID, how="left", maintain_order="left")
        .sort("wait")
        .with_columns(
            pool=pl.when(pl.col("came").is_null()).then("first").when(is_known).then("pool")
        )
        .with_columns(pl.col("pool").fill_null(0))
        .drop("wait", "first", "came", "left")
    )  # fmt: skip


def _free(
    stays: pl.DataFrame,
    fleet: pl.DataFrame,
    lines: pl.DataFrame,
    out: pl.DataFrame,
    since: int,
    until: int,
) -> pl.DataFrame:
    """GPUs of nodes that are well and unused, from `began` on: line (the pool), began, gpus."""
    nodes = stays.select(ID).unique().sort(ID).with_row_index("line")
    on_nodes = nodes.with_columns(pl.col("line").cast(pl.Int64))
    busy = lines.filter(
        pl.col("gpus") > 0, pl.col("started") < until, pl.col("ended") > since
    ).select("cluster", pl.col("nodes").alias("node"), began="started", ended="ended")
    taken = pl.concat([place(busy.explode("node"), fleet), out.select(*ID, "began", "ended")]).join(
        on_nodes, on=ID
    )
    valid = stays.select(*ID, "gpus", "pool", began="came", ended="left").join(on_nodes, on=ID)
    none = {"gpus": pl.lit(0), "pool": pl.lit(0)}
    levels = [
        rows.select("line", "began", "ended", pl.col("gpus", "pool").cast(pl.Int64))
        .with_columns(
            began=pl.col("began").clip(lower_bound=since),
            ended=pl.col("ended").clip(upper_bound=until),
        )
        .filter(pl.col("began") < pl.col("ended"))
        for rows in (taken.with_columns(**none), valid)
    ]
    spans = sweep([disjoint(level) for level in levels]).filter(pl.col("gpus") > 0)
    changes = pl.concat(
        [
            spans.select("pool", "began", "gpus"),
            spans.select("pool", pl.col("ended").alias("began"), -pl.col("gpus")),
        ]
    )
    return (
        changes.group_by(pl.col("pool").alias("line"), "began")
        .agg(pl.col("gpus").sum())
        .sort("line", "began")
        .with_columns(pl.col("gpus").cum_sum().over("line"))
    )
