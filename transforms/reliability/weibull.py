"""Does the hazard rise or fall with age? Weibull lives, censored and truncated (R-9).

S(t) = exp(-(t / scale) ** shape). A shape below 1 tells early failures, or a mixture of weak and
strong units, although none improves with age; above 1 tells wear-out. Times between failures of
something that is repaired are not lives: test them for trend first (`trends`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

FEWEST_ENDS = 10
"""Ends below which no fit is worth showing."""
FEWEST_FOR_LIMITS = 30
"""Ends below which the limits are no more than indicative."""
SHAPES = (1e-3, 1e3)


@dataclass(frozen=True)
class Weibull:
    """A fitted law; `scale` and `mean` in the caller's unit, limits are of the shape.

    `p_memoryless` is the likelihood-ratio test against a constant hazard (shape 1).
    """

    shape: float
    shape_lo: float
    shape_hi: float
    scale: float
    mean: float
    log_likelihood: float
    ratio: float
    p_memoryless: float
    ends: int

    @property
    def reading(self) -> str:
        if self.shape_hi < 1:
            return "early failures, or weak units among strong ones"
        if self.shape_lo > 1:
            return "wear-out"
        return "no evidence against a constant hazard"


class _Profile:
    """Log-likelihood and its slope by log shape, the scale being the best one for that shape."""

    def __init__(self, exits: np.ndarray, ends: np.ndarray, entries: np.ndarray) -> None:
        self.unit = float(exits.max())
        self.count = int(ends.sum())
        late = entries > 0  # the others lived from age 0 on
        exits = np.log(exits / self.unit)
        self.logs = float(exits[ends].sum())
        self.whole, self.exits = exits[~late], exits[late]
        self.entries = np.log(entries[late] / self.unit)

    def _sums(self, shape: float) -> tuple[float, float]:
        """Sum of age ** shape lived under watch, and of it times log age."""
        lived, gone, before = (np.exp(shape * v) for v in (self.whole, self.exits, self.entries))
        weighted = float((lived * self.whole).sum())
        weighted += float((gone * self.exits - before * self.entries).sum())
        return float(lived.sum()) + float((gone - before).sum()), weighted

    def value(self, shape: float) -> float:
        lived, _ = self._sums(shape)
        d = self.count
        inner = d * math.log(shape) + (shape - 1) * self.logs - d * math.log(lived / d) - d
        return inner - d * math.log(self.unit)

    def slope(self, shape: float) -> float:
        lived, weighted = self._sums(shape)
        return self.count / shape + self.logs - self.count * weighted / lived

    def scale(self, shape: float) -> float:
        return self.unit * (self._sums(shape)[0] / self.count) ** (1 / shape)


def fit(
    exits: ArrayLike, is_end: ArrayLike, entries: ArrayLike | None = None, level: float = 0.95
) -> Weibull:
    """Maximum likelihood with profile-likelihood limits of the shape.

    Needs two ends at different ages > 0, else ValueError; below FEWEST_ENDS a caller should show
    none. Units that end at age 0 lived no measurable time and are refused.
    """
    left, ends = np.asarray(exits, np.float64), np.asarray(is_end, bool)
    joined = np.zeros_like(left) if entries is None else np.asarray(entries, np.float64)
    if not (left > joined).all():
        raise ValueError("every unit must leave after it entered, at an age above 0")
    if len(np.unique(left[ends])) < 2:
        raise ValueError(f"a Weibull needs ends at two ages, got {int(ends.sum())} ends")
    profile = _Profile(left, ends, joined)
    shape = optimize.brentq(profile.slope, *_bracket(profile), xtol=1e-15, rtol=1e-14)
    best = profile.value(shape)
    drop = stats.chi2.ppf(level, 1) / 2

    def short(other: float) -> float:
        return profile.value(other) - best + drop

    lo = optimize.brentq(short, SHAPES[0], shape, xtol=1e-14) if short(SHAPES[0]) < 0 else 0.0
    upper = shape
    while short(upper) > 0 and upper < SHAPES[1]:
        upper *= 2
    hi = optimize.brentq(short, shape, upper, xtol=1e-14) if short(upper) < 0 else math.inf
    scale = profile.scale(shape)
    ratio = max(0.0, 2 * (best - profile.value(1.0)))
    return Weibull(
        shape=shape,
        shape_lo=lo,
        shape_hi=hi,
        scale=scale,
        mean=scale * math.gamma(1 + 1 / shape),
        log_likelihood=best,
        ratio=ratio,
        p_memoryless=float(stats.chi2.sf(ratio, 1)),
        ends=profile.count,
    )


def _bracket(profile: _Profile) -> tuple[float, float]:
    """Shapes between which the slope changes its sign; it falls all the way."""
    low = high = 1.0
    while profile.slope(low) < 0 and low > SHAPES[0]:
        low /= 2
    while profile.slope(high) > 0 and high < SHAPES[1]:
        high *= 2
    return low, high
