"""How much of the time it was up, read in every way a contract may mean it (R-6, S-6).

Planned time counts against the operational availability, not against the inherent one. Unknown
time is nobody's by nature: a reading that gives it to the provider and one that gives it to the
customer bound every other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Readings:
    """One fleet's availability under each reading; shares of 1."""

    inherent: float  # unplanned downtime alone, of time known and not planned
    operational: float  # all downtime, of time known
    unknown_as_up: float  # operational, unknown time given to the provider
    unknown_as_down: float  # operational, unknown time given to the customer


def readings(up: float, down: float, planned: float, unknown: float) -> Readings:
    """Availability from times in one unit; nan where a reading has no time to speak of."""

    def share(part: float, whole: float) -> float:
        return part / whole if whole > 0 else math.nan

    known = up + down + planned
    return Readings(
        inherent=share(up, up + down),
        operational=share(up, known),
        unknown_as_up=share(up + unknown, known + unknown),
        unknown_as_down=share(up, known + unknown),
    )


def all_up(availability: float, nodes: int) -> float:
    """Share of the time that all nodes of a job are up at once, if they fail independently."""
    return availability**nodes


def short_points(promised: float, measured: float) -> float:
    """Percentage points by which a promise was missed; 0 where it was kept."""
    return max(0.0, 100 * (promised - measured))


def bootstrap_limits(
    up: ArrayLike,
    down: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile limits of the fleet's availability when whole nodes are drawn again.

    For heavy-tailed repairs, where the F interval of `mtbf.availability` is too narrow.
    """
    good, bad = np.asarray(up, np.float64), np.asarray(down, np.float64)
    nodes = len(good)
    shares = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(0, nodes, nodes)
        lived = good[chosen].sum()
        shares[draw] = lived / (lived + bad[chosen].sum())
    tail = (1 - level) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    return float(low), float(high)
