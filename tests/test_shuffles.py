"""Shuffled nodes: four ways to count give the same integers, and the chance of a partner is exact."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transforms.reliability import shuffle_counts, shuffles
from transforms.reliability.shuffle_counts import (
    Failures,
    Seats,
    by_list,
    by_pairs,
    by_sweep,
    by_table,
)
from transforms.reliability.shuffles import placements

# Strata share domains in some fleets (a mixed rack), in others each has its own.
fleets = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12)
failing = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 40)), max_size=40)


def made(fleet, failed, gap):
    home, stratum = (np.array(column, np.int64) for column in zip(*fleet, strict=True))
    stratum = np.unique(stratum, return_inverse=True)[1]
    rows = np.array([(node % len(fleet), at) for node, at in failed], np.int64).reshape(-1, 2)
    return Seats(home, stratum), Failures.of(rows[:, 0], rows[:, 1].astype(float), gap)


@given(fleets, failing, st.integers(0, 20))
@settings(deadline=None, max_examples=60)
def test_four_ways_to_count_agree(fleet, failed, gap):
    seats, failures = made(fleet, failed, gap)
    placed = placements(seats, np.random.default_rng(1), 7)
    plain = by_list(seats, failures)(placed)
    assert plain.sum() == sum(
        (homes[failures.node[a]] == homes[failures.node[b]]).sum()
        for homes in placed
        for a, b in [failures.pairs()]
    )
    for way in (by_table, by_sweep, by_pairs):
        assert way(seats, failures)(placed).tolist() == plain.tolist()


def test_a_node_of_many_partners_and_many_draws_are_counted_alike():
    """More partners than a byte counts, and more draws than are compared at once."""
    rng = np.random.default_rng(5)
    home = np.arange(24) // 4
    node = rng.integers(0, 24, 900)
    seats = Seats(home, home // 3)
    failures = Failures.of(node, rng.uniform(0, 100, 900), 9.0)
    placed = placements(seats, rng, 300)
    plain = by_list(seats, failures)(placed)
    for way in (by_table, by_sweep, by_pairs):
        assert (way(seats, failures)(placed) == plain).all()


@given(fleets, failing, st.integers(0, 20))
@settings(deadline=None, max_examples=60)
def test_a_partner_is_as_likely_to_both(fleet, failed, gap):
    seats, failures = made(fleet, failed, gap)
    joined, chance = shuffles.dependence_by_list(seats, failures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffles, "FEW_NEAR", -1)
        swept, exact = shuffles.dependence(seats, failures)
    assert swept.tolist() == joined.tolist()
    assert exact == pytest.approx(chance, abs=1e-12)


def test_the_chance_of_a_partner_is_what_all_shuffles_give():
    """Two strata over three domains: 3! x 4! ways to sit, each counted."""
    home, stratum = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 1, 0, 1])
    at = np.array([0, 1, 2, 10, 11, 12, 13, 14, 40.0])
    node = np.array([0, 1, 1, 2, 3, 4, 5, 6, 3])
    seats, failures = Seats(home, stratum), Failures.of(node, at, 3)
    own = [np.flatnonzero(stratum == s) for s in (0, 1)]
    late, early = failures.pairs()
    seen, ways = np.zeros(len(node)), 0
    for first in permutations(home[own[0]]):
        for second in permutations(home[own[1]]):
            placed = np.empty(7, int)
            placed[own[0]], placed[own[1]] = first, second
            is_same = placed[failures.node[late]] == placed[failures.node[early]]
            has = np.zeros(len(node), bool)
            has[late[is_same]] = has[early[is_same]] = True
            seen, ways = seen + has, ways + 1
    assert shuffles.dependence_by_list(seats, failures)[1] == pytest.approx(seen / ways, abs=1e-12)


def test_strata_that_stand_in_turn_keep_their_own_seats():
    fleet = [(1, 0), (1, 0), (1, 0), (0, 2), (0, 2), (1, 0), (0, 1)]
    placed = placements(made(fleet, [], 0)[0], np.random.default_rng(1), 7)
    assert (placed == [1, 1, 1, 0, 0, 1, 0]).all()


def test_shuffles_keep_every_stratum_in_its_own_seats():
    home, stratum = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    placed = placements(Seats(home, stratum), np.random.default_rng(2), 600)
    assert (np.sort(placed[:, :4], axis=1) == [0, 0, 1, 1]).all()
    assert (placed[:, 4:] == 2).all()
    assert len(np.unique(placed, axis=0)) == 6


@pytest.mark.parametrize("way", [by_table, by_pairs, by_sweep])
def test_many_failures_are_judged_as_few_are(monkeypatch, way):
    """The same draws, so the same p, by whichever way they are counted."""
    rng = np.random.default_rng(3)
    home = np.arange(240) // 4
    node, at = rng.integers(0, 240, 4000), rng.uniform(0, 5000, 4000)
    few = shuffles.shuffled(home, node, at, 1.0, np.random.default_rng(4), home // 15, draws=250)
    monkeypatch.setattr(shuffles, "counter", lambda seats, failures, _: way(seats, failures))
    monkeypatch.setattr(shuffles, "FEW_NEAR", 0)
    many = shuffles.shuffled(home, node, at, 1.0, np.random.default_rng(4), home // 15, draws=250)
    assert (few.pairs, few.usual, few.p) == (many.pairs, many.usual, many.p)
    assert few.domain_p.tolist() == many.domain_p.tolist()
    assert few.usual_dependence == pytest.approx(many.usual_dependence, abs=1e-12)
    assert few.usual_dependence.mean() == pytest.approx(few.is_dependent.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("size", "racks", "failed", "way"),
    [
        (40, 10, 50, by_list),
        (1200, 300, 20_000, by_table),
        (1200, 6, 20_000, by_pairs),
        (20_000, 6, 1_000_000, by_sweep),
    ],
    ids=["few", "racks", "halls", "crowded"],
)
def test_the_cheapest_way_is_taken(monkeypatch, size, racks, failed, way):
    for name in ("by_list", "by_table", "by_pairs", "by_sweep"):
        monkeypatch.setattr(shuffle_counts, name, lambda *_, name=name: name)
    home = np.arange(size) * racks // size
    seats = Seats(home, np.zeros(size, np.int64))
    at = np.arange(failed, dtype=float)
    failures = Failures.of(np.arange(failed) % size, at, 3.0 if failed < 1e6 else 120.0)
    assert shuffle_counts.counter(seats, failures, 2000) == way.__name__


def test_compiled_shuffles_place_nodes_as_plain_ones_do(monkeypatch):
    seats = Seats(np.arange(90) // 7, np.arange(90) * 7 % 4)
    plain = placements(seats, np.random.default_rng(6), 40)
    monkeypatch.setattr(shuffles, "FEW_PLACES", 0)
    swept = placements(seats, np.random.default_rng(6), 40)
    assert swept.dtype == plain.dtype == np.int32
    assert (swept == plain).all()


def test_every_order_of_a_stratum_is_as_likely():
    placed = placements(Seats(np.arange(4), np.zeros(4, int)), np.random.default_rng(7), 24_000)
    told = np.unique(placed, axis=0, return_counts=True)[1]
    assert len(told) == 24
    assert stats.chisquare(told).pvalue > 0.001
