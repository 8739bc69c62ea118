"""How often to save, and what share of the time is kept: the economics of checkpoints (methods 5).

    write      blocking time of one save (delta)
    interval   productive time from one save to the next (tau)
    between    mean time between failures of the run on its productive clock (M)
    recovery   from the failure to new steps (R): detect, decide, get nodes, start, load

All in one unit. The interval that is best does not hang on recovery. `ettr` is exact where
failures are exponential and may hit recovery too; the first order is a straight line that goes
below zero at scale, so it is here to be compared with.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw


def young(write: float, between: float) -> float:
    """Young's time between checkpoints, sqrt(2 delta M): its write included (C-1)."""
    return math.sqrt(2 * write * between)


def daly(write: float, between: float) -> float:
    """Daly's higher order of the best interval (C-1)."""
    if write >= 2 * between:
        return between
    ratio = write / (2 * between)
    return young(write, between) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - write


def best_interval(write: float, between: float) -> float:
    """The interval that keeps most, exactly (C-1)."""
    return between * (1 + float(lambertw(-math.exp(-write / between - 1)).real))


def ettr(
    interval: float | np.ndarray, write: float, between: float, recovery: float
) -> float | np.ndarray:
    """Share of the time that is kept, failures also in recovery (C-2, exact)."""
    lived = between * np.exp(recovery / between) * np.expm1((interval + write) / between)
    return interval / lived


def ettr_first_order(interval: float, write: float, between: float, recovery: float) -> float:
    """The same to first order: where (R + tau/2) / M is above 0.15 use `ettr` (C-2)."""
    return (1 - (recovery + interval / 2) / between) / (1 + write / interval)


def ettr_renewal(interval: float, write: float, between: float, recovery: float) -> float:
    """The same where no failure hits recovery, `between` measured on time up (C-2)."""
    return interval / (math.expm1((interval + write) / between) * (between + recovery))


def ettr_queued(
    wanted: float, interval: float, between: float, recovery: float, queue: float
) -> float:
    """The same for `wanted` productive time, with a wait before each attempt (C-2, first order)."""
    failures = 1 / between
    scheduled = (wanted + recovery) / (1 - failures * (recovery + interval / 2))
    return wanted / (scheduled * (1 + failures * queue) + queue)


@dataclass(frozen=True)
class TwoLevels:
    """Intervals to a near and to a far store, and the share kept (C-5, first order)."""

    near: float
    far: float
    ettr: float


def two_levels(near: tuple[float, float, float], far: tuple[float, float, float]) -> TwoLevels:
    """Each level as (write, between, recovery): soft failures, and those that take the near store."""
    intervals = [young(write, between) for write, between, _ in (near, far)]
    waste = sum(
        write / interval + interval / (2 * between) + recovery / between
        for interval, (write, between, recovery) in zip(intervals, (near, far), strict=True)
    )
    return TwoLevels(intervals[0], intervals[1], 1 - waste)
