"""How long things last: Kaplan-Meier and Nelson-Aalen under censoring and truncation (R-9).

A unit is watched from its entry to its exit; the exit is an end or the moment it was lost sight
of. A unit that joined the watch late says nothing about the ages before it joined, so it counts
as at risk only after its entry (left truncation, methods T-4). At equal times ends come before
censorings.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy import stats

Floats = np.ndarray
SAME = 1e-12
MANY = 100_000
"""Lives from which on compiled code is worth loading."""
PATIENCE = 8


@dataclass(frozen=True)
class Curve:
    """A survival curve at each distinct time of an end; times in the caller's unit.

    `lo` and `hi` are limits of the survival on the log(-log) scale; nan where it is 0.
    """

    times: Floats
    at_risk: Floats
    ended: Floats
    survival: Floats
    std_error: Floats
    lo: Floats
    hi: Floats
    cumulative_hazard: Floats  # Nelson-Aalen

    def at(self, time: float) -> float:
        """Share that lasts beyond `time`."""
        place = int(np.searchsorted(self.times, time, "right")) - 1
        return float(self.survival[place]) if place >= 0 else 1.0

    def limits_at(self, time: float) -> tuple[float, float]:
        place = int(np.searchsorted(self.times, time, "right")) - 1
        return (float(self.lo[place]), float(self.hi[place])) if place >= 0 else (1.0, 1.0)

    def hazard_limits(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Limits of the cumulative hazard on the log scale, by Aalen's variance."""
        variance = np.cumsum(self.ended / self.at_risk.astype(float) ** 2)
        spread = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance) / self.cumulative_hazard
        return self.cumulative_hazard * np.exp(-spread), self.cumulative_hazard * np.exp(spread)

    def quantile(self, share: float = 0.5) -> float:
        """First time by which `share` has ended; nan where the curve never comes down so far."""
        below = np.flatnonzero(self.survival <= 1 - share + SAME)
        return float(self.times[below[0]]) if len(below) else np.nan


def curve(
    exits: ArrayLike, is_end: ArrayLike, entries: ArrayLike | None = None, level: float = 0.95
) -> Curve:
    """Estimate survival from `exits` (ages), `is_end` (False: censored) and `entries` (default 0).

    Greenwood's variance. Raises ValueError where an exit does not lie behind its entry.
    """
    left = np.asarray(exits, np.float64)
    ends = np.asarray(is_end, bool)
    joined = np.zeros_like(left) if entries is None else np.asarray(entries, np.float64)
    if bad := int(np.sum(~(left >= joined))):
        raise ValueError(f"{bad} of {len(left)} units leave before they enter, or at no known age")
    times, ended, gone = _ends(left, ends)
    # At risk at t: entered before t, and neither ended nor lost sight of before t.
    there = np.searchsorted(_rising(joined, joined), times, "left")
    at_risk = np.maximum(there - gone, ended)  # an end at the very entry was at risk of it
    share = ended / at_risk
    survival = np.cumprod(1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(ended / (at_risk * (at_risk - ended).astype(float)))
        std_error = np.where(survival > 0, survival * np.sqrt(greenwood), 0.0)
        spread = stats.norm.ppf((1 + level) / 2) * np.sqrt(greenwood) / np.abs(np.log(survival))
        lo, hi = survival ** np.exp(spread), survival ** np.exp(-spread)
    unknown = survival <= 0
    lo, hi = np.where(unknown, np.nan, lo), np.where(unknown, np.nan, hi)
    return Curve(times, at_risk, ended, survival, std_error, lo, hi, np.cumsum(share))


def _ends(left: Floats, ends: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct times of an end, how many ended at each, and how many left before it.

    One sort does for all three: an age that is not negative orders as the whole number of its bits
    does, and a last bit puts ends before censorings.
    """
    bits = (left + 0.0).view(np.uint64)  # -0.0 and 0.0 are one age
    if np.any(bits >> 63):
        order = np.lexsort((~ends, left))
        ages, is_end = left[order], ends[order]
    else:
        packed = _rising(bits << 1 | ~ends, left)
        ages, is_end = (packed >> 1).view(np.float64), packed & 1 == 0
    places = np.flatnonzero(is_end)
    ended_at = ages[places]
    first = np.flatnonzero(np.diff(ended_at, prepend=np.nan) != 0)
    return ended_at[first], np.diff(first, append=len(places)), places[first]


def _rising(keys: np.ndarray, ages: Floats) -> np.ndarray:
    """`keys` sorted, which rise with `ages`: most lives are spread over their ages evenly enough."""
    if len(keys) >= MANY:
        from transforms import sweep  # compiled code: loaded where it pays

        low, width = float(ages.min()), float(np.ptp(ages))
        scale = (len(keys) - 1) / width if 0 < width < np.inf else np.inf
        if np.isfinite(scale):
            found, is_sorted = sweep.spread(keys, ages, low, scale, PATIENCE)
            if is_sorted:
                return found
    return pl.Series(keys).sort().to_numpy()


def log_rank(
    exits: ArrayLike, is_end: ArrayLike, group: ArrayLike, entries: ArrayLike | None = None
) -> tuple[float, int, float]:
    """Do groups end at one hazard? Chi-square, its degrees of freedom, and p."""
    left, ends, kinds = np.asarray(exits, float), np.asarray(is_end, bool), np.asarray(group)
    joined = np.zeros_like(left) if entries is None else np.asarray(entries, np.float64)
    names, kind = np.unique(kinds, return_inverse=True)
    order = np.argsort(left)
    left, ends, joined, kind = left[order], ends[order], joined[order], kind[order]
    ended_at = left[ends]
    first = np.flatnonzero(np.diff(ended_at, prepend=np.nan) != 0)
    times, ended = ended_at[first], np.diff(first, append=len(ended_at))
    # A unit is at risk from the first time behind its entry up to its exit.
    enter, leave = (np.searchsorted(times, edge, "right") for edge in (joined, left))
    risk = np.zeros((len(names), len(times)))
    seen = np.zeros_like(risk)
    for row in range(len(names)):
        mine = kind == row
        came, went = (np.bincount(k[mine], minlength=len(times) + 1) for k in (enter, leave))
        risk[row] = np.cumsum(came - went)[:-1]
        seen[row] = np.bincount(leave[mine & ends] - 1, minlength=len(times))
    whole = risk.sum(axis=0)
    share = risk / whole
    excess = (seen - share * ended).sum(axis=1)
    tied = np.where(whole > 1, (whole - ended) / np.maximum(whole - 1, 1), 0.0)
    weight = ended * tied
    covariance = np.diag((share * weight).sum(axis=1)) - (share * weight) @ share.T
    inner = covariance[:-1, :-1]
    square = float(excess[:-1] @ np.linalg.pinv(inner) @ excess[:-1])
    free = len(names) - 1
    return square, free, float(stats.chi2.sf(square, free))
