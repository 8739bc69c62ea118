"""Does a sign foretell a failure? Time after it against time without it (D-5).

Exposure starts at the sign, never at the window's start: time that a node lived to show the sign
is not time under its shadow.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from transforms.comparison import RateRatio, rate_ratio
from transforms.reliability.recurrence import wilson


@dataclass(frozen=True)
class Precursor:
    """How much likelier a failure is in the window after the sign, and what acting on it buys.

    `p_failure` is that within the window; times in days, rates per node-day.
    """

    ratio: RateRatio
    exposed_failures: int
    exposed_days: float
    p_failure: float
    drains_per_failure: float
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    alarms_per_node_month: float
    lead_median: float
    lead_p10: float
    alarms: int
    alarms_hit: int
    failures_in_time: int


def person_time(
    failures_after: int,
    days_after: float,
    failures_without: int,
    days_without: float,
    window: float,
) -> tuple[RateRatio, float, float]:
    """Rate ratio, probability of a failure within `window` days of the sign, drains per failure.

    Where there is only one kind of time nothing is compared: nan within (0, inf), p = 1.
    """
    if days_after <= 0 or days_without <= 0:
        return RateRatio(math.nan, 0.0, math.inf, 1.0), math.nan, math.inf
    ratio = rate_ratio(failures_after, days_after, failures_without, days_without)
    p = -math.expm1(-failures_after / days_after * window)
    return ratio, p, 1 / p if p else math.inf


def precursor(
    sign_node: ArrayLike,
    sign_at: ArrayLike,
    failure_node: ArrayLike,
    failure_at: ArrayLike,
    node_entry: ArrayLike,
    node_exit: ArrayLike,
    window: float = 7.0,
    lead_needed: float = 0.0,
    level: float = 0.95,
) -> Precursor:
    """Judge a sign over a fleet; nodes are indices into `node_entry` and `node_exit` (days).

    Overlapping windows of one node merge. A failure within `lead_needed` days of the sign was
    not foretold in time: it is no hit of recall or precision, though it stays in the rates.
    """
    seen = Shadows.of(sign_node, sign_at, failure_node, failure_at, node_entry, node_exit, window)
    return seen.judged(lead_needed, level)


@dataclass(frozen=True)
class Shadows:
    """Signs in order of node and time, the time under each, and which failures fell into it.

    place  of each failure, the last sign at or before it; lead: time since its episode's first
    """

    window: float
    node: np.ndarray
    under: np.ndarray
    opens: np.ndarray
    failure_node: np.ndarray
    place: np.ndarray
    lead: np.ndarray
    foretold: np.ndarray
    entry: np.ndarray
    leave: np.ndarray

    @staticmethod
    def of(
        sign_node: ArrayLike,
        sign_at: ArrayLike,
        failure_node: ArrayLike,
        failure_at: ArrayLike,
        node_entry: ArrayLike,
        node_exit: ArrayLike,
        window: float,
    ) -> "Shadows":
        entry, leave = np.asarray(node_entry, np.float64), np.asarray(node_exit, np.float64)
        sn, st = np.asarray(sign_node, np.int64), np.asarray(sign_at, np.float64)
        fn, ft = np.asarray(failure_node, np.int64), np.asarray(failure_at, np.float64)
        watched = (st >= entry[sn]) & (st < leave[sn])
        sn, st = sn[watched], st[watched]
        order = np.lexsort((st, sn))
        sn, st = sn[order], st[order]
        ends = np.minimum(st + window, leave[sn])
        following = np.append(np.where(sn[1:] == sn[:-1], st[1:], np.inf), np.inf)[: len(st)]
        under = np.maximum(np.minimum(ends, following) - st, 0)
        # The first sign of an episode is the alarm; those inside its shadow repeat it.
        opens = np.append(True, (sn[1:] != sn[:-1]) | (st[1:] > st[:-1] + window))[: len(st)]
        place, lead, foretold = _lead(sn, st, fn, ft, opens, window)
        return Shadows(window, sn, under, opens, fn, place, lead, foretold, entry, leave)

    def judged(self, lead_needed: float, level: float) -> Precursor:
        """See `precursor`."""
        exposed, whole = float(self.under.sum()), float((self.leave - self.entry).sum())
        failures, lead = len(self.failure_node), self.lead[self.foretold]
        inside, alarms = int(self.foretold.sum()), int(self.opens.sum())
        ratio, p, drains = person_time(
            inside, exposed, failures - inside, whole - exposed, self.window
        )
        timely = self.foretold & (self.lead > lead_needed)
        is_hit = np.zeros(alarms, bool)
        is_hit[np.cumsum(self.opens)[self.place[timely]] - 1] = True
        hit, in_time = int(is_hit.sum()), int(timely.sum())
        return Precursor(
            ratio=ratio,
            exposed_failures=inside,
            exposed_days=exposed,
            p_failure=p,
            drains_per_failure=drains,
            precision=wilson(hit, alarms, level),
            recall=wilson(in_time, failures, level),
            alarms_per_node_month=alarms / whole * 30.4375,
            lead_median=float(np.median(lead)) if inside else math.nan,
            lead_p10=float(np.quantile(lead, 0.1)) if inside else math.nan,
            alarms=alarms,
            alarms_hit=hit,
            failures_in_time=in_time,
        )

    def pooled(self, stratum_of_node: ArrayLike, level: float) -> tuple[float, float, float]:
        """See `adjusted`."""
        strata = np.unique(np.asarray(stratum_of_node), return_inverse=True)[1]
        size = int(strata.max(initial=-1)) + 1
        under = np.bincount(strata[self.node], self.under, minlength=size)
        whole = np.bincount(strata, self.leave - self.entry, minlength=size)
        failed = strata[self.failure_node]
        inside = np.bincount(failed[self.foretold], minlength=size).astype(float)
        outside = np.bincount(failed, minlength=size) - inside
        return mantel_haenszel(inside, under, outside, whole - under, level)


def adjusted(
    stratum_of_node: ArrayLike,
    sign_node: ArrayLike,
    sign_at: ArrayLike,
    failure_node: ArrayLike,
    failure_at: ArrayLike,
    node_entry: ArrayLike,
    node_exit: ArrayLike,
    window: float = 7.0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """The rate ratio of `precursor` pooled over strata (Mantel-Haenszel), with its limits.

    The variance is that of Greenland and Robins 1985. nan where no stratum has both kinds of time
    and failures in each.
    """
    seen = Shadows.of(sign_node, sign_at, failure_node, failure_at, node_entry, node_exit, window)
    return seen.pooled(stratum_of_node, level)


def mantel_haenszel(
    failures_1: ArrayLike,
    exposure_1: ArrayLike,
    failures_2: ArrayLike,
    exposure_2: ArrayLike,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Rate 1 over rate 2 pooled over strata, with limits; arrays by stratum."""
    a, t1, b, t2 = (
        np.asarray(v, np.float64) for v in (failures_1, exposure_1, failures_2, exposure_2)
    )
    both = (t1 > 0) & (t2 > 0)
    a, t1, b, t2 = a[both], t1[both], b[both], t2[both]
    first, second = float((a * t2 / (t1 + t2)).sum()), float((b * t1 / (t1 + t2)).sum())
    if not first or not second:
        return math.nan, math.nan, math.nan
    variance = float(((a + b) * t1 * t2 / (t1 + t2) ** 2).sum()) / (first * second)
    spread = math.exp(float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(variance))
    ratio = first / second
    return ratio, ratio / spread, ratio * spread


def _packed(node: np.ndarray, at: np.ndarray, span: float) -> np.ndarray:
    return node * span + at


def _lead(
    sn: np.ndarray, st: np.ndarray, fn: np.ndarray, ft: np.ndarray, opens: np.ndarray, window: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The last sign before each failure, the time since the first of its episode, and whether
    that sign shadows the failure."""
    if not len(sn) or not len(fn):
        return np.zeros(len(fn), np.int64), np.full(len(fn), np.nan), np.zeros(len(fn), bool)
    low = min(st.min(), ft.min())
    span = max(st.max(), ft.max()) - low + 2 * window + 1
    signs = _packed(sn, st - low, span)
    place = np.searchsorted(signs, _packed(fn, ft - low, span), "right") - 1
    safe = np.maximum(place, 0)
    shadowed = (place >= 0) & (sn[safe] == fn) & (ft - st[safe] <= window)
    first = np.maximum.accumulate(np.where(opens, np.arange(len(sn)), 0))
    return safe, ft - st[first[safe]], shadowed
