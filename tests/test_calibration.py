"""P-5: limits cover and tests reject as often as they say. `tests/bench/calibration.py` prints the
same with more draws and their errors."""

import numpy as np
import pytest
from scipy import stats

from transforms.comparison import rate_ratio
from transforms.poisson import count_limits, no_failure_bound
from transforms.reliability import trends, weibull


def within(hits: int, draws: int, share: float) -> bool:
    """Whether chance at `share` gives so many: wrong once in a thousand."""
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, share)
    return low <= hits <= high


def test_exact_limits_cover_around_every_count_from_0_to_50():
    """Computed over all counts that a mean can give: no draw, no error."""
    counts = np.arange(0, 400)
    lo, hi = count_limits(counts)
    for r in range(51):
        means = np.linspace(max(r - 0.5, 0.01), r + 0.5, 101)
        inside = (lo[:, None] <= means) & (means <= hi[:, None])
        covered = (stats.poisson.pmf(counts[:, None], means) * inside).sum(axis=0)
        assert covered.min() >= 0.95, r
    assert stats.poisson.pmf(0, no_failure_bound(1000)) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("r", [1, 5, 20])
def test_limits_of_a_watch_that_a_failure_ends_cover_exactly(r):
    span = np.random.default_rng(41).gamma(r, 1, 4000)
    lo, hi = count_limits(np.full(4000, r), stopped_by="failure")
    assert within(int(((lo <= span) & (span <= hi)).sum()), 4000, 0.95)


@pytest.mark.parametrize("mean", [3, 10, 20])
def test_equal_rates_are_called_different_no_oftener_than_one_time_in_twenty(mean):
    """Computed: the exact test given the total, over the totals that two such rates give."""
    wrong = 0.0
    for total in range(1, int(stats.poisson.ppf(1 - 1e-6, 2 * mean)) + 1):
        k = np.arange(total + 1)
        called = [rate_ratio(int(x), 1.0, int(total - x), 1.0).p <= 0.05 for x in k[: total // 2 + 1]]  # fmt: skip
        both = np.array([called[min(x, total - x)] for x in k])
        wrong += stats.poisson.pmf(total, 2 * mean) * stats.binom.pmf(k, total, 0.5)[both].sum()
    assert 0.01 < wrong <= 0.05


@pytest.mark.parametrize(("slope", "told"), [(1.0, (0.03, 0.08)), (0.6, (0.85, 1.0)), (1.8, (0.9, 1.0))])  # fmt: skip
def test_the_growth_slope_is_held_by_its_limits_and_leaves_1_out_when_it_should(slope, told):
    rng = np.random.default_rng(42)
    found = [trends.trend(100 * rng.uniform(0, 1, 40) ** (1 / slope), 100) for _ in range(600)]
    assert within(sum(t.slope_lo <= slope <= t.slope_hi for t in found), 600, 0.95)
    called = sum(t.reading != "no evidence of a trend" for t in found) / 600
    assert told[0] <= called <= told[1]


@pytest.mark.parametrize("shape", [0.7, 1.0, 1.6])
def test_the_shape_of_truncated_lives_is_held_by_its_limits(shape):
    """Half the units were there before the watch began; likelihood limits are nearly exact."""
    rng = np.random.default_rng(43)
    held = 0
    for _ in range(150):
        ages = rng.weibull(shape, 80)
        entry = np.where(np.arange(80) % 2, 0.2, 0.0)
        seen = ages > entry
        found = weibull.fit(np.minimum(ages, 1.5)[seen], ages[seen] < 1.5, entry[seen])
        held += found.shape_lo <= shape <= found.shape_hi
    assert within(held, 150, 0.945)
