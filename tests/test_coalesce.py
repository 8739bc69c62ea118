"""Coalescing: the worked example, the exact slow twin, and the properties of methods P-4."""

import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import coalesce, sweep
from transforms.coalesce import DAY_MS, chains, chains_slowly, latest_before

GAPS = (5_000, 60_000, 180_000, 600_000, 3_600_000)
EXAMPLE = [0, 3, 4, 9, 60, 65, 420, 1000]

# Instants crowd around midnights and multiples of the gaps, where mistakes are.
instants = st.one_of(
    st.integers(0, 4 * DAY_MS),
    st.builds(
        lambda day, near, off: day * DAY_MS + near + off,
        st.integers(0, 4),
        st.sampled_from((0, *GAPS, *(-gap for gap in GAPS))),
        st.integers(-2, 2),
    ).filter(lambda at: at >= 0),
)
rows = st.lists(st.tuples(st.integers(0, 2), instants, st.integers(-1, 2 * DAY_MS)), max_size=40)
# Days of unbroken noise, to meet the midnight rule often.
noise = st.builds(
    lambda start, step, n, drop: [
        (0, start + i * step, -1) for i in range(n) if i not in set(drop)
    ],
    st.integers(0, 2 * DAY_MS),
    st.sampled_from((3_000_000, 3_600_000)),
    st.integers(1, 90),
    st.lists(st.integers(0, 90), max_size=3),
)


def arrays(some):
    unit, at, hold = (np.array([row[i] for row in some], np.int64) for i in range(3))
    return unit, at, np.where(hold < 0, -(2**62), at + hold)


@pytest.mark.parametrize(("gap_s", "expected"), [(0, 8), (5, 4), (180, 3), (600, 1)])
def test_worked_example(gap_s, expected):
    at = np.array(EXAMPLE, np.int64) * 1000
    assert chains(np.zeros(8, np.int64), at, gap_s * 1000).max() + 1 == expected


def test_worked_example_is_the_one_of_the_methods(golden):
    at = np.array(EXAMPLE, np.int64) * 1000
    found = {
        f"w{g}": int(chains(np.zeros(8, np.int64), at, g * 1000).max()) + 1 for g in (5, 180, 600)
    }
    assert found | {"raw": len(EXAMPLE)} == golden["X32_coalesce"]


@given(st.one_of(rows, noise), st.sampled_from(GAPS))
def test_fast_and_slow_agree(some, gap):
    unit, at, hold = arrays(some)
    slow = chains_slowly(unit.tolist(), at.tolist(), gap, hold.tolist())
    assert chains(unit, at, gap, hold).tolist() == slow


@given(st.lists(st.one_of(st.integers(0, 99), st.integers(0, 2**62)), max_size=60))
@settings(deadline=None)  # the first call compiles
def test_keys_are_ordered_as_a_stable_sort_does(keys):
    packed, by = sweep.order(np.array(keys, np.int64), 3)
    assert by.tolist() == sorted(range(len(keys)), key=lambda i: keys[i] >> 3)
    assert packed.tolist() == [keys[i] for i in by]


@pytest.mark.parametrize("top", [2**9, 2**20, 2**62])
@pytest.mark.parametrize("crowd", [1, 12])
def test_many_keys_are_ordered_as_a_stable_sort_does(top, crowd):
    """A crowd of keys shares its first bits, so that parts are long and of odd numbers of digits."""
    keys = (np.random.default_rng(crowd).random(20_000) ** crowd * top).astype(np.int64)
    packed, by = sweep.order(keys, 3)
    assert (by == np.argsort(keys >> 3, kind="stable")).all()
    assert (packed == keys[by]).all()


@given(st.one_of(rows, noise).filter(bool), st.sampled_from(GAPS), st.booleans())
@settings(deadline=None)
def test_the_sweep_and_the_slow_twin_agree(some, gap, is_held):
    unit, at, hold = arrays(some)
    slow = chains_slowly(unit.tolist(), at.tolist(), gap, hold.tolist() if is_held else None)
    assert coalesce._swept(unit, at, gap, hold if is_held else None).tolist() == slow


def test_many_rows_are_swept_to_what_sorting_gives():
    chance = np.random.default_rng(3)
    unit = chance.integers(0, 5_000, coalesce.MANY)
    at = chance.integers(0, 60 * DAY_MS, coalesce.MANY)
    hold = np.where(chance.random(len(at)) < 0.05, at + chance.integers(0, DAY_MS, len(at)), -1)
    for rows in (np.arange(len(at)), np.argsort(at, kind="stable")):
        some = unit[rows], at[rows]
        assert (chains(*some, 180_000) == coalesce.chains_by_sorting(*some, 180_000)).all()
        held = coalesce.chains_by_sorting(*some, 180_000, hold[rows])
        assert (chains(*some, 180_000, hold[rows]) == held).all()


@given(rows.filter(bool), rows.filter(bool))
@settings(deadline=None)
def test_the_latest_before_is_found_by_sweep_as_by_sorting(some, others):
    group, at, _ = arrays(some)
    groups, ats, _ = arrays(others)
    size = int(max(group.max(), groups.max())) + 1
    by, bys = np.argsort(at, kind="stable"), np.argsort(ats, kind="stable")
    swept = sweep.latest_before(group, at, groups, ats, by, bys, size)
    assert swept.tolist() == coalesce.latest_by_sorting(group, at, groups, ats).tolist()


@given(st.one_of(rows, noise), st.sampled_from(GAPS), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(some, gap, chance: random.Random):
    unit, at, hold = arrays(some)
    shuffled = list(range(len(some)))
    chance.shuffle(shuffled)
    mixed = np.array(shuffled, np.int64)
    assert (
        chains(unit[mixed], at[mixed], gap, hold[mixed]).tolist()
        == chains(unit, at, gap, hold)[mixed].tolist()
    )


@given(st.one_of(rows, noise))
def test_a_longer_gap_never_makes_more(some):
    unit, at, hold = arrays(some)
    counts = [len(set(chains(unit, at, gap, hold).tolist())) for gap in GAPS]
    assert counts == sorted(counts, reverse=True)


@given(rows.filter(bool), st.sampled_from(GAPS))
def test_what_is_one_stays_one_when_coalesced_again(some, gap):
    unit, at, _ = arrays(some)
    first = chains(unit, at, gap)
    begins = np.array([at[first == n].min() for n in range(first.max() + 1)], np.int64)
    units = np.array([unit[first == n][0] for n in range(first.max() + 1)], np.int64)
    ends = np.array([at[first == n].max() for n in range(first.max() + 1)], np.int64)
    # No chain begins within the gap of another's end, but at a midnight that ended an endless one.
    for n in range(1, len(begins)):
        apart = units[n] != units[n - 1] or begins[n] - ends[n - 1] > gap
        assert apart or begins[n] // DAY_MS > ends[n - 1] // DAY_MS


@pytest.mark.parametrize(("days", "expected"), [(0.9, 1), (1.9, 1), (3, 3), (40, 40)])
def test_endless_noise_starts_anew_at_midnights(days, expected):
    two_hours = 7_200_000
    at = np.arange(two_hours, two_hours + int(days * DAY_MS), 60_000, dtype=np.int64)
    numbers = chains(np.zeros(len(at), np.int64), at, 180_000)
    for number in range(numbers.max() + 1):
        inside = at[numbers == number]
        assert inside[-1] - inside[0] < 2 * DAY_MS
    assert numbers.max() + 1 == expected


def test_a_day_says_the_same_however_much_of_the_past_is_read():
    at = np.arange(0, 12 * DAY_MS, 100_000, dtype=np.int64)
    whole = chains(np.zeros(len(at), np.int64), at, 180_000)
    starts = {int(at[i]) for i in np.flatnonzero(np.diff(whole, prepend=-1))}
    for since in range(1, 9):
        late = at[at >= since * DAY_MS + 5_000_000]
        numbers = chains(np.zeros(len(late), np.int64), late, 180_000)
        found = {int(late[i]) for i in np.flatnonzero(np.diff(numbers, prepend=-1))}
        settled = (since + 3) * DAY_MS
        assert {s for s in starts if s >= settled} == {s for s in found if s >= settled}


def test_centuries_apart_still_sort():
    unit = np.array([2**40, 0, 2**40], np.int64)
    at = np.array([2**45, -(2**45), 2**45 + 1], np.int64)
    assert chains(unit, at, 5_000).tolist() == [1, 0, 1]


def test_nothing_gives_nothing():
    nothing = np.empty(0, np.int64)
    assert len(chains(nothing, nothing, 5_000)) == 0


def test_a_gap_longer_than_an_hour_is_refused():
    with pytest.raises(ValueError, match="at most"):
        chains(np.zeros(1, np.int64), np.zeros(1, np.int64), 3_600_001)


def test_latest_before_looks_only_into_its_own_group():
    found = latest_before(*(np.array(x, np.int64) for x in ([0, 0, 1, 2], [4, 5, 9, 9], [0, 0, 1], [5, 1, 10])))  # fmt: skip
    assert found.tolist() == [1, 0, -1, -1]


@pytest.mark.slow
def test_ten_million_signs_take_seconds():
    chance = np.random.Generator(np.random.PCG64(7))
    unit = chance.integers(0, 100_000, 10_000_000)
    at = chance.integers(0, 7 * DAY_MS, 10_000_000)
    began = time.process_time()
    chains(unit, at, 180_000)
    assert time.process_time() - began < 10
