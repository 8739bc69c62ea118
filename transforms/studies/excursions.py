"""Too hot, too little power: time beyond limits and time with clocks held down (D-9).

    throttling  what the counters of held-down clocks rose by, as a share of the sampled time
    heat        device-hours above the limit: its GPU's own slowdown temperature where it tells
                one, else the limit asked for

An hour of a rollup says how its samples lie: lowest, median, 99th percentile, highest. So the time
above a limit has bounds: all of the hour where the lowest lies above, half to all of it where the
median does, a hundredth to half where the 99th percentile does, and at most a hundredth where the
highest alone does. A peak between two samples is in neither bound.

Shares have limits by drawing whole nodes again: hot halls and bad boards keep together.
"""

import numpy as np
import polars as pl

from transforms.reliability.dispersion import bootstrap_limits
from transforms.studies.base import Asked, RefusalError, Study, last_known, number
from transforms.tables import derived as d
from transforms.tables.hourly import GPU_HOURLY

WHAT = ("throttling", "heat")
BY = ("cluster", "hall", "rack", "node", "gpu")
HOUR_MS = 3_600_000
FEWEST_NODES = 5
"""Nodes below which drawing them again says nothing."""
HELD_DOWN = (
    *("thermal_violation_s", "power_violation_s", "board_limit_violation_s"),
    *("reliability_violation_s", "sync_boost_violation_s", "hw_thermal_slowdown_s"),
    *("sw_thermal_slowdown_s", "hw_power_brake_s", "sw_power_cap_s", "sync_boost_s"),
)
HOT = {"gpu_temp_c": "slowdown_temp_c", "memory_temp_c": "memory_temp_max_c"}
"""Temperature to the metric in which a GPU tells its own limit for it."""


def excursions(asked: Asked, *, gpu_hourly: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """One row per unit and counter (throttling), or per unit and temperature (heat).

    Options: `what`, `by` (cluster, hall, rack, node, gpu) and, for heat, `limit` (C). Columns:
    the unit, metric, gpus, gpu_hours; then throttled_gpu_hours, share with _lo and _hi, worst_node
    and its share, is_lower_bound; or hottest, worst_p99, limit_known, above_gpu_hours_lo and _hi
    with their shares; then assumption, clock, definition. MIG instances are left out.
    """
    what = asked.options.get("what", WHAT[0])
    by = asked.options.get("by", "cluster")
    if what not in WHAT:
        raise RefusalError(f"no answer about {what!r}: there are {', '.join(WHAT)}")
    if by not in BY:
        raise RefusalError(f"cannot group by {by}: there are {', '.join(BY)}")
    whole = gpu_hourly.filter(pl.col("gpu_instance") == "")
    if whole.is_empty():
        raise RefusalError("no GPU was sampled on the days asked")
    # A rack's name is its hall's, a GPU's its node's: what holds the unit stands before it.
    above = {"hall": ["hall"], "rack": ["hall", "rack"], "node": ["node"], "gpu": ["node", "gpu"]}
    units = ["cluster", *above.get(by, [])]
    placed = whole.join(last_known(fleet, "hall", "rack"), on=["cluster", "node"], how="left")
    return _throttling(asked, placed, units) if what == WHAT[0] else _heat(asked, placed, units)


def _throttling(asked: Asked, hours: pl.DataFrame, units: list[str]) -> pl.DataFrame:
    told = hours.filter(pl.col("metric").is_in(HELD_DOWN), pl.col("covered_ms") > 0)
    if told.is_empty():
        raise RefusalError("no counter of held-down clocks was sampled twice")
    keys = [*units, "metric"]
    nodes = told.group_by(list(dict.fromkeys([*keys, "cluster", "node"]))).agg(
        (pl.col("increase").sum() / 3600).alias("held"),
        (pl.col("covered_ms").sum() / HOUR_MS).alias("seen"),
        pl.col("gpu").n_unique().cast(pl.Int64).alias("gpus"),
        pl.col("is_lower_bound").any(),
    )
    share = pl.col("held") / pl.col("seen")
    whole = pl.col("held").sum()
    rows = (
        nodes.sort(share, "node", descending=[True, False])
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("gpus").sum(),
            pl.col("seen").sum().alias("gpu_hours"),
            whole.alias("throttled_gpu_hours"),
            (whole / pl.col("seen").sum()).alias("share"),
            pl.when(whole > 0).then(pl.col("node").first()).alias("worst_node"),
            pl.when(whole > 0).then(share.first()).alias("worst_share"),
            pl.col("is_lower_bound").any(),
            nodes=pl.col("node").n_unique(),
        )
        .join(_drawn(nodes, keys, asked), on=keys, how="left")
        .sort(keys)
    )
    is_drawn = pl.col("nodes") >= FEWEST_NODES
    return rows.select(
        *keys,
        *("gpus", "gpu_hours", "throttled_gpu_hours", "share", "share_lo", "share_hi"),
        *("worst_node", "worst_share", "is_lower_bound"),
        pl.when(is_drawn)
        .then(pl.lit("nodes drawn again"))
        .otherwise(pl.lit("too few nodes to tell"))
        .alias("assumption"),
        clock=pl.lit("sampled"),
        definition=pl.lit("counter increase"),
    )


def _drawn(nodes: pl.DataFrame, keys: list[str], asked: Asked) -> pl.DataFrame:
    """keys, share_lo, share_hi of the units with enough nodes to draw from."""
    rng = np.random.default_rng(asked.seed)
    many = nodes.filter(pl.len().over(keys) >= FEWEST_NODES).sort(*keys, "node")
    rows = [
        (*key, *bootstrap_limits(part["held"], part["seen"], rng, level=asked.level))
        for key, part in many.group_by(keys, maintain_order=True)
    ]
    schema = {name: nodes.schema[name] for name in keys}
    schema |= {"share_lo": pl.Float64(), "share_hi": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _heat(asked: Asked, hours: pl.DataFrame, units: list[str]) -> pl.DataFrame:
    asked_for = number(asked, "limit", 0, 0, 200)
    device = ["cluster", "node", "gpu"]
    hot = hours.filter(pl.col("metric").is_in(HOT), pl.col("samples") > 0)
    if hot.is_empty():
        raise RefusalError("no temperature of a GPU was sampled")
    own = hours.filter(pl.col("metric").is_in(HOT.values())).group_by(*device, "metric")
    told = own.agg(pl.col("mean").last().alias("own")).with_columns(
        pl.col("metric").replace_strict({limit: name for name, limit in HOT.items()})
    )
    given = pl.lit(asked_for or None, pl.Float64)
    rows = hot.join(told, on=[*device, "metric"], how="left").with_columns(
        limit=given if asked_for else pl.col("own")
    )
    limit = pl.col("limit")
    least, most = (
        pl.when(limit.is_null())
        .then(None)
        .when(pl.col("lowest") >= limit)
        .then(1.0)
        .when(pl.col("p50") >= limit)
        .then(half)
        .when(pl.col("p99") >= limit)
        .then(some)
        .when(pl.col("highest") >= limit)
        .then(few)
        .otherwise(0.0)
        for half, some, few in ((0.5, 0.01, 0.0), (1.0, 0.5, 0.01))
    )
    known = limit.is_not_null()
    summed = (
        rows.with_columns(least=least, most=most)
        .group_by(*units, "metric")
        .agg(
            pl.struct(device).n_unique().cast(pl.Int64).alias("gpus"),
            pl.len().cast(pl.Float64).alias("gpu_hours"),
            pl.col("highest").max().alias("hottest"),
            pl.col("p99").max().alias("worst_p99"),
            known.sum().cast(pl.Float64).alias("limit_known_gpu_hours"),
            pl.col("least").sum().alias("above_gpu_hours_lo"),
            pl.col("most").sum().alias("above_gpu_hours_hi"),
        )
    )
    within = pl.col("limit_known_gpu_hours")
    none_known = within == 0
    bounds = [f"above_gpu_hours_{side}" for side in ("lo", "hi")]
    return (
        summed.with_columns(pl.when(~none_known).then(pl.col(name)).alias(name) for name in bounds)
        .with_columns(
            *((pl.col(name) / within).alias(name.replace("gpu_hours", "share")) for name in bounds),
            assumption=pl.when(none_known)
            .then(pl.lit("no limit known: give one"))
            .otherwise(pl.lit("bounds of what samples show")),
            clock=pl.lit("sampled"),
            definition=pl.lit(
                f"above {asked_for:g} C" if asked_for else "above the GPU's own limit"
            ),
        )
        .sort(*units, "metric")
    )


STUDY = Study(
    name="excursions",
    title="Time that GPUs were too hot, or had their clocks held down, by place and cause",
    reads=(GPU_HOURLY, d.FLEET),
    by=excursions,
    columns=lambda asked: {
        "gpu_hourly": {
            *("cluster", "metric", "node", "gpu", "gpu_instance", "hour_at", "samples", "lowest"),
            *("mean", "highest", "p50", "p99", "increase", "covered_ms", "is_lower_bound"),
        }
    },
)
