"""Worked examples of the methods, through our public functions, to 1e-9."""

import math
import re
from pathlib import Path

import pytest

from transforms import mtbf
from transforms.ledger import readouts
from transforms.poisson import no_failure_bound
from transforms.repair_times import repair_times


def close(found: float, wanted: float) -> bool:
    return found == pytest.approx(wanted, rel=1e-9)


def test_x2_rate_of_a_fixed_window(golden):
    x = golden["X2_rate_time_truncated"]
    found = mtbf.rate(x["r"], x["T_node_days"])
    assert close(found.per_1000_node_days, x["rate_per_1000"])
    assert close(found.lo, x["lo"])
    assert close(found.hi, x["hi"])
    assert close(found.mtbf_node_days, x["mtbf_nd"])
    assert close(found.mtbf_lo, x["mtbf_lo"])
    assert close(found.mtbf_hi, x["mtbf_hi"])


def test_x2b_rate_of_a_window_stopped_by_a_failure(golden):
    x = golden["X2b_rate_failure_truncated"]
    found = mtbf.rate(7, 1000, stopped_by="failure")
    assert close(found.lo, x["lo"])
    assert close(found.hi, x["hi"])
    assert close(found.mtbf_lo, x["mtbf_lo"])
    assert close(found.mtbf_hi, x["mtbf_hi"])


def test_x3_no_failure(golden):
    x = golden["X3_zero"]
    bound = no_failure_bound(x["T"])
    assert close(bound, x["upper95_one_sided_per1000"])
    assert close(1000 / bound, x["mtbf_lower95"])
    assert close(mtbf.rate(0, x["T"]).hi, x["upper_two_sided95_per1000"])


def test_x4_units(golden):
    x = golden["X4_units"]
    found = mtbf.units(0.0065, gpus_per_node=8)
    assert close(found.per_node_hour, x["per_node_hour"])
    assert close(found.fit_per_node, x["fit_node"])
    assert close(found.mtbf_node_days, x["mtbf_node_days"])
    assert close(found.per_node_year, x["annual_expected"])
    assert close(found.annual_probability, x["afr_prob"])
    assert close(found.per_gpu_day, x["per_gpu_day"])
    assert close(found.fit_per_gpu, x["fit_gpu"])


def test_x5_llama_3(golden):
    x = golden["X5_llama3"]
    found = mtbf.rate(419, 2048 * 54)
    assert found.node_days == x["node_days"]
    assert close(found.per_1000_node_days, x["rate_per_1000"])
    assert close(found.lo, x["lo"])
    assert close(found.hi, x["hi"])
    mean, low, high = mtbf.mean_time_between(419, 54 * 24)
    assert close(mean, x["mtbi_h"])
    assert close(low, x["mtbi_lo"])
    assert close(high, x["mtbi_hi"])
    gpu_days, _, _ = mtbf.mean_time_between(419, 16_384 * 54)
    assert close(gpu_days, x["gpu_days_per_interruption"])


def test_x6b_time_between_failures_of_100_000_gpus(golden):
    x = golden["X6b_band"]
    found = mtbf.rate(x["r"], x["T"])
    minutes = 24 * 60 / (100_000 / 8)
    assert close(found.mtbf_node_days * minutes, x["mttf_min_100k"])
    assert close(found.mtbf_lo * minutes, x["lo"])
    assert close(found.mtbf_hi * minutes, x["hi"])


def test_x9_availability(golden):
    x = golden["X9_availability"]
    found = mtbf.availability(20, up=20_000, down=400)
    assert close(found.availability, x["A"])
    assert close(found.lo, x["lo"])
    assert close(found.hi, x["hi"])
    assert (found.mtbf, found.mttr) == (x["mtbf"], x["mttr"])


def test_x15_three_clocks(golden):
    x = golden["X15_clocks"]
    found = mtbf.effective_share(x["M"], x["R"])
    assert close(found["wall"], x["wall"])
    assert close(found["memoryless"], x["daly_exp"])
    assert close(found["uptime"], x["uptime"])


def test_x33_down_time_between_heartbeats(golden):
    x = golden["X33_heartbeat"]
    shortest, middle, longest = mtbf.down_bounds(0, 13 * 60_000, 60_000)
    assert (shortest, longest) == (x["min_down"] * 1000, x["max_down"] * 1000)
    assert middle == 720_000


def test_x35_repair_times(golden):
    x = golden["X35_mttr"]
    found = repair_times([1, 2, 3, 4, 8, 24])
    assert close(found.mean, x["mean"])
    assert close(found.median, x["median"])
    assert close(found.log_mean, x["ln_mu"])
    assert close(found.log_sd, x["ln_sigma"])
    assert close(found.lognormal_mean, x["ln_mean"])
    # The golden p90 was made with the normal quantile rounded to 1.2815516; ours is exact.
    assert close(math.exp(found.log_mean + 1.2815516 * found.log_sd), x["p90"])
    assert found.lognormal_p90 == pytest.approx(x["p90"], rel=1e-7)


def test_x42_a_job_meets_a_failure(golden):
    x = golden["X42_job_fail"]
    assert close(0.0065 * 64 * 1, x["expected"])
    assert close(mtbf.failure_probability(0.0065, nodes=64, days=1), x["p"])


def test_x34_model_flops_utilisation(golden):
    x = golden["X34_mfu"]
    assert close(readouts.mfu(405e9, x["tokens_per_s"], 16_384, 989e12), x["mfu"])


OF_GOODPUT = (
    *("X18_money", "X19_identity", "X19b_straggler", "X34_mfu", "X36_hang", "X37_google_runtime"),
    *("X38_goodput_loss", "X44_boundary", "X47_slowest"),
)


@pytest.mark.parametrize("key", OF_GOODPUT)
def test_every_example_of_goodput_is_held_by_a_test(golden, key):
    """Section 4 of the methods and what it needs of others: each value is asked for somewhere."""
    assert key in golden
    asked = re.compile(rf'golden\["{key}"\]')
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    assert any(asked.search(text) for text in texts)
