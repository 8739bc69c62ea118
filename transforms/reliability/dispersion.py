"""Do failures come one by one? Overdispersion, and limits that admit it (R-5, R-12).

Exact Poisson limits suppose independent failures. Where counts of cells (days, nodes, racks) vary
more than their expectation allows, the limits are too narrow and must be widened.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from transforms.poisson import count_limits

TOO_MUCH = 1.3
TOO_UNLIKELY = 0.01


@dataclass(frozen=True)
class Dispersion:
    """Pearson's chi-square of counts against their expectations; `phi` is it per freedom."""

    phi: float
    chi_square: float
    freedom: int
    p: float
    cells: int

    @property
    def is_poisson(self) -> bool:
        """True where the assumption of the exact limits held."""
        return not (self.phi > TOO_MUCH and self.p < TOO_UNLIKELY)


def dispersion(counts: ArrayLike, exposure: ArrayLike | None = None) -> Dispersion:
    """Variation of `counts` around one rate over `exposure` (default: equal); cells without any
    exposure say nothing. nan and p = 1 where fewer than two cells or no count is left."""
    y = np.asarray(counts, np.float64)
    e = np.ones_like(y) if exposure is None else np.asarray(exposure, np.float64)
    y, e = y[e > 0], e[e > 0]
    if len(y) < 2 or not y.sum():
        return Dispersion(math.nan, math.nan, max(len(y) - 1, 0), 1.0, len(y))
    expected = e * y.sum() / e.sum()
    square = float(((y - expected) ** 2 / expected).sum())
    free = len(y) - 1
    return Dispersion(square / free, square, free, float(stats.chi2.sf(square, free)), len(y))


def rate_limits(
    failures: int, exposure: float, phi: float = 1.0, level: float = 0.95
) -> tuple[float, float]:
    """Limits of failures per exposure; quasi-Poisson on the log scale where `phi` > 1.

    They are never narrower than the exact ones of the same count.
    """
    low, high = (float(edge) / exposure for edge in count_limits(failures, level))
    if not (phi > 1 and failures):
        return low, high
    spread = math.exp(stats.norm.ppf((1 + level) / 2) * math.sqrt(phi / failures))
    return min(low, failures / exposure / spread), max(high, failures / exposure * spread)


def rate_limits_of(
    failures: np.ndarray, exposure: np.ndarray, phi: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """`rate_limits` of many units at once; nan where the exposure is."""
    lower, upper = count_limits(failures, level)
    is_wide = (phi > 1) & (failures > 0)
    shown = np.where(is_wide, failures, 1)
    z = stats.norm.ppf((1 + level) / 2)
    spread = np.exp(z * np.sqrt(np.where(is_wide, phi, 0) / shown))
    return (
        np.where(is_wide, np.minimum(lower, failures / spread), lower) / exposure,
        np.where(is_wide, np.maximum(upper, failures * spread), upper) / exposure,
    )


def bootstrap_limits(
    failures: ArrayLike,
    exposure: ArrayLike,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile limits of the fleet's rate when whole units (nodes, racks) are drawn again.

    The units carry whatever dependence there is within them. Drawn in blocks, so that 100,000
    units do not ask for a matrix of draws by units.
    """
    x, t = np.asarray(failures, np.float64), np.asarray(exposure, np.float64)
    units = len(x)
    rates = np.empty(draws)
    # Units alike in count and exposure are drawn together: a fleet has few kinds of them.
    kinds, sizes = np.unique(np.stack([x, t], axis=1), axis=0, return_counts=True)
    for start in range(0, draws, 200):
        some = min(200, draws - start)
        drawn = rng.multinomial(units, sizes / units, size=some)
        with np.errstate(invalid="ignore"):
            rates[start : start + some] = (drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1])
    tail = (1 - level) / 2
    low, high = np.nanquantile(rates, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Assumption:
    """Whether gaps between failures look exponential and unrelated."""

    ks_p: float
    lag_1: float
    lag_1_p: float

    @property
    def held(self) -> bool:
        return self.ks_p >= 0.05 and self.lag_1_p >= 0.05


def gaps_look_exponential(
    gaps: ArrayLike, rng: np.random.Generator, draws: int = 2000
) -> Assumption:
    """Kolmogorov's test against the exponential of the same mean, its p by parametric bootstrap,
    and the lag-1 correlation of log gaps. nan and p = 1 below four gaps."""
    g = np.asarray(gaps, np.float64)
    g = g[g > 0]
    if len(g) < 4:
        return Assumption(1.0, math.nan, 1.0)
    seen = _distance(g[None, :])[0]
    null = _distance(rng.exponential(size=(draws, len(g))))
    logs = np.log(g)
    if np.ptp(logs[:-1]) == 0 or np.ptp(logs[1:]) == 0:
        lag, lag_p = math.nan, 1.0
    else:
        lag, lag_p = (float(v) for v in stats.pearsonr(logs[:-1], logs[1:]))
    return Assumption(float((1 + (null >= seen).sum()) / (draws + 1)), lag, lag_p)


def _distance(gaps: np.ndarray) -> np.ndarray:
    """Kolmogorov distance of each row from the exponential of its own mean."""
    n = gaps.shape[1]
    law = -np.expm1(-np.sort(gaps, axis=1) / gaps.mean(axis=1, keepdims=True))
    steps = np.arange(1, n + 1) / n
    return np.maximum(steps - law, law - steps + 1 / n).max(axis=1)
