"""How to count the pairs of near failures that domains hold, in very many placements of nodes.

Four ways give the same integers, and the cheapest is taken: a list of all near pairs of failures
(few failures), a table of how often each two nodes failed near each other (many failures, small
domains), each node against all that failed near it, a draw a byte (domains as large as a hall),
and a sweep through time that remembers how many failures each domain had lately (more near pairs
than can be listed).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from transforms.ledger.timeline import ranges

Ints = np.ndarray

FEW = 20_000_000
"""Pairs times draws up to which no compiled code is worth its loading."""
LARGEST_TABLE = 300_000_000
"""Cells of the table of nodes by nodes."""
LONGEST_LIST = 100_000_000
"""Near pairs of failures that may be listed."""
CODES = 256
"""Domains of one part that a byte can tell apart."""
LOOKUP_PRICE, PAIR_PRICE, LISTING_PRICE = 0.6, 0.02, 4.0
"""What looking up a cell of the table costs, comparing two nodes and listing a near pair, in steps
of the sweep."""


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
        is_later = (at[1:] > at[:-1]) | ((at[1:] == at[:-1]) & (node[1:] >= node[:-1]))
        order = np.arange(len(at)) if is_later.all() else np.lexsort((node, at))
        t = at[order]
        return Failures(node[order], np.searchsorted(t, t - gap, "left"), order)

    @property
    def near(self) -> int:
        """Pairs of failures that lie near each other, whosever they are."""
        return int((np.arange(len(self.since)) - self.since).sum())

    def pairs(self) -> tuple[Ints, Ints]:
        """Both failures of every near pair of different nodes."""
        late, nth = ranges(np.arange(len(self.since)) - self.since)
        early = self.since[late] + nth
        apart = self.node[late] != self.node[early]
        return late[apart], early[apart]


def counter(seats: Seats, failures: Failures, draws: int):  # type: ignore[no-untyped-def]
    """The cheapest way to count pairs: a function of placements to counts, draws by domains."""
    if failures.near * draws <= FEW:
        return by_list(seats, failures)
    homes, parts = np.bincount(seats.home), np.bincount(seats.parts())
    lookups = float((homes * (homes - 1) / 2).sum())
    share = np.bincount(seats.parts()[failures.node]) / len(failures.node)
    pairs = failures.near * float((share**2).sum())
    prices = {by_sweep: float(draws * len(failures.node))}
    if (parts.astype(float) ** 2).sum() <= LARGEST_TABLE:
        prices[by_table] = LISTING_PRICE * failures.near + draws * LOOKUP_PRICE * lookups
    if failures.near <= LONGEST_LIST and _domains_of_parts(seats)[1].max() <= CODES:
        prices[by_pairs] = LISTING_PRICE * failures.near + draws * PAIR_PRICE * pairs
    return min(prices, key=lambda way: prices[way])(seats, failures)


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


def by_pairs(seats: Seats, failures: Failures):  # type: ignore[no-untyped-def]
    """Every node against each that failed near it and may share its domain; a byte tells a home."""
    from transforms.reliability import shuffle_sweep as swept  # compiled code

    part = seats.parts().astype(np.int64)
    owner, many = _domains_of_parts(seats)
    order = np.argsort(owner, kind="stable")
    begins = np.cumsum(many) - many
    code = np.empty(seats.domains, np.uint8)
    code[order] = np.arange(seats.domains) - begins[owner[order]]
    since, nodes = failures.since, len(part)
    ends = np.cumsum(swept.partners_of_each(failures.node, since, part, nodes))
    starts = np.append(0, ends)
    partners = swept.partners(failures.node, since, part, starts)

    def count(placed: Ints) -> Ints:
        found = np.empty((len(placed), seats.domains), np.int64)
        found[:, order] = swept.by_pairs(
            placed, code, begins[part], starts, partners, seats.domains
        )
        return found

    return count


def _domains_of_parts(seats: Seats) -> tuple[Ints, Ints]:
    """The part of each domain, and how many domains each part has."""
    owner = np.zeros(seats.domains, np.int64)  # a number that no node has may stand anywhere
    owner[seats.home] = seats.parts()
    return owner, np.bincount(owner)


def by_sweep(seats: Seats, failures: Failures):  # type: ignore[no-untyped-def]
    """Through time, with a count of each domain's failures that are still near."""
    from transforms.reliability import shuffle_sweep as swept  # compiled code

    own = swept.own_pairs(failures.node, failures.since, len(seats.home))
    node = failures.node.astype(np.int32)

    def count(placed: Ints) -> Ints:
        return swept.by_sweep(placed, node, failures.since, own, seats.domains)

    return count
