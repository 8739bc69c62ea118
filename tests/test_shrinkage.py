"""Scaling, prediction and shrinkage: worked examples X6 and X8 of the methods, to 1e-9."""

import numpy as np
import pytest

from transforms.comparison import surprise
from transforms.mtbf import rate
from transforms.projection import implied_rate, job_mttf_hours, next_count, project
from transforms.reliability.dispersion import dispersion
from transforms.shrinkage import (
    Prior,
    fit,
    log_likelihood,
    moments,
    poisson_log_likelihood,
    posterior,
)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def test_x6_job_mttf_scales_with_its_gpus(golden):
    x = golden["X6_scale"]
    assert job_mttf_hours(6.5, 16_384) == close(x["rsc1_16384"])
    assert job_mttf_hours(6.5, 131_072) == close(x["rsc1_131072"])
    assert job_mttf_hours(6.5, 1_024) == close(x["rsc1_1024"])
    assert 60 * job_mttf_hours(6.5, 100_000) == close(x["rsc1_100k_min"])
    assert 60 * job_mttf_hours(2.34, 100_000) == close(x["rsc2_100k_min"])
    assert implied_rate(7.9, 1_024) == close(x["implied_rate_from_7p9h"])
    assert implied_rate(47.7 * 24, 8) == close(x["implied_rate_from_47p7d"])


def test_x6b_a_projection_carries_the_interval_of_its_rate(golden):
    x = golden["X6b_band"]
    found = project(65, 10_000, gpus=100_000, largest_seen_gpus=4_096)
    assert [60 * v for v in (found.hours, found.lo, found.hi)] == close(
        [x["mttf_min_100k"], x["lo"], x["hi"]]
    )
    assert found.is_extrapolated
    assert not project(65, 10_000, gpus=40_960, largest_seen_gpus=4_096).is_extrapolated


def test_x6c_failures_of_the_next_week(golden):
    x = golden["X6c_predict_week"]
    found = next_count(65, 10_000, 12_500 * 7)
    assert [found.mean, found.lo, found.median, found.hi] == close(
        [x["mean"], x["lo"], x["med"], x["hi"]]
    )


def test_x8_a_unit_is_drawn_towards_its_fleet(golden):
    x, prior = golden["X8_gamma_poisson"], Prior(2, 300)
    found = posterior(prior, 4, 28)
    assert 1000 * prior.mean == close(x["fleet"])
    assert rate(4, 28).per_1000_node_days == close(x["raw"])
    assert found.mean == close(x["post_mean"])
    assert found.surely == close(x["post_lo5"])
    assert found.p_above == close(x["p_gt_3x"])
    assert found.weight == close(x["shrink_weight"])


def test_x8b_the_prior_is_fitted_to_the_fleet(golden):
    x = golden["X8b_eb_fit"]
    counts = np.repeat([0, 1, 2, 3, 5, 8], [70, 20, 5, 2, 2, 1]).astype(float)
    days = np.full(100, 28.0)
    seen = (len(counts), counts.sum(), counts.mean(), counts.var(ddof=1))
    assert seen == close(tuple(x[name] for name in ("n", "total", "mean", "var")))
    assert rate(54, 2800).per_1000_node_days == close(x["fleet_per1000"])
    assert dispersion(counts).phi == close(x["dispersion"])
    rough = moments(counts, 28.0)
    assert rough == Prior(close(x["mom_alpha"]), close(x["mom_beta"]))
    found = fit(counts, days)
    # The golden parameters stand where an optimiser stopped; the likelihood there is flat.
    assert found.shape == pytest.approx(x["alpha"], rel=1e-6)
    assert found.exposure == pytest.approx(x["beta"], rel=1e-6)
    assert -log_likelihood(found, counts, days) == close(x["nll"])
    assert -poisson_log_likelihood(counts, days) == close(x["nll_poisson"])
    assert posterior(found, 8, 28).mean == pytest.approx(x["post8"], rel=1e-6)
    assert posterior(found, 0, 28).mean == pytest.approx(x["post0"], rel=1e-6)


def test_x8c_poisson_tails_of_a_single_node(golden):
    x = golden["X8c_poisson_test"]
    assert rate(54, 2800).per_1000_node_days * 28 / 1000 == close(x["expected"])
    tails = np.array([surprise(count, x["expected"]) for count in (2, 3, 5, 8)])
    assert (tails < x["bonferroni_cut"]).tolist() == [False, False, True, True]
    assert tails == close([x["p2"], x["p3"], x["p5"], x["p8"]])


def test_a_fleet_without_extra_spread_ranks_nobody():
    counts = np.array([0, 1] * 50, dtype=float)
    assert fit(counts, np.full(100, 28.0)) is None
    assert fit(np.array([3.0]), np.array([28.0])) is None


def test_the_fit_finds_the_spread_that_made_the_counts():
    generator = np.random.default_rng(3)
    days = generator.uniform(20, 90, 40_000)
    counts = generator.poisson(generator.gamma(0.8, 1 / 120, 40_000) * days)
    found = fit(counts, days)
    assert found.shape == pytest.approx(0.8, rel=0.05)
    assert found.exposure == pytest.approx(120, rel=0.06)
