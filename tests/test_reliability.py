"""Reliability statistics against the worked examples and against lifelines, statsmodels, reliability."""

import math

import lifelines
import numpy as np
import pytest
import statsmodels.api as sm
from lifelines.statistics import multivariate_logrank_test
from scipy import stats

from transforms import comparison
from transforms.mtbf import rate
from transforms.poisson import count_limits
from transforms.reliability import (
    availability,
    changes,
    coverage,
    dispersion,
    domains,
    links,
    precursors,
    recurrence,
    regression,
    shuffles,
    survival,
    trends,
    weibull,
)

# The worked examples cut the normal quantile to 1.959964; ours is exact. This level gives theirs.
LEVEL = 2 * stats.norm.cdf(1.959964) - 1
X10_ENDS = (6, 6, 6, 7, 10, 13, 16, 22, 23)
X10_CENSORED = (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
X11 = ([12, 33, 47, 58, 73, 90, 120, 150, 150, 150], [True] * 7 + [False] * 3)
X12 = [10, 30, 45, 80, 150, 250, 400]
X23 = [2, 1, 3, 2, 2, 1, 2, 6, 5, 7, 4, 6]


def close(found, wanted, rel=1e-9):
    return found == pytest.approx(wanted, rel=rel)


def fleet(seed=3, units=400):
    rng = np.random.default_rng(seed)
    entries = rng.uniform(0, 50, units) * (rng.random(units) < 0.5)
    lives = 120 * rng.weibull(0.8, units)
    exits = np.minimum(entries + lives + 0.01, 180)
    ends = exits < 180
    return np.round(exits, 1) + 0.1, ends, np.round(entries, 1)


def test_x10_kaplan_meier(golden):
    x = golden["X10_km"]
    ends = [True] * len(X10_ENDS) + [False] * len(X10_CENSORED)
    found = survival.curve([*X10_ENDS, *X10_CENSORED], ends, level=LEVEL)
    rows = np.column_stack(
        [
            found.times,
            found.at_risk,
            found.ended,
            found.survival,
            found.std_error,
            found.cumulative_hazard,
        ]
    )
    assert close(rows, np.array(x["rows"]))
    assert found.quantile() == x["median"]
    assert close(found.limits_at(10), tuple(x["ci_at_10_loglog"]))


def test_x40_units_that_joined_late(golden):
    exits, is_end = [5, 8, 9, 12, 10], [True, False, True, False, True]
    found = survival.curve(exits, is_end, entries=[0, 2, 3, 0, 6])
    rows = zip(found.times, found.at_risk, found.survival, strict=True)
    assert [list(row) for row in rows] == golden["X40_left_trunc_km"]["rows"]


@pytest.mark.parametrize("seed", range(3))
def test_survival_agrees_with_lifelines_under_truncation(seed):
    exits, ends, entries = fleet(seed)
    peer = lifelines.KaplanMeierFitter().fit(exits, ends, entry=entries)
    hazard = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(
        exits, ends, entry=entries
    )
    found = survival.curve(exits, ends, entries)
    assert close(found.survival, peer.survival_function_at_times(found.times).to_numpy())
    assert close(found.cumulative_hazard, hazard.cumulative_hazard_at_times(found.times).to_numpy())
    limits = peer.confidence_interval_survival_function_.loc[found.times].to_numpy()
    assert close(np.column_stack([found.lo, found.hi]), limits, 1e-6)
    assert found.quantile() == peer.median_survival_time_


MANY_LIVES = {
    "even": lambda chance: chance.uniform(0, 300, survival.MANY),
    "tied": lambda chance: np.round(chance.weibull(0.9, survival.MANY), 1),
    "crowded": lambda chance: chance.lognormal(0, 9, survival.MANY),
    "of one age": lambda chance: np.full(survival.MANY, 7.0),
    "a hair apart": lambda chance: np.where(chance.random(survival.MANY) < 0.5, 0.0, 5e-324),
}


@pytest.mark.parametrize("how", MANY_LIVES)
def test_many_lives_are_sorted_to_what_few_are(how, monkeypatch):
    """Beyond MANY lives compiled code sorts; it gives up on crowds, and the curve is the same."""
    chance = np.random.default_rng(4)
    entries = MANY_LIVES[how](chance)
    exits, ends = entries + MANY_LIVES[how](chance), chance.random(survival.MANY) < 0.4
    swept = survival.curve(exits, ends, entries)
    monkeypatch.setattr(survival, "MANY", survival.MANY + 1)
    plain = survival.curve(exits, ends, entries)
    for name in ("times", "at_risk", "ended", "survival", "lo", "cumulative_hazard"):
        np.testing.assert_array_equal(getattr(swept, name), getattr(plain, name))


@pytest.mark.parametrize("below", [0.0, 100.0], ids=["by_their_bits", "with_negative_ages"])
def test_every_row_of_a_curve_is_what_counting_unit_by_unit_gives(below):
    """Ages with many ties, 0.0 and -0.0 among them, and some before zero."""
    rng = np.random.default_rng(11)
    for units in (0, 1, 2, 60, 400):
        entries = np.round(rng.uniform(0, 20, units)) - below
        exits = entries + np.round(rng.exponential(10, units))
        exits[(exits == 0) & (rng.random(units) < 0.5)] = -0.0
        ends = rng.random(units) < 0.6
        found = survival.curve(exits, ends, entries)
        times = sorted({float(t) for t in exits[ends]})
        assert found.times.tolist() == times
        ended = [int((ends & (exits == t)).sum()) for t in times]
        assert found.ended.tolist() == ended
        inside = [int(((entries < t) & (exits >= t)).sum()) for t in times]
        assert found.at_risk.tolist() == [max(a, b) for a, b in zip(inside, ended, strict=True)]


def test_log_rank_counts_who_is_there_at_each_end():
    """Late entries and many ties, against a count at every age."""
    rng = np.random.default_rng(8)
    for turn in range(20):
        entries = rng.integers(0, 6, 60).astype(float) * (turn % 2)
        exits = entries + rng.integers(1, 8, 60)
        ends, group = rng.random(60) < 0.6, rng.integers(0, 3, 60)
        excess, spread = np.zeros(3), np.zeros((3, 3))
        for age in np.unique(exits[ends]):
            there = (entries < age) & (exits >= age)
            risk = np.array([(there & (group == g)).sum() for g in range(3)])
            seen = np.array([(ends & (exits == age) & (group == g)).sum() for g in range(3)])
            n, d = risk.sum(), seen.sum()
            excess += seen - d * risk / n
            if n > 1:
                share = risk / n
                spread += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
        square = excess[:2] @ np.linalg.pinv(spread[:2, :2]) @ excess[:2]
        assert close(survival.log_rank(exits, ends, group, entries)[0], square, 1e-9)


def test_log_rank_agrees_with_lifelines():
    exits, ends, _ = fleet(5)
    group = np.arange(len(exits)) % 3
    peer = multivariate_logrank_test(exits, group, ends)
    square, freedom, p = survival.log_rank(exits, ends, group)
    assert freedom == 2
    assert close(square, peer.test_statistic)
    assert close(p, peer.p_value)


def test_a_unit_that_leaves_before_it_enters_is_refused():
    with pytest.raises(ValueError, match="1 of 2 units"):
        survival.curve([5, 1], [True, True], [0, 2])


def test_x11_weibull(golden):
    x = golden["X11_weibull"]
    found = weibull.fit(*X11)
    assert close(found.shape, x["beta"])
    assert close(found.scale, x["eta"])
    assert close((found.shape_lo, found.shape_hi), (x["lo"], x["hi"]))
    assert close(found.log_likelihood, x["loglik"])
    assert close(found.mean, x["mean"])
    assert close(found.ratio, x["lrt_vs_exp"])
    assert close(found.p_memoryless, x["p"])
    assert found.reading == "no evidence against a constant hazard"


@pytest.mark.parametrize("seed", range(3))
def test_weibull_agrees_with_lifelines_under_truncation(seed):
    exits, ends, entries = fleet(seed)
    peer = lifelines.WeibullFitter().fit(exits, ends, entry=entries)
    found = weibull.fit(exits, ends, entries)
    assert close(found.shape, peer.rho_, 1e-4)
    assert close(found.scale, peer.lambda_, 1e-4)
    assert found.log_likelihood >= peer.log_likelihood_ - 1e-6


def test_x12_trend(golden):
    x = golden["X12_trend_time_trunc"]
    found = trends.trend(X12, x["T"])
    assert found.failures == x["n"]
    assert close(found.laplace_u, x["laplace_U"])
    assert close(found.laplace_p, x["laplace_p"])
    assert close(found.chi_square, x["mil_chi2"])
    assert close(found.mil_p, x["mil_p"])
    assert close(found.growth_slope, x["beta"])
    assert close(found.unbiased_slope, x["beta_unbiased"])
    assert close((found.slope_lo, found.slope_hi), (x["beta_lo"], x["beta_hi"]))
    assert close(found.scale, x["lam"])
    assert close(1 / found.mtbf_now, x["intensity_T"])
    assert close((found.mtbf_now, found.mtbf_average), (x["inst_mtbf"], x["avg_mtbf"]))
    assert found.reading == "improving"


def test_x12b_trend_stopped_by_a_failure(golden):
    x = golden["X12b_failure_trunc"]
    found = trends.trend(X12, 400, stopped_by="failure")
    assert close(found.growth_slope, x["beta"])
    assert close(found.unbiased_slope, x["beta_unbiased"])
    assert close(found.laplace_u, x["laplace_U"])
    assert close(found.chi_square, x["mil_chi2"])
    assert found.freedom == x["dof"]


def test_crow_amsaa_agrees_with_reliability():
    from reliability.Repairable_systems import reliability_growth

    peer = reliability_growth(
        times=X12, target_MTBF=None, model="Crow-AMSAA", show_plot=False, print_results=False
    )
    found = trends.trend(X12, 400, stopped_by="failure")
    assert close((peer.Beta, peer.Lambda), (found.growth_slope, found.scale))
    assert close((peer.DMTBF_I, peer.DMTBF_C), (found.mtbf_now, found.mtbf_average))


@pytest.mark.parametrize(
    ("time", "failures", "level", "wanted"),
    [(19520, 7, 0.80, 1658.3248534993454), (10000, 6, 0.60, 1101.8815940201118)],
)
def test_lower_mtbf_limits_of_the_planner(time, failures, level, wanted):
    """Two-sided 80 %, and one-sided 80 % (a two-sided 60 %'s lower limit), time-truncated."""
    _, upper = count_limits(failures, level)
    assert close(time / float(upper), wanted)


def test_x22b_dispersion(golden):
    x = golden["X22b_dispersion"]
    found = dispersion.dispersion([3, 2, 4, 1, 3, 2, 3, 14, 2, 3])
    assert close((found.chi_square, found.freedom, found.p), (x["chi2"], x["dof"], x["p"]))
    assert close(found.phi, x["vmr"])
    assert not found.is_poisson


def test_x29_limits_of_an_overdispersed_rate(golden):
    x = golden["X29_overdisp"]
    assert close(rate(65, 10_000).per_1000_node_days, x["rate"])
    lo, hi = dispersion.rate_limits(65, 10_000, 3, LEVEL)
    assert close((1000 * lo, 1000 * hi), (x["lo"], x["hi"]))
    lo, hi = dispersion.rate_limits(65, 10_000)
    assert close((1000 * lo, 1000 * hi), (x["poisson_lo"], x["poisson_hi"]))


def test_x45_a_gap_widens_a_rate_and_never_betters_it(golden):
    x = golden["X45_missing"]
    found = coverage.rate_over_gaps(60, 9_300, 10_000)
    assert close(
        (found.per_1000_node_days, found.coverage, found.lo, found.hi),
        (x["rate_observed"], x["coverage"], x["lo"], x["hi"]),
    )
    assert not found.is_enough
    with pytest.raises(ValueError, match="cannot be"):
        coverage.rate_over_gaps(1, 11, 10)


def test_x48_a_week_against_a_baseline(golden):
    x = golden["X48_week_vs_baseline"]
    assert close(comparison.surprise(x["observed"], x["expected"]), x["p_upper"])


def test_x7_rate_ratios(golden):
    for name, first, second, days in (
        ("X7_rate_ratio", 30, 15, 5000),
        ("X7b_rate_ratio_small", 9, 4, 2000),
    ):
        found, x = comparison.rate_ratio(first, days, second, days), golden[name]
        assert close(
            (found.ratio, found.low, found.high, found.p), (x["rr"], x["lo"], x["hi"], x["p"])
        )


def test_x24_bit_errors(golden):
    x = golden["X24_ber"]
    bits = 400e9 * 86_400
    assert close(bits, x["bits"])
    some, none = links.bit_error_ratio(3, bits), links.bit_error_ratio(0, bits)
    assert close((some.ratio, some.lo, some.hi), (x["ber3"], x["lo3"], x["hi3"]))
    assert close(none.hi, x["ub0"])
    assert close(links.seconds_to_show(1e-15, 400e9), x["seconds_for_1e15"])


def test_x50_and_the_readings_of_a_contract(golden):
    x = golden["X50_sla"]
    assert close(availability.short_points(x["contract"], x["measured"]), x["short_points"])
    assert availability.short_points(0.99, 0.995) == 0
    found = availability.readings(up=900, down=10, planned=40, unknown=50)
    assert close((found.inherent, found.operational), (900 / 910, 900 / 950))
    assert found.unknown_as_down < found.operational < found.unknown_as_up
    assert close(availability.all_up(0.994, 100), 0.994**100)


def test_x47_the_slowest_of_many(golden):
    x = golden["X47_slowest"]
    assert close(1 - availability.all_up(1 - x["p_one"], x["n"]), x["p_any"])


def test_availability_of_nodes_drawn_again_covers_the_fleets():
    rng = np.random.default_rng(30)
    covered = 0
    for _ in range(60):
        down = np.where(rng.random(400) < 0.3, rng.lognormal(1, 1.4, 400), 0)
        lo, hi = availability.bootstrap_limits(720 - down, down, rng, draws=300)
        truth = 1 - 0.3 * math.exp(1 + 1.4**2 / 2) / 720
        covered += lo <= truth <= hi
    # Heavy tails cost any bootstrap some: 88 % were covered of 600 such fleets.
    assert covered >= stats.binom.ppf(0.001, 60, 0.88)


def test_bootstrap_of_whole_units_widens_where_units_differ():
    rng = np.random.default_rng(0)
    alike = rng.poisson(0.5, 2000)
    apart = rng.poisson(0.5 * rng.gamma(0.2, 5, 2000))
    days = np.full(2000, 28.0)
    widths = []
    for counts in (alike, apart):
        lo, hi = dispersion.bootstrap_limits(counts, days, np.random.default_rng(1))
        widths.append((hi - lo) / (counts.sum() / days.sum()))
        plain = counts.sum() / days.sum()
        assert lo < plain < hi
    exact = np.subtract(*dispersion.rate_limits(int(alike.sum()), days.sum())[::-1])
    assert widths[0] == pytest.approx(exact / (alike.sum() / days.sum()), rel=0.1)
    assert widths[1] > 1.5 * widths[0]


def test_exponential_gaps_pass_and_clustered_ones_do_not():
    rng = np.random.default_rng(4)
    assert dispersion.gaps_look_exponential(rng.exponential(5, 200), rng).held
    bursts = np.where(rng.random(200) < 0.5, rng.exponential(0.1, 200), rng.exponential(10, 200))
    assert not dispersion.gaps_look_exponential(bursts, rng).held


def test_x20_relapse(golden):
    x = golden["X20_relapse"]
    assert close(recurrence.wilson(12, 80, LEVEL), (x["p"], x["lo"], x["hi"]))


def test_mean_cumulative_function_and_its_variance_by_brute_force():
    rng = np.random.default_rng(8)
    units = 60
    entries = np.round(rng.uniform(0, 20, units), 1)
    exits = entries + np.round(rng.uniform(5, 60, units), 1)
    unit = np.repeat(np.arange(units), rng.poisson(3, units))
    age = np.round(entries[unit] + (exits - entries)[unit] * rng.uniform(0.01, 1, len(unit)), 1)
    age = np.clip(age, entries[unit] + 0.05, exits[unit])
    found = recurrence.mean_cumulative(unit, age, entries, exits)
    mean, variance = 0.0, np.zeros(units)
    for place, t in enumerate(found.ages):
        watched = (entries < t) & (exits >= t)
        here = np.bincount(unit[age == t], minlength=units)
        mean += here.sum() / watched.sum()
        variance += watched / watched.sum() * (here - here.sum() / watched.sum())
        assert close(found.mean[place], mean)
        spread = 1.959963984540054 * math.sqrt((variance**2).sum())
        assert close(found.hi[place], mean + spread, 1e-6)


def test_regression_agrees_with_statsmodels():
    rng = np.random.default_rng(11)
    rows = 600
    node = rng.integers(0, 80, rows)
    vendor, hall = (rng.random(rows) < 0.4).astype(float), (rng.random(rows) < 0.5).astype(float)
    days = rng.uniform(5, 30, rows)
    mean = days * np.exp(-3 + 0.5 * vendor - 0.2 * hall)
    counts = rng.poisson(mean * rng.gamma(2, 0.5, 80)[node])
    x = np.column_stack([np.ones(rows), vendor, hall])
    names = ("rate", "vendor", "hall")
    plain = sm.GLM(counts, x, family=sm.families.Poisson(), offset=np.log(days))
    peer = plain.fit(cov_type="cluster", cov_kwds={"groups": node})
    found = regression.poisson(counts, days, x, names, cluster=node)
    assert close(found.coefficients, peer.params, 1e-8)
    assert close(found.std_errors, peer.bse, 1e-6)
    peer = sm.NegativeBinomial(counts, x, offset=np.log(days)).fit(disp=0, maxiter=500, gtol=1e-10)
    found = regression.negative_binomial(counts, days, x, names)
    assert close(found.coefficients, peer.params[:-1], 1e-5)
    assert close(found.alpha, peer.params[-1], 1e-4)
    assert found.log_likelihood >= peer.llf - 1e-8


def test_regression_refuses_columns_that_say_the_same():
    x = np.column_stack([np.ones(5), [1, 0, 1, 0, 1], [0, 1, 0, 1, 0]])
    with pytest.raises(ValueError, match="depend"):
        regression.poisson([1, 2, 3, 1, 0], np.ones(5), x, ("a", "b", "c"))


def test_x23_change_point(golden):
    x = golden["X23_changepoint"]
    found = changes.split(X23, rng=np.random.default_rng(23))
    assert found.after == x["split_after"]
    assert close(found.log_ratio, x["llr"])
    assert close((found.before, found.behind), (x["before"], x["after"]))
    assert found.p == pytest.approx(x["p_mc"], abs=0.002)
    assert changes.segments(X23) == [] or changes.segments(X23) == [7]


def test_x23b_cusum(golden):
    x = golden["X23b_cusum"]
    reference = changes.cusum_reference(2, 5)
    assert close(reference, x["ref"])
    assert changes.cusum(X23, reference) == pytest.approx(x["path"], abs=5e-5)


def test_a_planted_step_is_found_within_five_days():
    """P-9: a 2.5x step at 4 failures a day; quiet series raise the alarm as often as configured."""
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(200):
        counts = np.concatenate([rng.poisson(4, 30), rng.poisson(10, 30)])
        found += abs(changes.split(counts).after - 30) <= 5
    assert found >= 180
    quiet = [changes.split(rng.poisson(4, 60), rng=rng, draws=400).p for _ in range(200)]
    alarms = sum(p <= 0.05 for p in quiet)
    assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


def test_optimal_segments_find_two_steps_and_nothing_in_silence():
    rng = np.random.default_rng(12)
    counts = np.concatenate([rng.poisson(m, 40) for m in (3, 12, 3)])
    cuts = changes.segments(counts)
    assert len(cuts) == 2
    assert abs(cuts[0] - 40) <= 2
    assert abs(cuts[1] - 80) <= 2
    false = sum(bool(changes.segments(rng.poisson(3, 60))) for _ in range(100))
    assert false <= 5


def test_the_threshold_of_a_chart_keeps_its_false_alarms():
    rng = np.random.default_rng(6)
    reference = changes.cusum_reference(2, 5)
    height = changes.cusum_threshold(2, reference, 182, rng)
    paths = [changes.cusum(rng.poisson(2, 2000), reference) for _ in range(300)]
    first = [np.argmax(p >= height) + 1 if (p >= height).any() else 2000 for p in paths]
    assert 130 <= np.mean(first) <= 250


def test_x22_co_failure(golden):
    x = golden["X22_cofailure"]
    expected = domains.expected_pairs(625, 20, 10 / 1440, 28, 0.0065)
    assert close(expected, x["expected_pairs"])
    assert close(domains.pairs_p(6, expected), x["p_obs6"])


def test_x43_blast_radius(golden):
    x = golden["X43_blast"]
    assert close(
        domains.expected_loss([0.7, 0.3], [x["nvl72_node_tray"], x["nvl72_rack"]], [2, 3]),
        x["exp_gpu_hours"],
    )


def test_pairs_are_counted_as_by_hand():
    node = np.array([0, 1, 1, 2, 0])
    at = np.array([0.0, 5.0, 6.0, 7.0, 100.0])
    assert domains.pairs_within([0, 0, 0, 1, 0], node, at, 10).tolist() == [2, 0]


def test_planted_rack_bursts_are_found_and_independent_failures_raise_no_alarm():
    """P-8: false alarms at most 5 %, a rack that fails together stands out."""
    rng = np.random.default_rng(22)
    racks, size = 50, 16
    home = np.repeat(np.arange(racks), size)
    alarms = 0
    for _ in range(60):
        node = rng.integers(0, racks * size, 300)
        at = rng.uniform(0, 28, 300)
        alarms += shuffles.shuffled(home, node, at, 1 / 24, rng, draws=99).p <= 0.05
    assert alarms <= stats.binom.ppf(0.999, 60, 0.05)
    node = np.concatenate([rng.integers(0, racks * size, 300), 7 * size + np.arange(4)])
    at = np.concatenate([rng.uniform(0, 28, 300), 14 + np.arange(4) / 1440])
    found = shuffles.shuffled(home, node, at, 1 / 144, rng, draws=999)
    assert found.p <= 0.01
    assert np.flatnonzero(domains.benjamini_hochberg(found.domain_p)).tolist() == [7]


def test_x21_precursor(golden):
    x = golden["X21_precursor"]
    ratio, p, drains = precursors.person_time(18, 900, 60, 30_000, 7)
    assert close((ratio.ratio, ratio.low, ratio.high), (x["rr"], x["lo"], x["hi"]))
    assert close(ratio.p, x["p"])
    assert close((p, drains), (x["ppv7"], x["drains_per_failure"]))


def test_time_after_a_sign_is_split_as_by_hand():
    """Two signs of node 0 overlap into days 1 to 11; failures at 3 (lead 2) and 20; node 1 quiet."""
    found = precursors.precursor([0, 0], [1, 4], [0, 0], [3, 20], [0, 0], [30, 30], window=7)
    assert found.exposed_days == 10
    assert found.exposed_failures == 1
    assert found.ratio.ratio == pytest.approx((1 / 10) / (1 / 50))
    assert found.precision[0] == 1
    assert found.recall[0] == 0.5
    assert found.lead_median == 2


def test_a_sign_that_foretells_nothing_has_a_ratio_around_one():
    rng = np.random.default_rng(2)
    nodes = np.zeros(500)
    covered = 0
    for _ in range(100):
        signs, failures = rng.integers(0, 500, 200), rng.integers(0, 500, 200)
        at, when = rng.uniform(0, 90, 200), rng.uniform(0, 90, 200)
        ratio = precursors.precursor(signs, at, failures, when, nodes, nodes + 90).ratio
        covered += ratio.low <= 1 <= ratio.high
    assert covered >= stats.binom.ppf(0.001, 100, 0.95)


@pytest.mark.parametrize("mean", [0.5, 1, 2, 5, 10, 20, 50])
def test_exact_limits_cover_what_they_promise(mean):
    """P-5, computed and not drawn: coverage over all counts that a mean may give."""
    counts = np.arange(0, 200)
    lo, hi = count_limits(counts)
    inside = (lo <= mean) & (mean <= hi)
    assert stats.poisson.pmf(counts[inside], mean).sum() >= 0.95


def test_the_weibull_test_of_a_constant_hazard_has_its_size_and_power():
    rng = np.random.default_rng(17)

    def rejected(shape, draws=200):
        hits = 0
        for _ in range(draws):
            lives = rng.weibull(shape, 60)
            cut = np.minimum(lives, 1.5)
            hits += weibull.fit(cut, lives < 1.5).p_memoryless <= 0.05
        return hits

    assert rejected(1.0) <= stats.binom.ppf(0.9999, 200, 0.06)
    assert rejected(1.6) >= 160


def test_trend_tests_have_their_size_and_power():
    rng = np.random.default_rng(19)
    quiet = [trends.trend(rng.uniform(0, 100, 40), 100) for _ in range(400)]
    for p in ("laplace_p", "mil_p"):
        hits = sum(getattr(t, p) <= 0.05 for t in quiet)
        assert stats.binom.ppf(0.0001, 400, 0.05) <= hits <= stats.binom.ppf(0.9999, 400, 0.05)
    worse = [trends.trend(100 * rng.uniform(0, 1, 40) ** (1 / 1.8), 100) for _ in range(200)]
    assert sum(t.reading == "worsening" for t in worse) >= 180
