"""The hot loops of `shuffles` and `shuffle_counts`, compiled by numba on first use and kept on disk.

Failures come in order of time; `since[f]` is the first one that lies near failure f.
"""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba
from transforms.reliability.draws import FIRST, GOLDEN, SECOND

Ints = npt.NDArray[np.int64]
Placed = npt.NDArray[np.int32]
ABREAST = 16
BYTES_ABREAST = 128


@numba.njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def in_turn(homes: Placed, first: Ints, draws: int, seed: int) -> Placed:
    """`homes` shuffled in every draw, draws by nodes; see `shuffles.in_turn`, which draws alike."""
    nodes = len(homes)
    placed = np.empty((draws, nodes), np.int32)
    for d in numba.prange(draws):
        row = placed[d]
        row[:] = homes
        z0 = np.uint64(seed) + np.uint64(d) * np.uint64(nodes) * np.uint64(GOLDEN)
        for k in range(nodes - 1, -1, -1):
            z0 += np.uint64(GOLDEN)
            z = (z0 ^ (z0 >> np.uint64(30))) * np.uint64(FIRST)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
            top = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
            other = first[k] + np.int64((top * np.uint64(k - first[k] + 1)) >> np.uint64(32))
            row[k], row[other] = row[other], row[k]
    return placed


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def own_pairs(node: Ints, since: Ints, nodes: int) -> Ints:
    """Near pairs of each node with itself: they share a domain wherever it sits."""
    own, lately = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    first = 0
    for f in range(len(node)):
        while first < since[f]:
            lately[node[first]] -= 1
            first += 1
        own[node[f]] += lately[node[f]]
        lately[node[f]] += 1
    return own


@numba.njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def by_sweep(placed: Placed, node: Placed, since: Ints, own: Ints, domains: int) -> Ints:
    """Pairs of different nodes, draws by domains.

    Draws go side by side: one pass over the failures serves ABREAST of them, whose counts do not
    wait for each other.
    """
    draws, nodes = placed.shape
    found = np.zeros((draws, domains), np.int64)
    for chunk in numba.prange((draws + ABREAST - 1) // ABREAST):
        start = chunk * ABREAST
        some = min(ABREAST, draws - start)
        homes = np.zeros((nodes, ABREAST), np.int32)
        for d in range(some):
            for n in range(nodes):
                homes[n, d] = placed[start + d, n]
        told = np.zeros((domains, ABREAST), np.int64)
        lately = np.zeros((domains, ABREAST), np.int64)
        first = 0
        for f in range(len(node)):
            while first < since[f]:
                gone = homes[node[first]]
                for d in range(ABREAST):
                    lately[gone[d], d] -= 1
                first += 1
            here = homes[node[f]]
            for d in range(ABREAST):
                told[here[d], d] += lately[here[d], d]
                lately[here[d], d] += 1
        for d in range(some):
            for n in range(nodes):
                told[homes[n, d], d] -= own[n]
            for h in range(domains):
                found[start + d, h] = told[h, d]
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def table(
    node: Ints, since: Ints, part: Ints, row: Ints, local: Ints, cells: int
) -> npt.NDArray[np.int32]:
    """How often each two nodes of one part failed near each other, part after part."""
    found = np.zeros(cells, np.int32)
    for f in range(len(node)):
        one = node[f]
        for g in range(since[f], f):
            other = node[g]
            if other != one and part[other] == part[one]:
                found[row[one] + local[other]] += 1
                found[row[other] + local[one]] += 1
    return found


@numba.njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def by_table(
    placed: Placed, table: npt.NDArray[np.int32], row: Ints, local: Ints, domains: int
) -> Ints:
    """Pairs, draws by domains: the table's cells of those who share a domain."""
    draws, nodes = placed.shape
    found = np.zeros((draws, domains), np.int64)
    for d in numba.prange(draws):
        homes = placed[d]
        ends = np.zeros(domains + 1, np.int64)
        for n in range(nodes):
            ends[homes[n] + 1] += 1
        for h in range(domains):
            ends[h + 1] += ends[h]
        rows, columns = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
        at = ends.copy()
        for n in range(nodes):
            h = homes[n]
            rows[at[h]], columns[at[h]] = row[n], local[n]
            at[h] += 1
        for h in range(domains):
            told = 0
            for i in range(ends[h], ends[h + 1]):
                for j in range(ends[h], i):
                    told += table[rows[i] + columns[j]]
            found[d, h] = told
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def partners_of_each(node: Ints, since: Ints, part: Ints, nodes: int) -> Ints:
    """How many failures of other nodes of its part lie near and before those of each node."""
    found = np.zeros(nodes, np.int64)
    for f in range(len(node)):
        one = node[f]
        for g in range(since[f], f):
            found[one] += (node[g] != one) & (part[node[g]] == part[one])
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def partners(node: Ints, since: Ints, part: Ints, starts: Ints) -> Placed:
    """The nodes of those failures: of node n, in `starts[n]:starts[n + 1]`."""
    at = starts[:-1].copy()
    found = np.empty(starts[-1], np.int32)
    for f in range(len(node)):
        one = node[f]
        for g in range(since[f], f):
            other = node[g]
            if other != one and part[other] == part[one]:
                found[at[one]] = other
                at[one] += 1
    return found


@numba.njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def by_pairs(
    placed: Placed,
    code: npt.NDArray[np.uint8],
    base: Ints,
    starts: Ints,
    partners: Placed,
    domains: int,
) -> Ints:
    """Pairs, draws by domains, these in the order of their parts.

    `code` tells a domain among those of its part, which begin at `base` of each node. A byte holds
    a home and, for as many partners as a byte can count, how many of them are at home there: then
    one instruction serves dozens of draws.
    """
    draws, nodes = placed.shape
    told = np.zeros((draws, domains), np.int64)
    for chunk in numba.prange((draws + BYTES_ABREAST - 1) // BYTES_ABREAST):
        first = chunk * BYTES_ABREAST
        some = min(BYTES_ABREAST, draws - first)
        homes = np.zeros((nodes, BYTES_ABREAST), np.uint8)
        for d in range(some):
            for n in range(nodes):
                homes[n, d] = code[placed[first + d, n]]
        same = np.zeros(BYTES_ABREAST, np.uint8)
        count = np.zeros(BYTES_ABREAST, np.int64)
        for n in range(nodes):
            mine = homes[n]
            count[:] = 0
            for begin in range(starts[n], starts[n + 1], 255):
                same[:] = 0
                for i in range(begin, min(begin + 255, starts[n + 1])):
                    theirs = homes[partners[i]]
                    for d in range(BYTES_ABREAST):
                        same[d] += np.uint8(mine[d] == theirs[d])
                for d in range(BYTES_ABREAST):
                    count[d] += same[d]
            if starts[n] < starts[n + 1]:
                for d in range(some):
                    told[first + d, base[n] + mine[d]] += count[d]
    return told


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def dependence(
    node: Ints,
    since: Ints,
    home: Ints,
    stratum: Ints,
    part: Ints,
    starts: Ints,
    domain: Ints,
    seats: Ints,
    logs: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Has each failure a partner, and the chance of one; see `shuffles.dependence`.

    Stratum s has `seats[i]` nodes in `domain[i]`, for i in starts[s]:starts[s + 1].
    """
    failures, strata = len(node), len(starts) - 1
    size = np.bincount(stratum)
    until = np.empty(failures, np.int64)  # behind the last near one
    last = 0
    for f in range(failures):
        while last < failures and since[last] <= f:
            last += 1
        until[f] = last
    # Two strata meet where a domain has both.
    count = 0
    for i in range(len(domain)):
        count = max(count, domain[i] + 1)
    holds = np.zeros((count, strata), np.int64)
    for s in range(strata):
        for i in range(starts[s], starts[s + 1]):
            holds[domain[i], s] = seats[i]
    joined, chance = np.zeros(failures, np.bool_), np.zeros(failures)
    met = np.full(len(home), -1)
    near, touched = np.zeros(strata, np.int64), np.empty(strata, np.int64)
    known = {(np.int64(-1), np.int64(-1)): 0.0}
    for f in range(failures):
        mine, own, h = node[f], stratum[node[f]], home[node[f]]
        kinds = 0
        for g in range(since[f], until[f]):
            other = node[g]
            if other == mine or met[other] == f or part[other] != part[mine]:
                continue
            met[other] = f
            joined[f] |= home[other] == h
            if near[stratum[other]] == 0:
                touched[kinds] = stratum[other]
                kinds += 1
            near[stratum[other]] += 1
        alone = kinds == 1 and touched[0] == own
        key = (np.int64(own), near[own])
        if alone and key in known:
            chance[f] = known[key]
        elif kinds > 0:
            missed = 0.0
            for i in range(starts[own], starts[own + 1]):
                told = 0.0
                for which in range(kinds):
                    t = touched[which]
                    taken = np.int64(t == own)
                    total, k = size[t] - taken, near[t]
                    left = total - max(holds[domain[i], t] - taken, 0)
                    if left < k:
                        told = -np.inf
                        break
                    told += logs[left] - logs[left - k] + logs[total - k] - logs[total]
                missed += seats[i] / size[own] * np.exp(told)
            chance[f] = min(max(1 - missed, 0.0), 1.0)
            if alone:
                known[key] = chance[f]
        for which in range(kinds):
            near[touched[which]] = 0
    return joined, chance
