"""Do nodes of one rack, switch or cooling loop fail together? (D-4)"""

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class CoFailure:
    """Pairs seen in all domains of one kind, against nodes shuffled among them."""

    pairs: int
    usual: float
    p: float
    domain_p: np.ndarray


def shuffled(
    domain_of_node: ArrayLike,
    node: ArrayLike,
    at: ArrayLike,
    gap: float,
    rng: np.random.Generator,
    stratum_of_node: ArrayLike | None = None,
    draws: int = 2000,
) -> CoFailure:
    """Test pairs by shuffling which node sits in which domain, within strata (model, hall).

    Each node keeps its own times, so unequal rates and a fleet-wide burst do not count against a
    domain. `domain_p` is each domain's own p, to be judged together (`benjamini_hochberg`).
    """
    home = np.asarray(domain_of_node, np.int64)
    who, when = np.asarray(node, np.int64), np.asarray(at, np.float64)
    strata = (
        np.zeros(len(home), np.int64) if stratum_of_node is None else np.asarray(stratum_of_node)
    )
    # All pairs that lie near in time, whoever they are: the only ones that a shuffle can join.
    left, right = _near(who, when, gap)
    size = int(home.max()) + 1 if len(home) else 0
    seen = np.bincount(home[left][home[left] == home[right]], minlength=size)
    by_stratum = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    total_hits, usual = 0, 0.0
    hits = np.zeros(size, np.int64)
    for _ in range(draws):
        placed = home.copy()
        for members in by_stratum:
            placed[members] = home[rng.permutation(members)]
        a, b = placed[left], placed[right]
        drawn = np.bincount(a[a == b], minlength=size)
        usual += drawn.sum() / draws
        total_hits += int(drawn.sum() >= seen.sum())
        hits += drawn >= seen
    return CoFailure(
        pairs=int(seen.sum()),
        usual=float(usual),
        p=(1 + total_hits) / (draws + 1),
        domain_p=np.where(seen > 0, (1 + hits) / (draws + 1), 1.0),
    )


def _near(node: np.ndarray, at: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((node, at))
    k, t = node[order], at[order]
    ones, others = [], []
    for shift in range(1, len(k)):
        near = t[shift:] - t[:-shift] <= gap
        if not near.any():
            break
        near &= k[shift:] != k[:-shift]
        ones.append(k[:-shift][near])
        others.append(k[shift:][near])
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *ones]), np.concatenate([empty, *others])


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
