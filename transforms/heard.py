"""Who was heard, hour by hour: what telemetry can say of being up at all (methods Q-2).

Up to two polling intervals a sample speaks for the time after it; beyond that nothing is known.
The interval is the usual one of that device in that hour.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.contract import UTC
from transforms.counters import HOUR_US
from transforms.sample_rows import Laid, hours, lay, named
from transforms.tables.hourly import HEARD_HOURLY

if TYPE_CHECKING:
    from transforms.recipes import Window

Ints = npt.NDArray[np.int64]
UTC_US = pl.Datetime("us")

CARRIED_INTERVALS = 2
USUAL_INTERVAL_MS = 60_000
"""Where one sample an hour or none tells no interval."""


def heard(
    window: "Window",
    *,
    gpu_samples: pl.DataFrame,
    node_samples: pl.DataFrame,
    link_samples: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """One row a device and hour in which it was sampled, whatever was."""
    frames = {"gpu": gpu_samples, "node": node_samples, "link": link_samples}
    parts = [HEARD_HOURLY.empty()]
    for kind, samples in frames.items():
        for hour in hours(samples, window.since, window.until):
            parts.append(_of_an_hour(lay(kind, samples, hour)))
    return {"heard_hourly": HEARD_HOURLY.conform(pl.concat(parts).sort(HEARD_HOURLY.key))}


def _of_an_hour(laid: Laid) -> pl.DataFrame:
    device, at = laid.own_device, laid.at[laid.is_own]
    begins = np.flatnonzero(np.diff(device, prepend=-1))
    ends = np.append(begins[1:], len(device)) - 1
    is_last = np.zeros(len(at), np.bool_)
    is_last[ends] = True
    until_next = np.where(is_last, 0, np.diff(at, append=0))
    usual = (
        pl.DataFrame({"number": device, "step": until_next})
        .filter(pl.Series(~is_last))
        .group_by("number")
        .agg(pl.col("step").median().cast(pl.Int64).alias("interval"))
    )
    rows = pl.DataFrame({"number": device[begins]})
    interval = rows.join(usual, on="number", how="left", maintain_order="left")["interval"]
    reach = interval.fill_null(USUAL_INTERVAL_MS * 1000).to_numpy() * CARRIED_INTERVALS
    reaches = np.repeat(reach, ends - begins + 1)
    # A sample speaks for the time up to the next one, as far as it reaches.
    to_next = np.where(is_last, laid.hour_us + HOUR_US - at, until_next)
    covered = np.add.reduceat(np.minimum(to_next, reaches), begins)
    before = _last_before(laid)[device[begins]]
    covered += np.clip(np.minimum(at[begins], before + reach) - laid.hour_us, 0, None)
    longest = np.maximum.reduceat(until_next, begins)
    ended = np.repeat(longest, ends - begins + 1) == until_next
    position = np.where(ended & ~is_last, np.arange(len(at)), len(at))
    first = np.minimum.reduceat(position, begins)
    gap_ended = np.where(first < ends, at[np.minimum(first + 1, len(at) - 1)], -1)
    instants = {"first_at": at[begins], "last_at": at[ends], "gap_ended_at": gap_ended}
    return (
        named(laid)
        .with_row_index("number")
        .cast({"number": pl.Int64})
        .join(rows, on="number", how="semi", maintain_order="left")
        .with_columns(
            pl.Series("samples", ends - begins + 1),
            *(
                pl.Series(name, us).replace(-1, None).cast(UTC_US).dt.replace_time_zone("UTC")
                for name, us in instants.items()
            ),
            device_kind=pl.lit(laid.kind),
            hour_at=pl.lit(laid.hour_us).cast(UTC_US).dt.replace_time_zone("UTC"),
            interval_ms=interval // 1000,
            booted_at=_booted(laid),
            covered_ms=pl.Series(covered // 1000),
            longest_gap_ms=pl.Series(longest // 1000),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in HEARD_HOURLY.dtypes.items())
    )


def _booted(laid: Laid) -> pl.Expr:
    """The last boot that the node told of in the hour; null for GPUs and links."""
    if "boot_time_s" not in laid.samples.columns:
        return pl.lit(None, UTC)
    told = laid.values("boot_time_s")
    found = np.full(laid.devices.height, np.nan)
    known = laid.is_own & ~np.isnan(told)
    found[laid.device[known]] = told[known]
    booted = pl.Series((found * 1e6)[np.unique(laid.own_device)]).fill_nan(None)
    return pl.lit(booted.cast(pl.Int64).cast(UTC_US).dt.replace_time_zone("UTC"))


def _last_before(laid: Laid) -> Ints:
    """Of each device, its last instant in the hour before; long ago where there is none."""
    earlier = ~laid.is_own
    found = np.full(laid.devices.height, np.iinfo(np.int64).min // 2)
    found[laid.device[earlier]] = laid.at[earlier]
    return found
