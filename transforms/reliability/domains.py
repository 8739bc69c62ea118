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
    """Pairs seen in all domains of one kind, against nodes shuffled among them.

    pairs, usual, p           over all domains: seen, mean of the draws, share of draws with as many
    domain_pairs, domain_p    by domain number
    is_dependent, usual_dependence   by failure: has a partner in its domain; share of draws it had
    """

    pairs: int
    usual: float
    p: float
    domain_pairs: np.ndarray
    domain_p: np.ndarray
    is_dependent: np.ndarray
    usual_dependence: np.ndarray


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
    domain. `domain_p` is each domain's own p, to be judged together (`benjamini_hochberg`):
    domains of the same make-up are alike under the shuffle, so they share their draws, without
    which no p could be small enough to stand out among hundreds.
    """
    home = np.asarray(domain_of_node, np.int64)
    who, when = np.asarray(node, np.int64), np.asarray(at, np.float64)
    strata = (
        np.zeros(len(home), np.int64)
        if stratum_of_node is None
        else np.unique(np.asarray(stratum_of_node), return_inverse=True)[1]
    )
    # All pairs that lie near in time, whoever they are: the only ones that a shuffle can join.
    one, other = _near(who, when, gap)
    left, right = who[one], who[other]
    size = int(home.max()) + 1 if len(home) else 0
    together = home[left] == home[right]
    seen = np.bincount(home[left][together], minlength=size)
    alike, kinds = _alike(home, strata, size)
    ceiling = int(seen.max(initial=0)) + 1
    tally = np.zeros((kinds, ceiling + 1), np.int64)
    by_stratum = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    total_hits, usual = 0, 0.0
    chance = np.zeros(len(who))
    for _ in range(draws):
        placed = home.copy()
        for members in by_stratum:
            placed[members] = home[rng.permutation(members)]
        same = placed[left] == placed[right]
        drawn = np.bincount(placed[left][same], minlength=size)
        usual += drawn.sum() / draws
        total_hits += int(drawn.sum() >= seen.sum())
        np.add.at(tally, (alike, np.minimum(drawn, ceiling)), 1)
        chance += _joined(len(who), one[same], other[same])
    as_many = np.cumsum(tally[:, ::-1], axis=1)[:, ::-1]
    drawn_in_all = as_many[alike, 0]
    return CoFailure(
        pairs=int(seen.sum()),
        usual=float(usual),
        p=(1 + total_hits) / (draws + 1),
        domain_pairs=seen,
        domain_p=np.where(seen > 0, (1 + as_many[alike, seen]) / (1 + drawn_in_all), 1.0),
        is_dependent=_joined(len(who), one[together], other[together]),
        usual_dependence=chance / draws,
    )


def _alike(home: np.ndarray, strata: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Number the make-up of each domain (how many nodes of which stratum), and how many there are."""
    cells, counts = np.unique(np.stack([home, strata]), axis=1, return_counts=True)
    order = np.lexsort((cells[1], cells[0]))
    made: dict[int, list[tuple[int, int]]] = {}
    for domain, stratum, count in zip(*cells[:, order], counts[order], strict=True):
        made.setdefault(int(domain), []).append((int(stratum), int(count)))
    numbers: dict[tuple, int] = {}
    alike = np.array(
        [numbers.setdefault(tuple(made.get(d, ())), len(numbers)) for d in range(size)], np.int64
    )
    return alike, len(numbers)


def _joined(failures: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """True for each failure that is on either side of a pair."""
    marked = np.zeros(failures, bool)
    marked[one] = True
    marked[other] = True
    return marked


def _near(node: np.ndarray, at: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of both failures of every pair of different nodes at most `gap` apart."""
    order = np.lexsort((node, at))
    k, t = node[order], at[order]
    ones, others = [], []
    for shift in range(1, len(k)):
        near = t[shift:] - t[:-shift] <= gap
        if not near.any():
            break
        near &= k[shift:] != k[:-shift]
        ones.append(order[:-shift][near])
        others.append(order[shift:][near])
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *ones]), np.concatenate([empty, *others])


def bursts(domain: ArrayLike, node: ArrayLike, at: ArrayLike, gap: float) -> list[tuple[int, int]]:
    """(domain, nodes) of each burst: failures of one domain with at most `gap` between neighbours.

    Bursts of one node are left out.
    """
    d, k, t = (np.asarray(v) for v in (domain, node, at))
    if not len(d):
        return []
    order = np.lexsort((t, d))
    d, k, t = d[order], k[order], t[order]
    opens = np.append(True, (d[1:] != d[:-1]) | (t[1:] - t[:-1] > gap))
    chain = np.cumsum(opens) - 1
    members = np.unique(np.stack([chain, k]), axis=1)
    sizes = np.bincount(members[0])
    homes = d[opens]
    return [(int(homes[c]), int(sizes[c])) for c in np.flatnonzero(sizes > 1)]


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
