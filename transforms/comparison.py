"""Did a rate change? Two counts over two exposures, compared exactly (methods R-8)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import bdtr, bdtrc, betaincinv, gammaln, xlog1py, xlogy

FEW_TRIALS = 1000


@dataclass(frozen=True)
class RateRatio:
    """rate 1 over rate 2 with its exact interval; nan or inf where a count is zero."""

    ratio: float
    low: float
    high: float
    p: float

    @property
    def is_evidence(self) -> bool:
        """True when the interval leaves 1 out: only then may a report speak of a change."""
        return self.low > 1 or self.high < 1


def rate_ratio(
    failures_1: int, exposure_1: float, failures_2: int, exposure_2: float, level: float = 0.95
) -> RateRatio:
    """Compare two rates; exposures in the same unit (node-days), > 0.

    Given the total, the first count is binomial under equal rates; the interval transforms its
    Clopper-Pearson limits, the p value is the exact two-sided binomial one.
    """
    if exposure_1 <= 0 or exposure_2 <= 0:
        raise ValueError(f"exposures must be positive, got {exposure_1} and {exposure_2}")
    total = failures_1 + failures_2
    if total == 0:
        return RateRatio(math.nan, 0.0, math.inf, 1.0)
    tail = (1 - level) / 2
    # Quantiles of the beta law, without the checks that cost more than they do.
    low = float(betaincinv(failures_1, failures_2 + 1, tail)) if failures_1 else 0.0
    high = float(betaincinv(failures_1 + 1, failures_2, 1 - tail)) if failures_2 else 1.0
    scale = exposure_2 / exposure_1
    share = exposure_1 / (exposure_1 + exposure_2)
    return RateRatio(
        ratio=_odds(failures_1 / total) * scale,
        low=_odds(low) * scale,
        high=_odds(high) * scale,
        p=two_sided(failures_1, total, share),
    )


def two_sided(hits: int, trials: int, share: float) -> float:
    """p of the exact two-sided binomial test: the chance of all counts no likelier than `hits`.

    scipy's `binomtest` says the same in a hundred times the time, and is asked for many trials.
    """
    if trials > FEW_TRIALS:
        return float(stats.binomtest(hits, trials, share).pvalue)
    counts = np.arange(trials + 1)
    logs = gammaln(trials + 1) - gammaln(counts + 1) - gammaln(trials - counts + 1)
    law = logs + xlogy(counts, share) + xlog1py(trials - counts, -share)
    # Equally likely counts may differ in their last bits.
    likelier = np.flatnonzero(law > law[hits] + 1e-7)
    if not len(likelier):
        return 1.0
    low, high = float(likelier[0]), float(likelier[-1])
    fewer = float(bdtr(low - 1, trials, share)) if low else 0.0
    return min(1.0, fewer + float(bdtrc(high, trials, share)))


def surprise(seen: int, expected: float) -> float:
    """Probability of as many failures or more where `expected` is known well (R-8).

    A baseline of few weeks is not known well: use `projection.next_count` then.
    """
    return float(stats.poisson.sf(seen - 1, expected))


def smallest_detectable_change(failures: int) -> float:
    """Smallest fall in a rate that a second period of equal exposure could show, as a share.

    80 % power, 5 % two-sided, from `failures` in the base period; 1.0 when even silence would
    not show. Inverts events = 7.849 (1 + 1/RR) / ln(RR)^2 by bisection.
    """
    # Below a ninth the formula turns: its normal approximation no longer means anything there.
    low, high = 0.11, 1 - 1e-9
    if failures < _events_needed(low):
        return 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _events_needed(middle) <= failures else (low, middle)
    return 1 - low


def _events_needed(ratio: float) -> float:
    return 7.849 * (1 + 1 / ratio) / math.log(ratio) ** 2


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else math.inf
