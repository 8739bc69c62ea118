"""Which GPUs did nothing for whole hours, as their own samples tell: counted by node.

    09:00 ... 10:00    utilisation 0, power 71 W of 700 W, a sample each minute     idle
    10:00 ... 11:00    one sample of 3 %                                            not idle
    11:00 ... 12:00    utilisation 0, but no sample from 11:20 on                   cannot be told

High utilisation is no evidence of progress (methods G-10): a collective that hangs keeps its GPUs at
100 %. The reverse holds: who runs no kernel makes none. An hour must be idle in every sample, in
utilisation and in power, and sampled throughout: an exporter whose utilisation sticks at 0 while the
GPU burns power, or that stops, makes nobody idle. An hour outlasts what healthy work may leave a GPU
without a kernel: start-up, loading of a checkpoint, an evaluation on the host.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.counters import HOUR_US
from transforms.sample_rows import Laid, hours, lay
from transforms.tables.hourly import IDLE_HOURLY, IDLE_SPELLS

if TYPE_CHECKING:
    from transforms.recipes import Window

Floats = npt.NDArray[np.float64]

ACTIVITY = ("gpu_util_ratio", "sm_active_ratio", "graphics_active_ratio")
POWER = ("power_w", "power_instant_w", "power_average_w")
LIMITS = ("power_limit_enforced_w", "power_limit_w", "power_limit_default_w")
METRICS = (*ACTIVITY, *POWER, *LIMITS)

IDLE_ACTIVITY = 0.01
"""Utilisation comes in whole percents, the profiler's ratios with a little noise above 0."""
IDLE_POWER_SHARE = 0.3
"""Of the power limit. Data-centre GPUs that hold a context and run nothing draw 10 to 20 %; kernels
that only wait for a collective already draw more."""
IDLE_POWER_W = 200.0
"""Where no limit is told: above what any of today's boards draws without work."""
LONGEST_GAP_US = 600_000_000
"""Longer without a sample, and the hour was not watched: an agent that polls every five minutes may
miss once."""


def idle_hours(window: "Window", *, gpu_samples: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """One row a node and hour in which any of its GPUs was watched throughout: how many were idle.

    Whole GPUs count; one that is cut into MIG instances tells of itself neither.
    """
    parts = [IDLE_HOURLY.empty()]
    if {*ACTIVITY} & {*gpu_samples.columns} and {*POWER} & {*gpu_samples.columns}:
        for hour in hours(gpu_samples, window.since, window.until):
            parts.append(_of_an_hour(lay("gpu", gpu_samples, hour)))
    return {"idle_hourly": IDLE_HOURLY.conform(pl.concat(parts).sort(IDLE_HOURLY.key))}


def _of_an_hour(laid: Laid) -> pl.DataFrame:
    starts = laid.own_starts
    present = np.flatnonzero(np.diff(starts))
    busy, power, limit = (
        _highest(laid, names, starts[present]) for names in (ACTIVITY, POWER, LIMITS[:1])
    )
    for name in LIMITS[1:]:
        limit = np.where(np.isnan(limit), _highest(laid, (name,), starts[present]), limit)
    most = np.where(np.isnan(limit), IDLE_POWER_W, IDLE_POWER_SHARE * limit)
    is_watched = _is_watched(laid)[present]
    at_rest = (busy <= IDLE_ACTIVITY) & (power <= most)  # NaN is not at rest
    return (
        _whole(laid)[present]
        .with_columns(watched=pl.Series(is_watched), idle=pl.Series(is_watched & at_rest))
        .filter("is_whole")
        .group_by("cluster", "node")
        .agg(pl.len().alias("gpus"), pl.col("watched").sum(), pl.col("idle").sum())
        .filter(pl.col("watched") > 0)
        .with_columns(
            hour_at=pl.lit(laid.hour_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        )
        .select(pl.col(name).cast(dtype) for name, dtype in IDLE_HOURLY.dtypes.items())
    )


def _whole(laid: Laid) -> pl.DataFrame:
    """cluster, node and is_whole of each device: a GPU of which no instance is sampled."""
    is_cut = (pl.col("gpu_instance") != "").any().over("cluster", "node", "gpu")
    return laid.devices.select("cluster", "node", is_whole=~is_cut)


def _known(laid: Laid, names: Iterable[str]) -> list[Floats]:
    """The hour's own values of those of the metrics that the samples have."""
    return [laid.values(name)[laid.is_own] for name in names if name in laid.samples.columns]


def _highest(laid: Laid, names: Iterable[str], begins: npt.NDArray[np.int64]) -> Floats:
    """The largest value of any of the metrics, of each device present; NaN where none is known."""
    found = np.full(len(begins), np.nan)
    for values in _known(laid, names):
        found = np.fmax(found, np.fmax.reduceat(values, begins))
    return found


def _is_watched(laid: Laid) -> npt.NDArray[np.bool_]:
    """Devices whose activity and power are told throughout the hour, without a gap too long."""
    at = laid.at[laid.is_own]
    told = np.ones(len(at), np.bool_)
    for names in (ACTIVITY, POWER):
        known = [~np.isnan(values) for values in _known(laid, names)]
        told &= np.logical_or.reduce(known)
    device, at = laid.own_device[told], at[told]
    begins = np.flatnonzero(np.diff(device, prepend=-1))
    found = np.zeros(laid.devices.height, np.bool_)
    if not len(begins):
        return found
    since_last = np.diff(at, prepend=laid.hour_us)
    since_last[begins] = at[begins] - laid.hour_us
    last = at[np.append(begins[1:], len(at)) - 1]
    to_end = laid.hour_us + HOUR_US - last
    longest = np.maximum(np.maximum.reduceat(since_last, begins), to_end)
    found[device[begins]] = longest <= LONGEST_GAP_US
    return found


def idle_spells(window: "Window", *, idle_hourly: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Hours of a node that follow each other within a day and tell the same, as one row."""
    same = ("cluster", "node", "gpus", "watched", "idle")
    hour, one = pl.col("hour_at"), pl.duration(hours=1)
    inside = (hour >= window.since) & (hour < window.until)
    rows = idle_hourly.filter(inside).sort("cluster", "node", "hour_at")
    goes_on = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in same)
    goes_on &= (hour - hour.shift(1) == one) & (hour.dt.hour() != 0)
    spells = (
        rows.with_columns(spell=(~goes_on.fill_null(False)).cum_sum())
        .group_by("spell", maintain_order=True)
        .agg(
            pl.col(same).first(),
            began=hour.first(),
            ended=hour.last() + one,
            day=hour.first().dt.date(),
        )
    )
    return {"idle_spells": IDLE_SPELLS.conform(spells.select(IDLE_SPELLS.dtypes.names()))}
