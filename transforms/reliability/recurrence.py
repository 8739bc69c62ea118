"""How failures of repaired units add up, and come back after a repair (R-13, D-2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class MeanCumulative:
    """Mean failures per unit up to each age at which one happened, with limits."""

    ages: np.ndarray
    at_risk: np.ndarray
    failures: np.ndarray
    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray


def mean_cumulative(
    failure_unit: ArrayLike,
    failure_age: ArrayLike,
    entries: ArrayLike,
    exits: ArrayLike,
    level: float = 0.95,
) -> MeanCumulative:
    """Mean cumulative function of recurrent failures with staggered entry (R-13).

    failure_unit  index into `entries` and `exits` of the unit that failed; failure_age at its age
    Limits are normal on the robust variance (units resampled whole, in the limit of many), which
    needs no law for the gaps; they do not go below 0.
    """
    unit = np.asarray(failure_unit, np.int64)
    age = np.asarray(failure_age, np.float64)
    joined, left = np.asarray(entries, np.float64), np.asarray(exits, np.float64)
    if not len(age):
        nothing = np.array([])
        return MeanCumulative(*[nothing] * 6)
    ages, place, failures = np.unique(age, return_inverse=True, return_counts=True)
    at_risk = np.searchsorted(np.sort(joined), ages, "left") - np.searchsorted(
        np.sort(left), ages, "left"
    )
    at_risk = np.maximum(at_risk, 1)
    steps = failures / at_risk
    mean = np.cumsum(steps)
    spread = stats.norm.ppf((1 + level) / 2) * np.sqrt(
        _robust_variance(unit, place, joined, left, ages, at_risk, steps)
    )
    return MeanCumulative(
        ages, at_risk, failures, mean, np.maximum(mean - spread, 0), mean + spread
    )


def _robust_variance(
    unit: np.ndarray,
    place: np.ndarray,
    joined: np.ndarray,
    left: np.ndarray,
    ages: np.ndarray,
    at_risk: np.ndarray,
    steps: np.ndarray,
) -> np.ndarray:
    """Sum over units of (their share of the curve minus what the curve expected of them) squared.

    A unit's residual up to age t is its failures weighted 1/n minus its expectation. Units only
    change at their own failures and share the expectation otherwise, so the sum of squares moves
    in steps that cost no loop over units: squares of sums are carried as sums of products.
    """
    expected = np.cumsum(steps / at_risk)  # what a unit at risk all the time was expected to add
    first = np.searchsorted(ages, joined, "right") - 1
    base = np.where(first >= 0, expected[np.maximum(first, 0)], 0.0)  # before it was watched
    # Residual of unit i at age t while watched: F_i(t) - (E(t) - base_i); frozen once it left.
    weight = 1 / at_risk[place]
    order = np.lexsort((place, unit))
    u, p, w = unit[order], place[order], weight[order]
    begins = np.flatnonzero(np.diff(u, prepend=-1))
    before = np.cumsum(w) - w
    before -= np.repeat(before[begins], np.diff(np.append(begins, len(u))))  # F_i just before
    size = len(ages)

    def by_age(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.cumsum(np.bincount(places, values, minlength=size)[:size])

    squares_f = by_age(2 * before * w + w * w, p)  # sum of F_i squared
    sum_f = by_age(w, p)
    sum_fb = by_age(w * base[u], p)
    enter = np.searchsorted(ages, joined, "right")
    leave = np.searchsorted(ages, left, "right")  # first age beyond its watch
    watched = np.cumsum(
        np.bincount(enter, minlength=size + 1)[:size]
        - np.bincount(leave, minlength=size + 1)[:size]
    )
    last = np.where(leave > 0, expected[np.maximum(leave - 1, 0)], 0.0)
    gone = np.maximum(last - base, 0.0)  # expectation of a unit that left
    total = np.bincount(u, w, minlength=len(joined))
    here = by_age_padded(leave, size)
    b_here = _watched_sum(base, enter, leave, size)
    bb_here = _watched_sum(base * base, enter, leave, size)
    f_gone, fb_gone, fg_gone, gg_gone = (
        here(v) for v in (total, total * base, total * gone, gone * gone)
    )
    f_here, fb_here = sum_f - f_gone, sum_fb - fb_gone
    e = expected
    squares_e = watched * e * e - 2 * e * b_here + bb_here + gg_gone
    cross = e * f_here - fb_here + fg_gone
    return np.maximum(squares_f - 2 * cross + squares_e, 0.0)


def by_age_padded(places: np.ndarray, size: int):  # type: ignore[no-untyped-def]
    """Running sums over ages of what happened at `places`; what lies beyond the last is left out."""

    def run(values: np.ndarray) -> np.ndarray:
        return np.cumsum(np.bincount(places, values, minlength=size + 1)[:size])

    return run


def _watched_sum(values: np.ndarray, enter: np.ndarray, leave: np.ndarray, size: int) -> np.ndarray:
    came = np.bincount(enter, values, minlength=size + 1)[:size]
    went = np.bincount(leave, values, minlength=size + 1)[:size]
    return np.cumsum(came - went)


def wilson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float, float]:
    """A share with Wilson's limits: relapses within 30 days, precision, recall (D-2, D-5)."""
    if trials <= 0:
        raise ValueError(f"a share needs trials, got {trials}")
    z = stats.norm.ppf((1 + level) / 2)
    share = hits / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    )
    return share, float(middle - half), float(middle + half)
