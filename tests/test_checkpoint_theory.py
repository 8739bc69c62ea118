"""Checkpoint economics against the worked values of the methods (section 5 and S-3)."""

import numpy as np
import pytest

from transforms import checkpoint_theory as theory
from transforms.projection import job_mttf_hours

close = pytest.approx


@pytest.mark.parametrize(
    ("between", "key"), [(24 * 60, "m24h"), (6 * 60, "m6h"), (15, "m15m")], ids=str
)
def test_x13_the_best_interval(golden, between, key):
    assert theory.daly(5, between) == close(golden["X13_daly"][key], rel=1e-9)
    assert theory.young(5, between) == close(golden["X13_daly"][f"young{key[1:]}"], rel=1e-9)
    exact = golden["X13b_exact"][{"m15m": "tau_exact_15m"}.get(key, f"tau_exact_{key}")]
    found = theory.best_interval(5, between)
    assert found == close(exact, rel=1e-9)
    kept = golden["X13b_exact"][{"m15m": "ettr_15m"}.get(key, f"ettr_{key}")]
    assert theory.ettr(found, 5, between, 10) == close(kept, rel=1e-9)
    around = theory.ettr(np.array([0.97, 1.0, 1.03]) * found, 5, between, 10)
    assert around.argmax() == 1


def test_x14_published_values(golden):
    x = golden["X14_kokolis"]
    between = 60 * job_mttf_hours(6.5, 16_000)
    assert theory.ettr_first_order(60, 0, between, 5) == close(x["e_60min"], rel=1e-9)
    assert theory.ettr_first_order(5, 0, between, 5) == close(x["e_5min"], rel=1e-9)
    half = 60 * job_mttf_hours(6.5, 8_000)
    assert theory.ettr_first_order(30, 0, half, 5) == close(x["e_8000_30min"], rel=1e-9)
    rsc2 = 60 * job_mttf_hours(2.34, 100_000)
    assert theory.ettr_first_order(2, 0, rsc2, 2) == close(x["e_100k_rsc2_2_2"], rel=1e-9)
    queued = theory.ettr_queued(7 * 24 * 60, 30, half, 5, 1)
    assert queued == close(golden["X14b_queue"]["e"], rel=1e-9)


def test_x41_first_order_against_exact(golden):
    x = golden["X41_first_vs_exact"]
    between = x["M"]
    for write, recovery, name in ((1, 10, "w60_R10"), (1 / 60, 2, "w1_R2")):
        interval = theory.best_interval(write, between)
        exact = theory.ettr(interval, write, between, recovery)
        assert exact == close(x[f"exact_{name}"], rel=1e-3)
        first = theory.ettr_first_order(theory.young(write, between), write, between, recovery)
        assert first == close(x[f"first_{name}"], abs=0.02)


def test_x28_two_levels(golden):
    x = golden["X28_two_level"]
    found = theory.two_levels((1 / 60, 20, 2), (1, 180, 10))
    assert (found.near, found.far) == close((x["tau1"], x["tau2"]), rel=1e-9)
    assert found.ettr == close(x["ettr"], rel=1e-9)
    best = theory.best_interval(1, 18)
    assert theory.ettr(best, 1, 18, 10) == close(x["single_exact"], rel=1e-9)


def test_x16_the_share_kept_against_size(golden):
    pairs = ((1, 10), (1 / 6, 10), (1 / 6, 3), (1 / 60, 2))
    for rate, gpus, minutes, *told in golden["X16_ettr_vs_N"]:
        between = 60 * job_mttf_hours(rate, gpus)
        assert between == close(minutes, abs=0.006)
        for (write, recovery), interval, kept in zip(pairs, told[::2], told[1::2], strict=True):
            found = theory.best_interval(write, between)
            assert found == close(interval, abs=0.006)
            assert theory.ettr(found, write, between, recovery) == close(kept, abs=6e-5)
