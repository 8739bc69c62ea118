"""Trouble that samples show: counters of errors that rose, flags that were up, another last Xid.

    ecc_uncorrected_volatile   0 0 1 1    a rise of 1, between the second sample and the third
    row_remap_pending          0 1 1 1    held from the second sample on
    xid_code                   0 79 79    Xid 79, after the first sample

A sign happened between `since`, the sample before, and `began`. The gauge of the last Xid hides a
repeat of the same code: such rows say so, and a kernel log is the better source (methods Q-4).
What shows again within ten minutes goes on; it is no new episode (methods D-8).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.counters import LOWER_BOUND, Rises
from transforms.metrics import Metric
from transforms.sample_rows import Laid, named
from transforms.tables.hourly import SAMPLE_SIGNALS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Way = Literal["rises", "holds", "falls", "changes"]

EPISODE_US = 600_000_000
REPEAT_HIDDEN = "the gauge keeps the last Xid: the same code again would not show"

HW_SLOWDOWN, SW_THERMAL, HW_THERMAL, HW_POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
"""Bits of NVML's clocks event reasons."""


@dataclass(frozen=True)
class Sign:
    """What a metric shows, and how: it rises, holds (any of `bits`, or not nought), falls below
    `floor` from there, or changes to another code."""

    kind: str
    way: Way
    bits: int = 0
    floor: float = 0.0


def _all(kind: str, way: Way, names: str) -> dict[str, tuple[Sign, ...]]:
    return {name: (Sign(kind, way),) for name in names.split()}


SIGNS: dict[str, tuple[Sign, ...]] = {
    **{
        f"ecc_{how}_{life}{part}": (Sign(f"ecc_{how}", "rises"),)
        for how in ("corrected", "uncorrected")
        for life in ("volatile", "aggregate")
        for part in ("", "_device_memory", "_dram", "_sram")
    },
    **_all("row_remap", "rises", "remapped_rows_corrected remapped_rows_uncorrected"),
    **_all("row_remap_pending", "holds", "row_remap_pending"),
    **_all("row_remap_failed", "holds", "row_remap_failed"),
    **_all("page_retired", "rises", "retired_pages_sbe retired_pages_dbe"),
    **_all("reset_asked", "holds", "retirement_pending reset_required drain_and_reset_recommended"),
    **_all("reset_asked", "holds", "channel_repair_pending tpc_repair_pending"),
    **_all("thermal_slowdown", "rises", "thermal_violation_s sw_thermal_slowdown_s"),
    **_all("thermal_slowdown", "rises", "hw_thermal_slowdown_s cpu_throttles package_throttles"),
    **_all("thermal_slowdown", "holds", "slowed_by_hw_thermal slowed_by_sw_thermal"),
    **_all("power_brake", "rises", "hw_power_brake_s"),
    **_all("power_brake", "holds", "slowed_by_hw_power_brake"),
    **_all("hw_slowdown", "holds", "slowed_by_hw_slowdown"),
    "slowed_by_bits": (
        Sign("thermal_slowdown", "holds", SW_THERMAL | HW_THERMAL),
        Sign("power_brake", "holds", HW_POWER_BRAKE),
        Sign("hw_slowdown", "holds", HW_SLOWDOWN),
    ),
    **_all("pcie_replay", "rises", "pcie_replays pcie_replay_rollovers"),
    **_all("nvlink_error", "rises", "nvlink_crc_flit_errors nvlink_crc_data_errors nvlink_replays"),
    **_all("nvlink_recovery", "rises", "nvlink_recoveries"),
    **_all("fabric_unhealthy", "holds", "fabric_bandwidth_degraded fabric_route_recovering"),
    **_all("fabric_unhealthy", "holds", "fabric_route_unhealthy fabric_access_timed_out"),
    **_all("link_downed", "rises", "link_downed carrier_downs"),
    **_all("link_recovery", "rises", "link_recoveries"),
    "port_state_code": (Sign("link_inactive", "falls", floor=4.0),),
    **{name: (Sign("link_inactive", "falls", floor=1.0),) for name in ("is_up", "has_carrier")},
    **_all("bit_errors", "rises", "symbol_errors rx_errors integrity_errors"),
    **_all("dimm_corrected", "rises", "edac_corrected"),
    **_all("dimm_uncorrected", "rises", "edac_uncorrected"),
    **_all("disk_error", "rises", "nvme_media_errors"),
    **_all("disk_error", "holds", "nvme_warning_max_bits"),
    **_all("file_system", "holds", "root_readonly filesystems_unreadable"),
    **_all("xid", "changes", "xid_code"),
}


def signals(laid: Laid, metric: Metric, values: Floats, risen: Rises | None) -> pl.DataFrame:
    """Rows of SAMPLE_SIGNALS: what `metric` shows in the hour laid out, device by device."""
    found = [SAMPLE_SIGNALS.empty()]
    if metric.name not in SIGNS or not _may_show(SIGNS[metric.name], values, risen):
        return found[0]
    before = _before(laid, values)
    for sign in SIGNS[metric.name]:
        shows = _shows(sign, values, before, risen)
        if sign.way == "falls":
            shows &= _was_well(laid, values, sign.floor)
        if shows[laid.is_own].any():
            found.append(_rows(laid, metric, sign, values, before, shows, risen))
    return pl.concat(found)


def _may_show(signs: tuple[Sign, ...], values: Floats, risen: Rises | None) -> bool:
    """False where all is quiet, as nearly always: told without a look at what came before."""
    if risen is not None:
        return bool((risen.rise > 0).any())
    if signs[0].way == "falls":
        return bool((values < signs[0].floor).any())
    bits = sum(sign.bits for sign in signs)
    if not bits:
        return bool((np.nan_to_num(values) != 0).any())
    return bool((np.nan_to_num(values).astype(np.int64) & bits).any())


def _before(laid: Laid, values: Floats) -> Ints:
    """Position of the last value of the same device before each row; -1 where there is none."""
    position = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.accumulate(position) if len(position) else position
    before = np.concatenate([[-1], last[:-1]])[: len(values)]
    start = np.searchsorted(laid.device, np.arange(laid.devices.height))[laid.device]
    return np.where(before >= start, before, -1)


def _shows(sign: Sign, values: Floats, before: Ints, risen: Rises | None) -> Bools:
    known = ~np.isnan(values)
    if sign.way == "rises":
        # A counter that this source calls something else still shows by its steps.
        step = (
            risen.rise
            if risen is not None
            else values - np.where(before >= 0, values[before], values)
        )
        return known & (np.nan_to_num(step) > 0)
    if sign.way == "falls":
        return known & (values < sign.floor)
    if sign.way == "changes":
        return known & (values != 0) & (before >= 0) & (values != values[before])
    if sign.bits:
        return known & ((np.nan_to_num(values).astype(np.int64) & sign.bits) != 0)
    return known & (values != 0)


def _was_well(laid: Laid, values: Floats, floor: float) -> Bools:
    """Rows of devices that were well at some time of the two hours: a port never used is no sign."""
    well = np.zeros(laid.devices.height, np.bool_)
    well[laid.device[values >= floor]] = True
    return well[laid.device]


def _rows(
    laid: Laid,
    metric: Metric,
    sign: Sign,
    values: Floats,
    before: Ints,
    shows: Bools,
    risen: Rises | None,
) -> pl.DataFrame:
    """One row a device and hour; of codes, one a change."""
    where = np.flatnonzero(shows)
    prior = before[where]
    has_prior = prior >= 0
    at, at_prior = laid.at[where], np.where(has_prior, laid.at[prior], -1)
    holds = sign.way in ("holds", "falls")
    # A state held since the sample before only where that one showed it too.
    held_us = np.where(has_prior & shows[prior], at - at_prior, 0)
    amount = held_us / 1e6 if holds else np.ones(len(where))
    if sign.way == "rises":
        step = risen.rise if risen is not None else values - values[before]
        amount = step[where]
    seen = pl.DataFrame(
        {
            "device": laid.device[where],
            "at": at,
            "since": at_prior,
            "amount": amount,
            "value": values[where],
            "from_value": np.where(has_prior, values[prior], np.nan),
            "is_bound": np.zeros(len(where), np.bool_)
            if risen is None
            else risen.marks[where] & LOWER_BOUND > 0,
            "is_own": laid.is_own[where],
        }
    ).with_columns(
        is_continued=(pl.col("at") - pl.col("at").shift(1).over("device") <= EPISODE_US).fill_null(
            False
        )
    )
    by = ["device", "at"] if sign.way == "changes" else ["device"]
    grouped = seen.filter("is_own").group_by(by, maintain_order=True).agg(
        pl.col("at").first().alias("began"),
        pl.col("at").last().alias("ended"),
        pl.col("since").first().replace(-1, None),
        pl.len().alias("times"),
        pl.col("amount").sum(),
        pl.col("from_value").first().fill_nan(None),
        pl.col("value").last().alias("to_value"),
        (pl.lit(False) if sign.way == "changes" else pl.col("is_continued").first()).alias(
            "is_continued"
        ),
        pl.col("is_bound").any().alias("is_lower_bound"),
    )  # fmt: skip
    placed = named(laid).rename({"device": "name"}).with_row_index("device")
    rows = grouped.join(placed.cast({"device": pl.Int64}), on="device", maintain_order="left")
    rows = rows.with_columns(
        device="name",
        kind=pl.lit(sign.kind),
        metric=pl.lit(metric.name),
        hour_at=pl.lit(laid.hour_us),
        note=pl.lit(REPEAT_HIDDEN if sign.way == "changes" else ""),
    )
    instants = [n for n, t in SAMPLE_SIGNALS.dtypes.items() if isinstance(t, pl.Datetime)]
    return rows.with_columns(
        pl.col(instants).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ).select(pl.col(n).cast(t) for n, t in SAMPLE_SIGNALS.dtypes.items())
