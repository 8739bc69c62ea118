"""Screens for silent corruption: who counts, at which level, over which months."""

from datetime import timedelta

import pytest
from lakes import rows
from scipy import stats
from test_causes import T0, asked

from transforms.studies import RefusalError
from transforms.studies.sdc import sdc
from transforms.tables import observed as o


def event(days, device, reason, reporter="dcgm-l4", node="n1") -> dict:
    told = {"cluster": "c", "node": node, "observed_at": T0 + timedelta(days=days)}
    told |= {"reporter": reporter, "object": "", "reason": reason, "code": 0, "level": "info"}
    return told | {"device": device, "detail": ""}


def answer(*said) -> dict[str, dict]:
    found = sdc(asked(), cluster_events=rows(o.CLUSTER_EVENTS, *said)).to_dicts()
    return {row["method"]: row for row in found}


PASSED = [event(k % 28, f"GPU-{k}", "sdc_screen_passed") for k in range(997)]


def test_a_device_counts_once_at_its_highest_level():
    row = answer(
        *PASSED,
        event(1, "GPU-a", "sdc_suspected"),
        event(2, "GPU-a", "sdc_reproduced"),
        event(9, "GPU-a", "sdc_confirmed"),
        event(3, "GPU-b", "sdc_suspected"),
        event(3, "GPU-c", "sdc_screen_passed"),
        event(4, "GPU-c", "sdc_reproduced"),
    )["dcgm-l4"]
    assert (row["devices"], row["screens"], row["device_months"]) == (1000, 1003, 1000)
    assert (row["suspected"], row["reproduced"], row["confirmed"]) == (1, 1, 1)
    assert row["per_1000_device_months"] == 1
    assert row["per_1000_device_months_lo"] == pytest.approx(0.025318, abs=1e-6)
    assert row["per_1000_device_months_hi"] == pytest.approx(5.571643, abs=1e-6)
    exact = stats.binomtest(1, 1000).proportion_ci(0.95, "exact")
    assert (row["share_lo"], row["share_hi"]) == pytest.approx((exact.low, exact.high), rel=1e-9)


def test_months_are_counted_device_by_device():
    said = [event(d, "GPU-a", "sdc_screen_passed") for d in (0, 1, 40, 41, 100)]
    said += [
        event(0, "GPU-b", "sdc_screen_passed"),
        event(0, "GPU-b", "sdc_screen_passed", node="n2"),
    ]
    row = answer(*said)["dcgm-l4"]
    assert (row["devices"], row["device_months"]) == (3, 5)  # March, April and June; two in March
    assert (row["share_lo"], row["confirmed"]) == (0, 0)


def test_a_bench_confirms_for_the_method_that_suspected_and_methods_stay_apart():
    said = [
        event(1, "GPU-a", "sdc_suspected", "loss-spike"),
        event(1, "GPU-a", "sdc_screen_passed", "dcgm-l4"),
        event(1, "GPU-b", "sdc_screen_passed", "dcgm-l4"),
        event(5, "GPU-a", "sdc_confirmed", "bench"),
        event(5, "GPU-z", "sdc_confirmed", "bench"),  # nobody had screened it
    ]
    found = answer(*said)
    assert {name: row["confirmed"] for name, row in found.items()} == {
        "loss-spike": 1,
        "dcgm-l4": 0,
    }
    assert found["loss-spike"]["share_hi"] == 1
    early = [said[0] | {"observed_at": T0 + timedelta(days=9)}, *said[1:]]
    assert answer(*early)["loss-spike"]["confirmed"] == 0  # confirmed before it was suspected


def test_a_lake_without_screens_is_refused_with_what_to_bring():
    with pytest.raises(RefusalError, match="sdc_screen_passed, sdc_suspected"):
        answer(event(1, "GPU-a", "GPULost"))
