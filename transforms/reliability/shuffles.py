"""Do failures of one domain keep more company than chance gives them (D-4)?

Nodes are shuffled among the domains of their stratum (model, hall), each with its own times, and
the pairs of near failures that a domain then holds are counted again. Three ways to count give the
same integers, and the cheapest is taken: a list of all near pairs (few failures), a table of how
often each two nodes failed near each other (many failures, small domains), and a sweep through
time that remembers how many failures each domain had lately (domains as large as a hall).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import gammaln

Ints = np.ndarray

BLOCK = 200
"""Draws held at once."""
ENOUGH = 40
"""Draws as strange as the data after which it is dull for certain."""
ENOUGH_OF_ONE = 5
"""The same of a single domain, whose p is judged among hundreds."""
FEW = 20_000_000
"""Pairs times draws up to which no compiled code is worth its loading."""
LARGEST_TABLE = 300_000_000
"""Cells of the table of nodes by nodes."""
LOOKUP_PRICE = 0.6
"""What a cell of that table costs to look up, in steps of the sweep."""


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


@dataclass(frozen=True)
class Seats:
    """Nodes by number: their domain and their stratum, both numbered from 0."""

    home: Ints
    stratum: Ints

    @property
    def domains(self) -> int:
        return int(self.home.max(initial=-1)) + 1

    def make_up(self) -> coo_array:
        """How many nodes of each stratum (rows) each domain (columns) has."""
        shape = (int(self.stratum.max(initial=-1)) + 1, self.domains)
        found = coo_array((np.ones(len(self.home), np.int64), (self.stratum, self.home)), shape)
        found.sum_duplicates()
        return found

    def parts(self) -> Ints:
        """The part of each node: nodes of different parts can never share a domain."""
        made = self.make_up()
        strata, domains = made.shape
        row, column = made.coords
        graph = coo_array(
            (np.ones(len(row), np.int8), (row, column + strata)), (strata + domains,) * 2
        )
        return connected_components(graph, directed=False)[1][self.stratum]


@dataclass(frozen=True)
class Failures:
    """Failures in order of time: their node, and how far back the near ones reach."""

    node: Ints
    since: Ints
    place: Ints
    """Where each was in the caller's order."""

    @staticmethod
    def of(node: Ints, at: np.ndarray, gap: float) -> "Failures":
        order = np.lexsort((node, at))
        t = at[order]
        return Failures(node[order], np.searchsorted(t, t - gap, "left"), order)

    @property
    def near(self) -> int:
        """Pairs of failures that lie near each other, whosever they are."""
        return int((np.arange(len(self.since)) - self.since).sum())

    def pairs(self) -> tuple[Ints, Ints]:
        """Both failures of every near pair of different nodes."""
        many = np.arange(len(self.since)) - self.since
        late = np.repeat(np.arange(len(many)), many)
        early = np.arange(len(late)) - np.repeat(np.cumsum(many) - many, many) + self.since[late]
        apart = self.node[late] != self.node[early]
        return late[apart], early[apart]


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
    """The domain of each node (columns) in each draw (rows), shuffled within strata; int32."""
    placed = np.empty((draws, len(seats.home)), np.int32)
    order = np.argsort(seats.stratum, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(seats.stratum[order])) + 1):
        own = np.tile(seats.home[members].astype(np.int32), (draws, 1))
        placed[:, members] = rng.permuted(own, axis=1)
    return placed


def counter(seats: Seats, failures: Failures, draws: int):  # type: ignore[no-untyped-def]
    """The cheapest way to count pairs: a function of placements to counts, draws by domains."""
    if failures.near * draws <= FEW:
        return by_list(seats, failures)
    sizes = np.bincount(seats.home)
    lookups = float((sizes * (sizes - 1) / 2).sum())
    parts = np.bincount(seats.parts()).astype(float)
    if lookups * LOOKUP_PRICE < len(failures.node) and (parts**2).sum() <= LARGEST_TABLE:
        return by_table(seats, failures)
    return by_sweep(seats, failures)


def by_list(seats: Seats, failures: Failures):  # type: ignore[no-untyped-def]
    """Every near pair looked at in every draw: plain, and what the others are tested against."""
    late, early = failures.pairs()
    left, right = failures.node[late], failures.node[early]
    size = seats.domains

    def count(placed: Ints) -> Ints:
        found = np.empty((len(placed), size), np.int64)
        for row, homes in zip(found, placed, strict=True):
            mine = homes[left]
            row[:] = np.bincount(mine[mine == homes[right]], minlength=size)
        return found

    return count


def by_table(seats: Seats, failures: Failures):  # type: ignore[no-untyped-def]
    """Who failed near whom, once; then only the nodes that share a domain are looked up."""
    from transforms.reliability import shuffle_sweep as swept  # compiled code

    part = seats.parts()
    size = np.bincount(part)
    begins = np.cumsum(size**2) - size**2
    order = np.argsort(part, kind="stable")
    local = np.empty(len(part), np.int64)
    local[order] = np.arange(len(part)) - np.repeat(np.cumsum(size) - size, size)
    row = begins[part] + local * size[part]
    node, since = failures.node, failures.since
    table = swept.table(node, since, part, row, local, int((size**2).sum()))

    def count(placed: Ints) -> Ints:
        return swept.by_table(placed, table, row, local, seats.domains)

    return count


def by_sweep(seats: Seats, failures: Failures):  # type: ignore[no-untyped-def]
    """Through time, with a count of each domain's failures that are still near."""
    from transforms.reliability import shuffle_sweep as swept  # compiled code

    own = swept.own_pairs(failures.node, failures.since, len(seats.home))
    node = failures.node.astype(np.int32)

    def count(placed: Ints) -> Ints:
        return swept.by_sweep(placed, node, failures.since, own, seats.domains)

    return count


def dependence(seats: Seats, failures: Failures) -> tuple[Ints, np.ndarray]:
    """Has each failure, in order of time, a partner in its domain; and the chance of one.

    The chance is exact: of a node put into a domain, the near nodes of each stratum miss the seats
    that this domain has left for them with hypergeometric probability.
    """
    if failures.near > FEW // 10:
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
