"""Samples laid out for counting: rows together by device, in order of time, devices in key order.

The lake keeps samples so already, hour by hour; two hours need only be merged. Rows in any other
order give the same layout, more slowly.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.counters import HOUR_US
from transforms.folding import runs
from transforms.metrics import BY_NAME, Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KEYS = {
    "gpu": ("cluster", "node", "gpu", "gpu_instance"),
    "node": ("cluster", "node"),
    "link": ("cluster", "node", "link"),
}
"""What tells the devices of a table of samples apart; the first two place them."""
HOUR = timedelta(hours=1)
SAME_BOOT_S = 60.0


@dataclass(frozen=True)
class Laid:
    """Samples of one hour (`hour_us`) and the one before, laid out.

    devices  one row a device: its keys, in key order
    device   of each row, as a row of `devices`
    at       of each row (us)
    is_own   rows of the hour itself
    order    where each row lies in `samples`; None where it lies there already
    """

    kind: str
    hour_us: int
    devices: pl.DataFrame
    device: Ints
    at: Ints
    is_own: npt.NDArray[np.bool_]
    samples: pl.DataFrame
    order: Ints | None

    def values(self, metric: str) -> Floats:
        """A metric's values of all rows, as laid out; NaN is no value."""
        values = self.samples[metric].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return values if self.order is None else values[self.order]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that any row has a value of, by name."""
        names = sorted(name for name in self.samples.columns if name in BY_NAME)
        return [BY_NAME[name] for name in names if self.samples[name].null_count() < len(self.at)]

    @cached_property
    def own_device(self) -> Ints:
        return self.device[self.is_own]

    @cached_property
    def own_starts(self) -> Ints:
        """Where each device's rows of this hour begin among these, and where the last ends."""
        return np.searchsorted(self.own_device, np.arange(self.devices.height + 1))

    @cached_property
    def node(self) -> Ints:
        """Of each device, the number of its node; nodes lie together."""
        return runs(self.devices, ("cluster", "node"))

    @cached_property
    def cluster(self) -> Ints:
        return runs(self.devices, ("cluster",))


def hours(samples: pl.DataFrame, since: datetime, until: datetime) -> list[datetime]:
    """The hours [since, until) that hold a sample, in their order."""
    own = samples.filter(pl.col("observed_at") >= since, pl.col("observed_at") < until)
    return own["observed_at"].dt.truncate("1h").unique().sort().to_list()


def lay(kind: str, samples: pl.DataFrame, hour: datetime) -> Laid:
    """Lay out the samples of `hour` and of the one before it; all others are left out."""
    hour_us = int(hour.timestamp()) * 1_000_000
    at = pl.col("observed_at")
    near = samples.filter(at >= hour - HOUR, at < hour + HOUR)
    keys = KEYS[kind]
    run = runs(near, keys)
    begins = np.flatnonzero(np.diff(run, prepend=-1)) if near.height else run
    heads = near.select(keys)[begins]
    devices = heads.unique().sort(keys)
    numbers = heads.join(
        devices.with_row_index("device"), on=keys, how="left", maintain_order="left"
    )["device"]
    device = numbers.cast(pl.Int64).to_numpy()[run]
    at_us = near["observed_at"].dt.epoch("us").to_numpy()
    order = _order(device, at_us, hour_us - HOUR_US)
    if order is not None:
        device, at_us = device[order], at_us[order]
    return Laid(kind, hour_us, devices, device, at_us, at_us >= hour_us, near, order)


def named(laid: Laid) -> pl.DataFrame:
    """cluster, node, device of each device: what tells it from others of its node ('' for a node)."""
    if laid.kind == "gpu":
        instance = pl.col("gpu_instance")
        whole = pl.when(instance == "").then("gpu")
        device = whole.otherwise(pl.format("{}/{}", "gpu", instance))
    else:
        device = pl.col("link") if laid.kind == "link" else pl.lit("")
    return laid.devices.select("cluster", "node", device.alias("device"))


def boots(node_samples: pl.DataFrame) -> pl.DataFrame:
    """cluster, node, booted (UTC) of every boot of the nodes that booted between samples."""
    if "boot_time_s" not in node_samples.columns:
        return pl.DataFrame(schema={"cluster": pl.String, "node": pl.String, "booted": pl.Int64})
    told = (
        node_samples.select("cluster", "node", pl.col("boot_time_s").cast(pl.Float64).alias("s"))
        .drop_nulls()
        .unique()
        .sort("cluster", "node", "s")
    )
    apart = (pl.col("s") - pl.col("s").shift(1) > SAME_BOOT_S).over("cluster", "node")
    distinct = told.filter(apart.fill_null(True))
    many = pl.len().over("cluster", "node") > 1
    return distinct.filter(many).select(
        "cluster", "node", (pl.col("s") * 1e6).cast(pl.Int64).alias("booted")
    )


def booted(laid: Laid, boots: pl.DataFrame) -> Floats | None:
    """The last boot (s) of each row's node at or before its instant; NaN where none is known."""
    if boots.is_empty():
        return None
    placed = laid.devices.select("cluster", "node").with_row_index("device")
    known = placed.join(boots, on=["cluster", "node"]).sort("device", "booted")
    found = np.full(len(laid.at), np.nan)
    for (number,), instants in known.group_by("device", maintain_order=True):
        low, high = np.searchsorted(laid.device, [number, number + 1])
        all_boots = instants["booted"].to_numpy()
        last = np.searchsorted(all_boots, laid.at[low:high], side="right") - 1
        found[low:high] = np.where(last >= 0, all_boots[np.maximum(last, 0)] / 1e6, np.nan)
    return found


def _order(device: Ints, at_us: Ints, base: int) -> Ints | None:
    """The order by device and time; None where the rows already lie so."""
    packed = (device << 33) | (at_us - base)  # two hours of microseconds fit into 33 bits
    if bool((packed[1:] >= packed[:-1]).all()):
        return None
    return np.argsort(packed, kind="stable")
