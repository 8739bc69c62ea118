"""Do failures of one domain keep more company than chance gives them (D-4)?

Nodes are shuffled among the domains of their stratum (model, hall), each with its own times, and
the pairs of near failures that a domain then holds are counted again, by the cheapest of the ways
in `shuffle_counts`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from transforms.reliability.draws import below, seed_of, upper_halves
from transforms.reliability.shuffle_counts import Failures, Ints, Seats, counter

BLOCK = 200
"""Draws held at once."""
ENOUGH = 40
"""Draws as strange as the data after which it is dull for certain."""
ENOUGH_OF_ONE = 20
"""The same of a single domain, whose p is judged among hundreds."""
FEW_PLACES = 500_000
"""Nodes placed in all draws up to which no compiled code is worth its loading."""
FEW_NEAR = 2_000_000
"""Near pairs up to which no compiled code is worth its loading."""


@dataclass(frozen=True)
class CoFailure:
    """Pairs seen in all domains of one kind, against nodes shuffled among them.

    pairs, usual, p           over all domains: seen, mean of the draws, share of draws with as many
    domain_pairs, domain_p    by domain number
    is_dependent, usual_dependence   by failure: has a partner in its domain; chance that it had
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
    which no p could be small enough to stand out among hundreds. Drawing stops before `draws` once
    all domains together were as strange as what was seen ENOUGH times, and each alone
    ENOUGH_OF_ONE times (Besag and Clifford 1991).
    """
    home = np.asarray(domain_of_node, np.int64)
    strata = np.zeros(len(home), np.int64) if stratum_of_node is None else stratum_of_node
    seats = Seats(home, np.unique(np.asarray(strata), return_inverse=True)[1])
    failures = Failures.of(np.asarray(node, np.int64), np.asarray(at, np.float64), gap)
    count = counter(seats, failures, draws)
    seen = count(home[None, :].astype(np.int32))[0]
    alike, kinds = _alike(seats)
    ceiling = int(seen.max(initial=0)) + 1
    tally = np.zeros(kinds * (ceiling + 1), np.int64)
    hits, total, made = 0, 0, 0
    as_many = np.zeros((kinds, ceiling + 1), np.int64)
    while made < draws and (
        hits < ENOUGH or (as_many[alike, seen] < ENOUGH_OF_ONE)[seen > 0].any()
    ):
        drawn = count(placements(seats, rng, min(BLOCK, draws - made)))
        made += len(drawn)
        sums = drawn.sum(axis=1)
        total += int(sums.sum())
        hits += int((sums >= seen.sum()).sum())
        cell = alike * (ceiling + 1) + np.minimum(drawn, ceiling)
        tally += np.bincount(cell.ravel(), minlength=len(tally))
        as_many = np.cumsum(tally.reshape(kinds, -1)[:, ::-1], axis=1)[:, ::-1]
    dependent, usual = dependence(seats, failures)
    back = np.argsort(failures.place)
    return CoFailure(
        pairs=int(seen.sum()),
        usual=total / max(made, 1),
        p=(1 + hits) / (made + 1),
        domain_pairs=seen,
        domain_p=np.where(seen > 0, (1 + as_many[alike, seen]) / (1 + as_many[alike, 0]), 1.0),
        is_dependent=dependent[back],
        usual_dependence=usual[back],
    )


def placements(seats: Seats, rng: np.random.Generator, draws: int) -> Ints:
    """The domain of each node (columns) in each draw (rows), shuffled within strata; int32.

    A draw's strata are shuffled one after the other as Fisher and Yates did, from the last node
    on.
    """
    order = np.argsort(seats.stratum, kind="stable")
    size = np.bincount(seats.stratum)
    first = np.repeat(np.cumsum(size) - size, size)
    homes = seats.home[order].astype(np.int32)
    seed = seed_of(rng)
    if len(homes) * draws <= FEW_PLACES:
        placed = in_turn(homes, first, draws, seed)
    else:
        from transforms.reliability import shuffle_sweep as swept  # compiled code

        placed = swept.in_turn(homes, first, draws, seed)
    is_in_order = (order[1:] > order[:-1]).all()
    return placed if is_in_order else placed[:, np.argsort(order)]


def in_turn(homes: Ints, first: Ints, draws: int, seed: int) -> Ints:
    """`homes` shuffled in every draw (rows); from the last on, node k changes places with one of
    those from `first[k]` to itself. The twin of `shuffle_sweep.in_turn`."""
    nodes = len(homes)
    placed = np.tile(homes, (draws, 1))
    halves = upper_halves(seed, draws * nodes).reshape(draws, nodes)
    row = np.arange(draws)
    for k in range(nodes - 1, -1, -1):
        other = first[k] + below(halves[:, nodes - 1 - k], k - first[k] + 1)
        placed[row, k], placed[row, other] = placed[row, other], placed[row, k]
    return placed


def dependence(seats: Seats, failures: Failures) -> tuple[Ints, np.ndarray]:
    """Has each failure, in order of time, a partner in its domain; and the chance of one.

    The chance is exact: of a node put into a domain, the near nodes of each stratum miss the seats
    that this domain has left for them with hypergeometric probability.
    """
    if failures.near > FEW_NEAR:
        from transforms.reliability import shuffle_sweep as swept  # compiled code

        made = seats.make_up()
        order = np.lexsort((made.coords[1], made.coords[0]))
        row, domain = (c[order].astype(np.int64) for c in made.coords)
        starts = np.searchsorted(row, np.arange(made.shape[0] + 1))
        logs = gammaln(np.arange(len(seats.home) + 2) + 1.0)
        return swept.dependence(
            failures.node, failures.since, seats.home, seats.stratum, seats.parts().astype(np.int64),
            starts, domain, made.data[order], logs
        )  # fmt: skip
    return dependence_by_list(seats, failures)


def dependence_by_list(seats: Seats, failures: Failures) -> tuple[Ints, np.ndarray]:
    """`dependence` for few failures, without compiled code."""
    late, early = failures.pairs()
    one, other = np.concatenate([late, early]), np.concatenate([early, late])
    home, stratum, node = seats.home, seats.stratum, failures.node
    joined = np.zeros(len(node), bool)
    joined[one[home[node[one]] == home[node[other]]]] = True
    made = seats.make_up().toarray()
    size = made.sum(axis=1)
    # A partner counts once, however often it failed near.
    met = np.unique(np.stack([one, node[other]]), axis=1)
    profile = np.zeros((len(node), len(made) + 1), np.int64)
    np.add.at(profile, (met[0], stratum[met[1]]), 1)
    profile[:, -1] = stratum[node]
    kinds, which = np.unique(profile, axis=0, return_inverse=True)
    chance = np.empty(len(kinds))
    for number, (*near, mine) in enumerate(kinds):
        alone = np.zeros(made.shape[1])
        for t, k in enumerate(near):
            taken = int(t == mine)
            alone += _log_misses(size[t] - taken, np.maximum(made[t] - taken, 0), k)
        chance[number] = 1 - float((made[mine] / size[mine] * np.exp(alone)).sum())
    return joined, np.clip(chance[which.ravel()], 0, 1)


def _log_misses(nodes: int, seats: np.ndarray, drawn: int) -> np.ndarray:
    """Log of the chance that `drawn` of `nodes` all miss so many `seats`."""
    left = nodes - seats
    with np.errstate(invalid="ignore"):
        told = gammaln(left + 1) - gammaln(left - drawn + 1)
    told += gammaln(nodes - drawn + 1) - gammaln(nodes + 1)
    return np.where(left >= drawn, told, -np.inf)


def _alike(seats: Seats) -> tuple[Ints, int]:
    """Number the make-up of each domain (how many nodes of which stratum), and how many there are."""
    made = seats.make_up()
    strata, domains = made.coords
    order = np.lexsort((strata, domains))
    told: list[list[tuple[int, int]]] = [[] for _ in range(seats.domains)]
    for domain, *cell in zip(domains[order].tolist(), strata[order].tolist(), made.data[order].tolist(), strict=True):  # fmt: skip
        told[domain].append((cell[0], cell[1]))
    numbers: dict[tuple, int] = {}
    alike = [numbers.setdefault(tuple(one), len(numbers)) for one in told]
    return np.array(alike, np.int64), len(numbers)
