"""How long each node was at risk, day by day, on three clocks (methods 0.3, T-1).

wall        commissioned
in_service  commissioned and in no excluded state: the clock of hardware rates
allocated   held by at least one job, drained or not: the clock that jobs feel

States overlap in the records (a drain, then a down inside it, and a ticket over both). Each
instant counts once, under the worst that covers it: down, then planned, then unknown. Slurm
records only what is not up, so commissioned time without a record is in service.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms import intervals
from transforms.catalogue import classify_reasons
from transforms.emptiness import empty_from
from transforms.fleet import ID, place
from transforms.node_states import classify, closed
from transforms.tables.derived import EXPOSURE

if TYPE_CHECKING:
    from transforms.recipes import Window

ENDED = pl.col("ended")
CLOCKS = {"wall": "wall_ms", "in_service": "in_service_ms", "allocated": "allocated_ms"}
"""Clock to the column of `exposure` that holds it."""


def exposure(
    window: "Window",
    *,
    fleet: pl.DataFrame,
    node_states: pl.DataFrame,
    outages: pl.DataFrame,
    run_attempts: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """One row per day and node commissioned in it, up to the last instant observed.

    Integer ms; wall = in_service + down + planned_down + unobserved, exactly.
    """
    until = min(window.until, window.horizon)
    valid = intervals.clip(
        fleet.rename({"valid_from": "began", "valid_to": "ended"}), window.since, until
    )
    if valid.is_empty():
        return {"exposure": EXPOSURE.empty()}
    out = out_of_service(node_states, outages, fleet)
    layers = {
        "valid": valid.select(*ID, "began", "ended"),
        "gpus": valid.select(*ID, "began", "ended", "gpus"),
        **{
            service: intervals.clip(
                out.filter(service=service).select(*ID, "began", "ended"), window.since, until
            )
            for service in ("down", "planned", "unknown")
        },
        "allocated": intervals.clip(allocations(run_attempts, fleet), window.since, until),
    }
    pieces = intervals.by_day(
        intervals.layers(layers, ID, {"gpus": "gpus"}).filter(pl.col("valid") > 0)
    )
    ms = intervals.length_ms()
    down, planned, unknown = (pl.col(name) > 0 for name in ("down", "planned", "unknown"))
    sums = pieces.group_by("day", *ID).agg(
        ms.sum().alias("wall_ms"),
        ms.filter(~down & ~planned & ~unknown).sum().alias("in_service_ms"),
        ms.filter(pl.col("allocated") > 0).sum().alias("allocated_ms"),
        ms.filter(down).sum().alias("down_ms"),
        ms.filter(~down & planned).sum().alias("planned_down_ms"),
        ms.filter(~down & ~planned & unknown).sum().alias("unobserved_ms"),
        (ms * pl.col("gpus")).sum().alias("gpu_capacity_ms"),
        ENDED.max(),
    )
    # A node re-racked at noon has one row; it stands where the node stood last.
    labels = valid.select(*ID, "gpus", "provider", "hall", "rack", pl.col("began").alias("ended"))
    rows = sums.sort("ended").join_asof(
        labels.sort("ended"),
        on="ended",
        by=ID,
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return {"exposure": EXPOSURE.conform(rows.select(EXPOSURE.dtypes.names()).sort(EXPOSURE.key))}


@empty_from("node_states", "outages")
def out_of_service(
    node_states: pl.DataFrame, outages: pl.DataFrame, fleet: pl.DataFrame
) -> pl.DataFrame:
    """Node states that are not up, and recorded outages of whole nodes.

    An outage is `down`, or `planned` where its own words say so. Columns cluster, node, began,
    ended (null while open), service, reason; overlaps remain.
    """
    states = closed(classify(place(node_states, fleet))).select(
        *ID, "began", "ended", "service", "reason"
    )
    recorded = outages.filter(pl.col("unit_kind") == "node").select(
        "cluster",
        pl.col("unit").alias("node"),
        "began",
        "ended",
        pl.coalesce("cause", "note", "component").alias("reason"),
    )
    is_plan = pl.col("reason_kind") == "planned"
    recorded = classify_reasons(recorded).select(
        *ID,
        "began",
        "ended",
        pl.when(is_plan).then(pl.lit("planned")).otherwise(pl.lit("down")).alias("service"),
        "reason",
    )
    out = pl.concat([states.with_columns(pl.col("service").cast(pl.String)), recorded])
    return place(out.filter(pl.col("service") != "up"), fleet)


def allocations(run_attempts: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Every node of every attempt that started: cluster, node, began, ended (null: running)."""
    held = run_attempts.filter(
        pl.col("started").is_not_null() & (pl.col("nodes").list.len() > 0)
    ).select("cluster", pl.col("nodes").alias("node"), began="started", ended="ended")
    return place(held.explode("node"), fleet)
