"""Does something that is repaired get better or worse? Trend tests on its failure times (R-10).

Times are cumulative operation (node-days, hours at risk), not the calendar, wherever exposure is
not constant. `growth slope` is the power-law exponent of Crow-AMSAA: below 1 failures thin out,
above 1 they crowd. It is not the shape of a Weibull life.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats
from scipy.special import gammainc

Truncation = Literal["time", "failure"]
FEWEST = 4
"""Failures below which a trend test has next to no power."""


@dataclass(frozen=True)
class Trend:
    """Laplace's U with p, MIL-HDBK-189's chi-square with p, and the Crow-AMSAA power law."""

    failures: int
    laplace_u: float
    laplace_p: float
    chi_square: float
    freedom: int
    mil_p: float
    growth_slope: float
    unbiased_slope: float
    slope_lo: float
    slope_hi: float
    scale: float
    mtbf_now: float
    mtbf_average: float

    @property
    def reading(self) -> str:
        """What may be said: nothing, unless the slope's interval leaves 1 out."""
        if self.slope_hi < 1:
            return "improving"
        return "worsening" if self.slope_lo > 1 else "no evidence of a trend"


def trend(
    times: ArrayLike, until: float, stopped_by: Truncation = "time", level: float = 0.95
) -> Trend:
    """Test one system's failure `times` in (0, until]; stopped by failure: `until` is the last.

    Raises ValueError on fewer than 2 failures (3 when stopped by failure) or times outside.
    """
    t = np.sort(np.asarray(times, np.float64))
    if stopped_by == "failure":
        until = float(t[-1]) if len(t) else until
    if len(t) < (3 if stopped_by == "failure" else 2):
        raise ValueError(f"a trend needs more failures, got {len(t)}")
    if t[0] <= 0 or t[-1] > until:
        raise ValueError(f"failure times must lie in (0, {until:g}], got {t[0]:g} to {t[-1]:g}")
    n = len(t)
    inside = t[:-1] if stopped_by == "failure" else t
    counted = len(inside)
    u = (inside.mean() - until / 2) / (until / math.sqrt(12 * counted))
    logs = float(np.log(until / inside).sum())
    freedom = 2 * counted
    slope = n / logs
    low, high = (stats.chi2.ppf(p, freedom) for p in ((1 - level) / 2, (1 + level) / 2))
    return Trend(
        failures=n,
        laplace_u=float(u),
        laplace_p=float(2 * stats.norm.sf(abs(u))),
        chi_square=2 * logs,
        freedom=freedom,
        mil_p=float(
            min(1.0, 2 * min(stats.chi2.sf(2 * logs, freedom), stats.chi2.cdf(2 * logs, freedom)))
        ),
        growth_slope=slope,
        unbiased_slope=slope * ((n - 1) if stopped_by == "time" else (n - 2)) / n,
        slope_lo=slope * low / (2 * n),
        slope_hi=slope * high / (2 * n),
        scale=n / until**slope,
        mtbf_now=until / (n * slope),
        mtbf_average=until / n,
    )


def pooled(times: ArrayLike, until: float, level: float = 0.95) -> Trend:
    """One trend for many systems watched over one window (0, until]: all their times together.

    Under no trend each time is uniform on the window, whoever failed, so the pooled statistics
    keep their laws; `mtbf_*` are then of the pool, in its members' common time.
    """
    return trend(times, until, "time", level)


def slope_limits(found: Trend, phi: float = 1.0, level: float = 0.95) -> tuple[float, float]:
    """Limits of a time-truncated growth slope; `phi` times the variance of chance widens them."""
    freedom = 2 * found.failures / phi
    low, high = (float(stats.chi2.ppf(p, freedom)) for p in ((1 - level) / 2, (1 + level) / 2))
    return found.growth_slope * low / freedom, found.growth_slope * high / freedom


def mtbf_now_limits(found: Trend, phi: float = 1.0, level: float = 0.95) -> tuple[float, float]:
    """Limits of the MTBF at the end of a time-truncated window, unit of `until`.

    The present rate is the count times the slope over `until`. Count and slope are independent:
    gamma laws of about n and n degrees stand for what each leaves open, and their product's
    quantiles are found by quadrature. Coverage is nominal to a point from about 5 failures on.
    """
    size = found.failures / phi
    steps = (np.arange(400) + 0.5) / 400
    count = stats.gamma.ppf(steps, size + 0.5) / size

    def edge(share: float) -> float:
        def short(ratio: float) -> float:
            return float(gammainc(size, size * ratio / count).mean()) - share

        return float(optimize.brentq(short, 1e-9, 1e3))

    return found.mtbf_now / edge((1 + level) / 2), found.mtbf_now / edge((1 - level) / 2)
