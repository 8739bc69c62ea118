"""How long repairs take: heavy-tailed times, some of them still running (methods R-7).

A mean alone misleads, so it stands beside the median, p90, the count and the share still open.
An open repair is right-censored: it has lasted at least so long. Quantiles come from the
Kaplan-Meier curve, the lognormal fit from the censored likelihood; neither drops it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

SAME = 1e-12  # survival probabilities closer than this are equal


@dataclass(frozen=True)
class RepairTimes:
    """Times in the unit given; nan where the data cannot say.

    mean            of the closed ones: too short whenever some are open
    median, p90     Kaplan-Meier, nan where more than that share is still open
    log_mean, log_sd, lognormal_mean, lognormal_p90   lognormal fit by maximum likelihood
    empty           repairs of no length; they count, but have no logarithm
    """

    n: int
    open: int
    empty: int
    mean: float
    median: float
    p90: float
    log_mean: float
    log_sd: float
    lognormal_mean: float
    lognormal_p90: float

    @property
    def open_share(self) -> float:
        return self.open / self.n if self.n else math.nan


def repair_times(times: Sequence[float], is_open: Sequence[bool] | None = None) -> RepairTimes:
    """Summarise repair times >= 0; where `is_open` is true the repair had only lasted so long."""
    lasted = np.asarray(times, dtype=np.float64)
    censored = np.zeros(len(lasted), bool) if is_open is None else np.asarray(is_open, dtype=bool)
    closed = lasted[~censored]
    log_mean, log_sd = _lognormal(lasted, censored)
    return RepairTimes(
        n=len(lasted),
        open=int(censored.sum()),
        empty=int((lasted == 0).sum()),
        mean=float(closed.mean()) if len(closed) else math.nan,
        median=quantile(0.5, lasted, censored),
        p90=quantile(0.9, lasted, censored),
        log_mean=log_mean,
        log_sd=log_sd,
        lognormal_mean=math.exp(log_mean + log_sd**2 / 2),
        lognormal_p90=math.exp(log_mean + log_sd * float(stats.norm.ppf(0.9))),
    )


def quantile(share: float, times: np.ndarray, censored: np.ndarray) -> float:
    """Kaplan-Meier quantile: the first time by which `share` of the repairs had ended.

    Where the curve runs level exactly there, the middle of the level piece, as the sample median
    of an even count is; nan where the curve never comes down so far.
    """
    ends = np.unique(times[~censored])
    if not len(ends):
        return math.nan
    ordered = np.sort(times)
    at_risk = len(times) - np.searchsorted(ordered, ends, "left")
    ended = np.searchsorted(np.sort(times[~censored]), ends, "right")
    ended = np.diff(ended, prepend=0)
    left = np.cumprod(1 - ended / at_risk) - (1 - share)
    if not (reached := np.flatnonzero(left <= SAME)).size:
        return math.nan
    first = reached[0]
    if abs(left[first]) <= SAME and first + 1 < len(ends):
        return float((ends[first] + ends[first + 1]) / 2)
    return float(ends[first])


def _lognormal(times: np.ndarray, censored: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of log time by maximum likelihood, times of 0 left out."""
    some = times > 0
    logs, is_open = np.log(times[some]), censored[some]
    if not len(logs) or is_open.all():
        return math.nan, math.nan
    if not is_open.any():
        return float(logs.mean()), float(logs.std())
    data = stats.CensoredData(uncensored=logs[~is_open], right=logs[is_open])
    log_mean, log_sd = stats.norm.fit(data)
    return float(log_mean), float(log_sd)
