"""Two rates compared: the worked examples of methods R-8, and what zero counts may say."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transforms.comparison import rate_ratio, smallest_detectable_change, two_sided


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            (30, 5_000, 15, 5_000),
            (2.0, 1.0428857370194897, 3.9998578037766945, 0.035697803555194696),
        ),
        ((9, 2_000, 4, 2_000), (2.25, 0.6279707204091218, 9.998632426820768, 0.266845703125)),
    ],
)
def test_worked_examples(counts, expected):
    found = rate_ratio(*counts)
    assert (found.ratio, found.low, found.high, found.p) == pytest.approx(expected, rel=1e-9)


def test_only_an_interval_without_one_is_evidence():
    assert rate_ratio(30, 5_000, 15, 5_000).is_evidence
    assert not rate_ratio(9, 2_000, 4, 2_000).is_evidence


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (3, 0)])
def test_zero_counts_give_bounds_and_never_raise(first, second):
    found = rate_ratio(first, 100, second, 100)
    assert found.low <= found.high
    assert math.isnan(found.ratio) or found.low <= found.ratio <= found.high


def test_no_exposure_is_refused():
    with pytest.raises(ValueError, match="positive"):
        rate_ratio(1, 0, 1, 10)


@pytest.mark.parametrize(("failures", "fall"), [(49, 0.5), (150, 0.3), (355, 0.2), (1_493, 0.1)])
def test_smallest_detectable_falls_are_those_of_the_table(failures, fall):
    assert smallest_detectable_change(failures) == pytest.approx(fall, abs=0.005)


def test_a_handful_of_failures_can_show_nothing():
    assert smallest_detectable_change(0) == 1.0


@settings(deadline=None)
@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.02, 0.98),
)
def test_two_sided_p_is_scipys(counts, share):
    hits, trials = counts
    exact = stats.binomtest(hits, trials, share).pvalue
    assert two_sided(hits, trials, share) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("trials", [999, 1000, 1001])
@pytest.mark.parametrize("share", [0.5, 0.25, 1e-4])
def test_two_sided_p_is_scipys_of_many(trials, share):
    for hits in (0, 1, trials // 4, trials // 2, trials):
        exact = stats.binomtest(hits, trials, share).pvalue
        assert two_sided(hits, trials, share) == pytest.approx(exact, rel=1e-11, abs=1e-300)
