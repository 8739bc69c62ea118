"""Advice on checkpoints and the projection to other sizes, on small frames with known answers."""

import math

import polars as pl
import pytest
from ledger_frames import DAY_S, MONDAY, attempt, rows, save, stop

from transforms import checkpoint_theory as theory
from transforms.studies import BY_NAME, Asked, RefusalError

HOUR = 3600
close = pytest.approx


def saving(run: str, interval: float, stall: float, count: int) -> list[dict]:
    """Saves of one run, each after `interval` productive seconds, safe 30 s later."""
    starts = [(interval + stall) * n for n in range(count)]
    return [
        {**save(n, at, at + stall, at + stall + 30), "run": run, "job_id": run}
        for n, at in enumerate(starts)
    ]


def lived(run: str, hours: float, stops: int, interval: float = HOUR) -> dict[str, list[dict]]:
    """A run on 16 GPUs that trained for `hours` and took half an hour to come back each time."""
    held = attempt(0, hours * HOUR, ["a", "b"], run=run, job_id=run)
    spent = {
        "day": MONDAY.date(), "cluster": "c", "run": run,
        "leaf": "ideal", "cause": "", "incident": "", "provisional": False,
        "gpu_ms": int(hours * 16 * 3.6e6),
    }  # fmt: skip
    ends = [
        stop(held, HOUR * (n + 1), HOUR * (n + 1), resumed_at=HOUR * (n + 1.5))
        for n in range(stops)
    ]
    return {
        "run_attempts": [held],
        "run_time": [spent],
        "checkpoints": saving(run, interval, 10, 5),
        "interruptions": ends,
    }


def advised(*runs: dict[str, list[dict]], **options: str) -> pl.DataFrame:
    names = ("run_time", "run_attempts", "checkpoints", "interruptions")
    frames = {name: rows(name, *(row for run in runs for row in run[name])) for name in names}
    return BY_NAME["checkpoint"].by(Asked(options=options), **frames)


def test_a_run_is_told_its_best_interval_and_what_it_gains():
    (row,) = advised(lived("r", 200, 20)).rows(named=True)
    assert (row["stall_s"], row["interval_s"], row["persist_s"]) == (10, HOUR, 30)
    assert (row["stops"], row["between_h"], row["recovery_min"]) == (20, 10, 30)
    assert not row["is_borrowed"]
    best = theory.best_interval(10, 10 * HOUR)
    assert row["best_s"] == close(best)
    assert row["best_s_lo"] < best < row["best_s_hi"]
    now, then = (theory.ettr(t, 10, 10 * HOUR, 1830) for t in (HOUR, best))
    assert row["gain_gpu_h_week"] == close((then - now) * 16 * 168)
    assert 0 < row["gain_lo"] < row["gain_gpu_h_week"] < row["gain_hi"]
    assert row["advice"] == "save more often"


def test_a_run_near_its_best_is_left_alone():
    best = theory.best_interval(10, 10 * HOUR)
    (row,) = advised(lived("r", 200, 20, interval=best * 1.05)).rows(named=True)
    assert row["gain_lo"] < 0 < row["gain_hi"]
    assert row["advice"].startswith("leave it")


def test_a_run_that_hardly_stopped_borrows_from_the_others():
    told = advised(lived("r", 200, 20), lived("young", 10, 1), lived("lucky", 10, 0))
    young, lucky = (
        told.row(by_predicate=pl.col("run") == n, named=True) for n in ("young", "lucky")
    )
    assert young["is_borrowed"]
    assert lucky["is_borrowed"]
    # One stop of all runs in 220 / 21 hours, and its own.
    assert young["between_h"] == close((220 / 21 + 10) / 2)
    assert lucky["between_h"] == close(220 / 21 + 10)
    assert lucky["recovery_min"] == 30


def test_runs_that_never_stop_get_no_advice():
    (row,) = advised(lived("r", 200, 0)).rows(named=True)
    assert row["advice"] == "no run has stopped: nothing to weigh"
    assert row["best_s"] is None
    with pytest.raises(RefusalError, match="no run has stopped"):
        advised(lived("r", 200, 0), at="curve")
    with pytest.raises(RefusalError, match="run 'x' logs both"):
        advised(lived("r", 200, 1), run="x")


def test_a_curve_is_flat_at_the_best_interval():
    curve = advised(lived("r", 200, 20), at="curve")
    top = curve.row(curve["ettr"].arg_max(), named=True)
    assert top["interval_min"] == close(theory.best_interval(10, 10 * HOUR) / 60)
    assert (curve["ettr_lo"] < curve["ettr"]).all()
    assert (curve["ettr"] < curve["ettr_hi"]).all()


def projected(r: int, node_days: int, largest: int = 16_384, **options: str) -> pl.DataFrame:
    day = {"day": MONDAY.date(), "cluster": "c"}
    failed = {
        **day, "node": "a", "class": "GPU", "component": "lost", "definition": "coalesced-180s",
        "failures": r,
    }  # fmt: skip
    exposed = {
        "gpus": 8,
        "wall_ms": DAY_S * 1000,
        "in_service_ms": DAY_S * 1000,
        "unobserved_ms": 0,
    }
    job = attempt(0, 1, ["a"], gpus=largest)
    return BY_NAME["project"].by(
        Asked(options=options),
        failures=rows("failures", *([failed] if r else [])),
        exposure=rows("exposure", *({**day, "node": f"n{n}", **exposed} for n in range(node_days))),
        run_attempts=rows("run_attempts", job),
        checkpoints=rows("checkpoints", *saving("r", HOUR, 10, 2)),
        interruptions=rows("interruptions", stop(job, 0, 0, resumed_at=600)),
    )


def test_x6_a_fleet_s_rate_is_taken_to_a_hundred_thousand_gpus(golden):
    x = golden["X6b_band"]
    told = projected(65, 10_000, gpus="16384,131072,100000")
    assert told["mttf_h"][:2].to_list() == close([1.803, 0.2254], rel=1e-3)
    big = told.row(2, named=True)
    minutes = [60 * big[name] for name in ("mttf_h", "mttf_h_lo", "mttf_h_hi")]
    assert minutes == close([x["mttf_min_100k"], x["lo"], x["hi"]], rel=1e-9)
    # As read from the runs: 10 s that a save blocks, 10 min to come back (X16).
    assert big["ettr"] == close(0.4943, abs=6e-5)
    assert big["ettr_lo"] < big["ettr"] < big["ettr_hi"]
    week = golden["X6c_predict_week"]
    assert big["next_week"] == close(week["mean"], abs=0.06)
    assert told["is_extrapolated"].to_list() == [False, False, False]
    assert projected(65, 100, largest=256, gpus="2560,2561")["is_extrapolated"].to_list() == [
        False,
        True,
    ]


def test_what_is_given_wins_over_what_was_seen():
    (row,) = projected(65, 10_000, gpus="100000", write="1", recovery="2").rows(named=True)
    assert row["ettr"] == close(0.8551, abs=6e-5)
    assert math.isclose(row["best_interval_min"], 0.76, abs_tol=6e-3)


@pytest.mark.parametrize(
    ("r", "options", "words"),
    [(0, {}, "no rate to project"), (5, {"gpus": "many"}, "write numbers of GPUs"), (5, {"write": "x"}, "no number")],
    ids=("no failure", "no size", "no seconds"),
)  # fmt: skip
def test_what_cannot_be_projected_is_refused(r, options, words):
    with pytest.raises(RefusalError, match=words):
        projected(r, 10, **options)
