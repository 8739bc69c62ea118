"""Do nodes of one rack, switch or cooling loop fail together? (D-4)"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def expected_pairs(domains: int, nodes_each: int, gap: float, time: float, rate: float) -> float:
    """Pairs of different nodes of one domain that fail within `gap`, if all fail independently.

    gap, time and rate in one unit of time (days, days, per node-day).
    """
    return domains * math.comb(nodes_each, 2) * 2 * gap * time * rate**2


def pairs_p(observed: int, expected: float) -> float:
    """Probability of as many pairs or more by chance."""
    return float(stats.poisson.sf(observed - 1, expected))


def pairs_within(domain: ArrayLike, node: ArrayLike, at: ArrayLike, gap: float) -> np.ndarray:
    """How many pairs of different nodes of one domain failed within `gap`, for each domain.

    domain, node  integers from 0; at  times in the unit of gap. Gives an array by domain number.
    """
    d, k, t = (np.asarray(v) for v in (domain, node, at))
    order = np.lexsort((k, t, d))
    d, k, t = d[order].astype(np.int64), k[order], t[order].astype(np.float64)
    counts = np.zeros(int(d.max()) + 1 if len(d) else 0, np.int64)
    # Few failures follow one another so closely: shift by 1, 2, ... until no pair is left.
    for shift in range(1, len(d)):
        near = (d[shift:] == d[:-shift]) & (t[shift:] - t[:-shift] <= gap)
        if not near.any():
            break
        other = near & (k[shift:] != k[:-shift])
        counts += np.bincount(d[shift:][other], minlength=len(counts))
    return counts


def bursts(
    domain: ArrayLike, node: ArrayLike, at: ArrayLike, gap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Domain and number of nodes of each burst: failures of one domain with at most `gap` between
    neighbours. Bursts of one node are left out.
    """
    d, k, t = (np.asarray(v) for v in (domain, node, at))
    if not len(d):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = _by_domain(d, t)
    d, k, t = d[order].astype(np.int64), k[order].astype(np.int64), t[order]
    opens = np.append(True, (d[1:] != d[:-1]) | (t[1:] - t[:-1] > gap))
    chain = np.cumsum(opens) - 1
    several = np.bincount(chain)[chain] > 1  # most failures come alone
    width = int(k.max()) + 1
    members = np.unique(chain[several] * width + k[several]) // width
    sizes = np.bincount(members, minlength=int(chain[-1]) + 1)
    wide = sizes > 1
    return d[opens][wide], sizes[wide]


def _by_domain(domain: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The order by domain, then time; numbers of two bytes are sorted in one pass."""
    if np.any(at[1:] < at[:-1]):
        return np.lexsort((at, domain))
    small = domain.astype(np.uint16) if domain.max() < 2**16 else domain
    return np.argsort(small, kind="stable")


def benjamini_hochberg(p: ArrayLike, rate: float = 0.1) -> np.ndarray:
    """Which of many tests stand out, with the share of false ones among them held at `rate`."""
    values = np.asarray(p, np.float64)
    if not len(values):
        return np.zeros(0, bool)
    order = np.argsort(values)
    limits = rate * np.arange(1, len(values) + 1) / len(values)
    passed = np.flatnonzero(values[order] <= limits)
    told = np.zeros(len(values), bool)
    if len(passed):
        told[order[: passed[-1] + 1]] = True
    return told


def expected_loss(shares: ArrayLike, gpus: ArrayLike, hours: ArrayLike) -> float:
    """GPU-hours that a failure costs on average, over the domains it may take with it (D-3)."""
    return float(np.sum(np.asarray(shares) * np.asarray(gpus) * np.asarray(hours)))
