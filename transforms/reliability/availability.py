"""How much of the time it was up, read in every way a contract may mean it (R-6, S-6).

Planned time counts against the operational availability, not against the inherent one. Unknown
time is nobody's by nature: a reading that gives it to the provider and one that gives it to the
customer bound every other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from transforms.reliability.draws import below, seed_of, upper_halves


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


STEPHENS = 1.094
"""Adjusted Kolmogorov distance that 5 % of exponential samples exceed, their mean estimated
(Stephens 1974)."""
FEW_KINDS = 1 / 8
"""Share of distinct nodes below which alike ones are drawn together."""
FEW_DRAWS = 500_000
"""Nodes drawn in all up to which no compiled code is worth its loading."""


def looks_exponential(times: ArrayLike) -> bool:
    """Whether times > 0 may be exponential, by Kolmogorov's distance at 5 %; True below four."""
    t = np.asarray(times, np.float64)
    t = np.sort(t[t > 0])
    if (n := len(t)) < 4:
        return True
    law = -np.expm1(-t / t.mean())
    steps = np.arange(1, n + 1) / n
    distance = float(np.maximum(steps - law, law - steps + 1 / n).max())
    return (distance - 0.2 / n) * (math.sqrt(n) + 0.26 + 0.5 / math.sqrt(n)) <= STEPHENS


def f_limits(
    repairs: ArrayLike, up: ArrayLike, down: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of up / (up + down) for roughly exponential up and repair times (R-6).

    Shape of the inputs, which are in one unit; nan where nothing was repaired or never up.
    """
    r, good, bad = (np.asarray(v, np.float64) for v in (repairs, up, down))
    is_told = (r > 0) & (good > 0)
    odds = np.where(is_told, bad, np.nan) / np.where(is_told, good, 1.0)
    freedom = np.where(is_told, 2 * r, 2.0)
    spread = stats.f.ppf((1 + level) / 2, freedom, freedom)
    return 1 / (1 + odds * spread), 1 / (1 + odds / spread)


def bootstrap_limits(
    up: ArrayLike,
    down: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile limits of the fleet's availability when whole nodes are drawn again.

    For heavy-tailed repairs, where the F interval is too narrow. Nodes alike in their times, as
    most of a fleet are on most days, are drawn together.
    """
    return redrawn_limits(up, down, np.zeros_like(np.asarray(up, np.float64)), rng, draws, level)[
        :2
    ]


def redrawn_limits(
    up: ArrayLike,
    down: ArrayLike,
    planned: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float, float]:
    """`bootstrap_limits` of the inherent, then of the operational availability, by one drawing."""
    times = np.stack([np.asarray(part, np.float64) for part in (up, down, planned)], axis=1)
    nodes = len(times)
    kinds, sizes = _alike(times)
    if sizes is not None:
        sums = rng.multinomial(nodes, sizes / nodes, size=draws) @ kinds
    elif nodes * draws <= FEW_DRAWS:
        sums = redrawn(times, draws, seed_of(rng))
    else:
        from transforms.reliability import redraw_sweep  # compiled code: loaded where it pays

        sums = redraw_sweep.redrawn(times, draws, seed_of(rng))
    inherent, operational = sums[:, 0] / _or_nan(sums[:, :2].sum(axis=1)), sums[:, 0] / _or_nan(sums.sum(axis=1))  # fmt: skip
    tail = (1 - level) / 2
    edges = [np.nanquantile(shares, [tail, 1 - tail]) for shares in (inherent, operational)]
    return tuple(float(edge) for both in edges for edge in both)  # type: ignore[return-value]


def _alike(times: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Distinct rows, and how many there are of each; None where rows are mostly distinct."""
    few = len(times) * FEW_KINDS
    if any(len(np.unique(column)) > few for column in times.T):
        return times, None
    kinds, sizes = np.unique(times, axis=0, return_counts=True)
    return (kinds, sizes) if len(kinds) <= few else (times, None)


def _or_nan(whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, whole, np.nan)


def redrawn(times: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Sums of as many rows as there are, drawn again with replacement: draws by columns.

    The twin of `redraw_sweep.redrawn`, which draws the same rows (`draws`).
    """
    nodes, columns = times.shape
    row = below(upper_halves(seed, draws * nodes), nodes)
    return times[row].reshape(draws, nodes, columns).sum(axis=1)
