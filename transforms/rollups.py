"""Samples to hourly rollups: of every device, of every node, and of the whole fleet.

Gauges give their spread, counters what they rose by, codes and flags how often they changed.
Quantiles are exact and of the raw samples, for nodes and fleets too: the median of medians is
not the median. A node's or a fleet's increase is the sum of its devices'.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms import sample_signs
from transforms.contract import Table
from transforms.counters import LOWER_BOUND, Rises, rises, rule
from transforms.metrics import Metric
from transforms.sample_rows import Laid, booted, boots, hours, lay
from transforms.tables.hourly import (
    FLEET_HOURLY,
    GPU_HOURLY,
    LINK_HOURLY,
    NODE_HOURLY,
    OF_SAMPLES,
    SAMPLE_SIGNALS,
)

if TYPE_CHECKING:
    from transforms.recipes import Window

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]

HALF_AND_TOP = np.array([0.5, 0.99])
FLEET_ORDERS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
NO_ORDERS = np.empty(0)
PER_DEVICE = {"gpu": GPU_HOURLY, "link": LINK_HOURLY}


def hourly(
    window: "Window",
    *,
    gpu_samples: pl.DataFrame,
    node_samples: pl.DataFrame,
    link_samples: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """The rollups and the signals of every hour of the window.

    A frame may hold any of its table's metrics: what one metric says hangs on no other, but for
    the node's boots.
    """
    made: dict[str, list[pl.DataFrame]] = {table.name: [table.empty()] for table in OF_SAMPLES}
    restarts = boots(node_samples)
    frames = {"gpu": gpu_samples, "node": node_samples, "link": link_samples}
    for kind, samples in frames.items():
        for hour in hours(samples, window.since, window.until):
            for table, rows in _of_an_hour(lay(kind, samples, hour), restarts):
                made[table.name].append(rows)
    return {
        table.name: table.conform(pl.concat(made[table.name]).sort(table.key))
        for table in OF_SAMPLES
    }


def _of_an_hour(laid: Laid, restarts: pl.DataFrame) -> Iterator[tuple[Table, pl.DataFrame]]:
    boot = booted(laid, restarts)
    for metric in laid.metrics:
        values = laid.values(metric.name)
        own = values[laid.is_own]
        if np.isnan(own).all():
            continue
        is_counter = metric.kind == "counter"
        risen = rises(laid.at, values, laid.device, rule(metric.name), boot) if is_counter else None
        device = _of_devices(laid, metric, own, risen)
        if laid.kind in PER_DEVICE:
            yield PER_DEVICE[laid.kind], _rows(PER_DEVICE[laid.kind], laid, metric, device)
        node = _together(laid, metric, own, device, laid.node)
        yield NODE_HOURLY, _rows(NODE_HOURLY, laid, metric, node, laid.node)
        fleet = _together(laid, metric, own, device, laid.cluster)
        yield FLEET_HOURLY, _rows(FLEET_HOURLY, laid, metric, fleet, laid.cluster)
        signals = sample_signs.signals(laid, metric, values, risen)
        if signals.height:
            yield SAMPLE_SIGNALS, signals


def _of_devices(laid: Laid, metric: Metric, own: Floats, risen: Rises | None) -> Columns:
    """Every number of each device's hour."""
    from transforms import sample_loops  # compiled code: loaded where it is used

    is_gauge = metric.kind == "gauge"
    counts, found = sample_loops.spread_of(
        own, laid.own_starts, HALF_AND_TOP if is_gauge else NO_ORDERS
    )
    first, last, changes = sample_loops.ends_of(own, laid.own_starts)
    none = np.full(len(counts), np.nan)
    about: Columns = {
        "samples": counts,
        "lowest": found[0],
        "mean": found[1] if is_gauge else none,
        "highest": found[2],
        "p50": found[3] if is_gauge else none,
        "p99": found[4] if is_gauge else none,
        "first": first,
        "last": last,
        "changes": changes,
    }
    if risen is None:
        zeros = np.zeros(len(counts), np.int64)
        return about | {"increase": none, "covered_ms": zeros, "resets": zeros, "marks": zeros}
    total, covered, resets, marks = sample_loops.sums_of(
        risen.rise[laid.is_own],
        laid.at[laid.is_own],
        risen.since_us[laid.is_own],
        risen.marks[laid.is_own],
        laid.own_starts,
    )
    more = {"increase": total, "covered_ms": covered // 1000, "resets": resets, "marks": marks}
    return about | more


def _together(laid: Laid, metric: Metric, own: Floats, device: Columns, unit: Ints) -> Columns:
    """The same of devices that lie together: the nodes, or the clusters, as `unit` numbers them.

    Of a cluster's GPUs the MIG instances are left out: they would count beside their GPU.
    """
    from transforms import sample_loops

    is_fleet = unit is laid.cluster
    is_whole = np.ones(laid.devices.height, np.bool_)
    if laid.kind == "gpu":
        is_whole = (laid.devices["gpu_instance"] == "").to_numpy()
        if not is_whole.any():
            is_whole[:] = True
    counted = is_whole & (device["samples"] > 0)
    values = own if is_whole.all() else np.where(is_whole[laid.own_device], own, np.nan)
    units = int(unit[-1]) + 1 if len(unit) else 0
    starts = laid.own_starts[np.searchsorted(unit, np.arange(units + 1))]
    is_gauge = metric.kind == "gauge"
    if not is_gauge:
        counts, found = sample_loops.spread_of(values, starts, NO_ORDERS)
        found = np.vstack(
            [found[0], np.full(units, np.nan), found[2], *[np.full(units, np.nan)] * 3]
        )
    elif is_fleet:
        counts, found = _fleet_spread(values, starts)
    else:
        counts, found = sample_loops.spread_of(values, starts, HALF_AND_TOP)
        found = np.vstack([found[:4], np.full(units, np.nan), found[4]])

    def summed(name: str) -> npt.NDArray[Any]:
        return np.bincount(unit, np.where(counted, device[name], 0), minlength=units)

    has_rise = counted & ~np.isnan(device["increase"])
    rise = np.bincount(unit, np.where(has_rise, device["increase"], 0.0), minlength=units)
    known = np.bincount(unit, has_rise, minlength=units) > 0
    marks = np.zeros(units, np.int64)
    np.bitwise_or.at(marks, unit[counted], device["marks"][counted])
    return {
        "devices": np.bincount(unit, counted, minlength=units).astype(np.int64),
        "samples": counts,
        **dict(zip(("lowest", "mean", "highest", "p50", "p95", "p99"), found, strict=True)),
        "increase": np.where(known, rise, np.nan),
        "covered_ms": summed("covered_ms").astype(np.int64),
        "resets": summed("resets").astype(np.int64),
        "marks": marks,
    }


def _fleet_spread(values: Floats, starts: Ints) -> tuple[Ints, Floats]:
    """As `spread_of`, for few and huge groups: only the asked places are put in order."""
    groups = len(starts) - 1
    counts, found = np.zeros(groups, np.int64), np.full((6, groups), np.nan)
    for group in range(groups):
        known = values[starts[group] : starts[group + 1]]
        known = known[~np.isnan(known)]
        counts[group] = n = len(known)
        if n == 0:
            continue
        places = {name: order * (n - 1) for name, order in FLEET_ORDERS.items()}
        near = {int(p) for p in places.values()} | {min(int(p) + 1, n - 1) for p in places.values()}
        mean = known.mean()
        ordered = np.partition(known, sorted(near))
        quantiles = [
            ordered[int(p)] + (ordered[min(int(p) + 1, n - 1)] - ordered[int(p)]) * (p - int(p))
            for p in places.values()
        ]
        found[:, group] = [known.min(), mean, known.max(), *quantiles]
    return counts, found


def _rows(
    table: Table, laid: Laid, metric: Metric, about: Columns, unit: Ints | None = None
) -> pl.DataFrame:
    """Rows of `table`, of those devices, nodes or clusters that have a sample of the hour."""
    places = laid.devices
    if unit is not None:
        firsts = np.flatnonzero(np.diff(unit, prepend=-1))
        places = laid.devices.select(n for n in table.key if n in laid.devices.columns)[firsts]
    is_counter = metric.kind == "counter"
    rows = places.with_columns(
        *(pl.Series(name, column) for name, column in about.items()),
        metric=pl.lit(metric.name),
        hour_at=pl.lit(laid.hour_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    ).filter(pl.col("samples") > 0)
    return rows.select(
        (
            pl.col(name)
            if name != "is_lower_bound"
            else (pl.col("marks") & LOWER_BOUND > 0) & is_counter
        )
        .cast(dtype)
        .alias(name)
        for name, dtype in table.dtypes.items()
    ).with_columns(pl.selectors.float().fill_nan(None))
