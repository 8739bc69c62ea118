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
    last = (
        fleet.select(*ID, "gpu_model", "valid_from", "valid_to")
        .sort(*ID, "valid_from")
        .unique(ID, keep="last", maintain_order=True)
        .select(
            *ID,
            pool=pl.struct("cluster", "gpu_model").rank("dense").cast(pl.Int64),
            left=instant_ms("valid_to").fill_null(FOREVER),
        )
    )
    pools = last.drop("left")
    free = _free(pools, fleet, lines, out, since, until)
    # Nobody knows what a node was that left the fleet farther back than the reach.
    is_known = pl.col("left") >= pl.col("began") // DAY_MS * DAY_MS - REACH_MS
    named = waits.join(last, on=ID, how="left").with_columns(
        pl.when(is_known).then("pool").otherwise(0).alias("pool")
    )
    pieces = cut(named.with_columns(own="line", line="pool"), pack(free["line"], free["began"]))
    row = pl.Series(latest_before(free, pieces["line"], pieces["began"]))
    has = free["gpus"].gather(row.set(row < 0, None)).fill_null(0)
    scarce = pieces.filter(has < pieces["needs"])
    return scarce.with_columns(line="own").select(
        n for n in waits.columns if n not in (*ID, "needs")
    )


def _free(
    pools: pl.DataFrame,
    fleet: pl.DataFrame,
    lines: pl.DataFrame,
    out: pl.DataFrame,
    since: int,
    until: int,
) -> pl.DataFrame:
    """GPUs of nodes that are well and unused, from `began` on: line (the pool), began, gpus."""
    nodes = pools.with_row_index("node_line").with_columns(pl.col("node_line").cast(pl.Int64))
    on_nodes = nodes.select(*ID, line="node_line")
    busy = lines.filter(
        pl.col("gpus") > 0, pl.col("started") < until, pl.col("ended") > since
    ).select("cluster", pl.col("nodes").alias("node"), began="started", ended="ended")
    taken = pl.concat([place(busy.explode("node"), fleet), out.select(*ID, "began", "ended")]).join(
        on_nodes, on=ID
    )
    valid = fleet.select(
        *ID, "gpus", instant_ms("valid_from").alias("began"),
        instant_ms("valid_to").fill_null(until).alias("ended"),
    ).join(on_nodes, on=ID)  # fmt: skip
    levels = [
        rows.select("line", "began", "ended", gpus.cast(pl.Int64).alias("gpus"))
        .with_columns(
            began=pl.col("began").clip(lower_bound=since),
            ended=pl.col("ended").clip(upper_bound=until),
        )
        .filter(pl.col("began") < pl.col("ended"))
        for rows, gpus in ((taken, pl.lit(0)), (valid, pl.col("gpus")))
    ]
    spans = sweep([disjoint(level) for level in levels]).filter(pl.col("gpus") > 0)
    spans = spans.join(nodes.select("pool", line="node_line"), on="line")
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
