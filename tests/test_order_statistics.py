"""Values of given ranks by counting are those of the sorted numbers; ranks are SQL's."""

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.order_statistics import BINS, order_statistics, rank

SHORT, LONG = 2**31 - 1, 10**18 - 1
wholes = st.one_of(st.integers(-BINS, BINS), st.integers(-SHORT, SHORT), st.integers(-LONG, LONG))


@given(
    st.lists(st.lists(wholes, min_size=1, max_size=30), min_size=1, max_size=4),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
@example([[0, 0, 0, LONG]], [0.5, 0.75, 1.0])
@example([[-LONG, LONG]], [0.0, 1.0])
@settings(deadline=None)
def test_counting_finds_what_sorting_finds(parts, orders):
    every = sorted(value for part in parts for value in part)
    ranks = [rank(order, len(every)) for order in orders]
    kind = np.int32 if max(map(abs, every)) <= SHORT else np.int64
    found = order_statistics([np.array(part, kind) for part in parts], ranks)
    assert found == [every[n] for n in ranks]


def test_a_great_many_numbers_of_a_wide_range():
    rng = np.random.default_rng(3)
    parts = [rng.normal(650_000, 20_000, 50_000).astype(np.int32) for _ in range(3)]
    parts[1][::7] = 0
    every = np.sort(np.concatenate(parts))
    ranks = [0, 1, 20_000, 75_000, 142_500, len(every) - 1]
    assert order_statistics(parts, ranks) == every[ranks].tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 99, 100, 101, 1000])
def test_ranks_are_those_of_sql(count):
    orders = [n / 100 for n in range(101)] + [0.001, 0.999, 1 / 3]
    asked = ", ".join(repr(order) for order in orders)
    ((said,),) = duckdb.sql(
        f"SELECT quantile_disc(x, [{asked}]) FROM range({count}) AS t (x)"
    ).fetchall()
    assert [rank(order, count) for order in orders] == said


def test_numbers_too_far_apart_are_refused():
    with pytest.raises(ValueError, match="apart"):
        order_statistics([np.array([-(2**62), 2**62])], [0])


@pytest.mark.parametrize("order", [-0.1, 1.1, float("nan")])
def test_an_order_outside_is_refused(order):
    with pytest.raises(ValueError, match="from 0 to 1"):
        rank(order, 5)
