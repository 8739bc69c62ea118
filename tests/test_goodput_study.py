"""The goodput of runs, its bounds, and the interval of the mean over runs (G-11)."""

from datetime import date

import numpy as np
import pytest
from ledger_frames import rows

from transforms.studies import BY_NAME, Asked, RefusalError

HOUR_MS = 3_600_000


def told(run, leaf, hours, *, loose=False, cluster="c"):
    return {
        "day": date(2026, 3, 2), "cluster": cluster, "run": run, "leaf": leaf, "cause": "",
        "incident": "", "evidence": "steps", "provisional": loose, "gpu_ms": hours * HOUR_MS,
    }  # fmt: skip


def asked(*given, level=0.95, seed=1):
    return BY_NAME["goodput"].by(Asked(level=level, seed=seed), run_time=rows("run_time", *given))


def test_a_run_has_bounds_and_no_sampling_interval():
    made = asked(
        told("r", "ideal", 60), told("r", "ideal", 10, loose=True), told("r", "slow", 6),
        told("r", "unknown", 4), told("r", "hang", 10), told("r", "queue_wait", 10),
        told("r", "not_measured", 900),
    )  # fmt: skip
    (whole, run) = made.to_dicts()
    assert (whole["scope"], whole["runs"], run["run"]) == ("all", 1, "r")
    for row in (whole, run):
        assert row["gpu_hours"] == 100
        assert (row["goodput_lo"], row["goodput"], row["goodput_hi"]) == (0.66, 0.76, 0.80)
        assert row["coverage"] == pytest.approx(86 / 90, rel=1e-12)
        assert (row["sampled_lo"], row["sampled_hi"]) == (None, None)


def test_below_95_percent_coverage_there_are_bounds_and_no_point():
    made = asked(told("r", "ideal", 90), told("r", "unknown", 10))
    assert made["goodput"].to_list() == [None, None]
    assert made["goodput_lo"].to_list() == [0.9, 0.9]
    assert made["goodput_hi"].to_list() == [1.0, 1.0]


def test_runs_without_logs_are_left_out_and_alone_refused():
    assert asked(told("r", "ideal", 1), told("dev", "not_measured", 9))["run"].to_list() == [
        "",
        "r",
    ]
    with pytest.raises(RefusalError, match="no run logged its steps"):
        asked(told("dev", "not_measured", 9), told("dev", "queue_wait", 1))


def test_runs_of_one_goodput_have_an_interval_without_width():
    made = asked(*(t for n in range(6) for t in (told(f"r{n}", "ideal", 8 * n + 8), told(f"r{n}", "hang", 2 * n + 2))))  # fmt: skip
    assert made["run"][1] == "r5"
    assert made.row(0, named=True)["sampled_lo"] == pytest.approx(0.8, rel=1e-12)
    assert made.row(0, named=True)["sampled_hi"] == pytest.approx(0.8, rel=1e-12)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    """A hundred draws of 60 runs; runs with more GPU-hours keep more, so that weights matter."""
    rng = np.random.default_rng(7)
    hours = rng.integers(10, 1_000, 5_000)
    kept = np.rint(hours * np.clip(0.6 + 0.0003 * hours + rng.normal(0, 0.1, 5_000), 0, 1))
    true = kept.sum() / hours.sum()
    held = 0
    for turn in range(100):
        some = rng.integers(0, 5_000, 60)
        given = [
            told(f"r{place}", leaf, int(ms))
            for place, n in enumerate(some)
            for leaf, ms in (("ideal", kept[n]), ("hang", hours[n] - kept[n]))
            if ms
        ]
        row = asked(*given, seed=turn).row(0, named=True)
        held += row["sampled_lo"] <= true <= row["sampled_hi"]
    assert held >= 87
