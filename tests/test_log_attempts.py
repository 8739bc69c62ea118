"""Attempts told by training logs alone (methods T-3): where they begin, end, and how."""

from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from ledger_frames import DAY_S, MONDAY, at, mark, rows, save, step_rows

from transforms.log_attempts import log_attempts
from transforms.recipes import Window

FAR = 90 * DAY_S


def job(job_id, submitted, ended, run=None):
    return {
        "file": "a", "line_no": 1, "cluster": "c", "job_id": job_id, "submitted": submitted,
        "started": submitted, "ended": ended, "run": run, "state": "COMPLETED",
    }  # fmt: skip


def told(steps=(), marks=(), saves=(), jobs=(), days=(0, 60), horizon=FAR, seed=None):
    window = Window(MONDAY + timedelta(days[0]), MONDAY + timedelta(days[1]), at(horizon))
    frames = {
        "job_attempts": rows("job_attempts", *jobs),
        "steps": rows("steps", *steps),
        "checkpoints": rows("checkpoints", *saves),
        "run_marks": rows("run_marks", *marks),
    }
    if seed is not None:
        frames = {n: f.sample(fraction=1, shuffle=True, seed=seed) for n, f in frames.items()}
    return log_attempts(window, **frames)


def spans(attempts: pl.DataFrame) -> list[tuple]:
    since_monday = (pl.col("started", "ended") - MONDAY).dt.total_seconds()
    return attempts.select(since_monday, "state").rows()


TEN = [10] * 10


@pytest.mark.parametrize(
    ("steps", "marks", "expected"),
    [
        pytest.param(
            step_rows(1, 50, TEN),
            [mark("job_start", 0, 0), mark("job_end", 155, 155)],
            [(0, 155, "COMPLETED")],
            id="told from start to end",
        ),
        pytest.param(step_rows(1, 50, TEN), [], [(50, 150, "FAILED")], id="steps alone"),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(11, 250, TEN),
            [],
            [(50, 350, "FAILED")],
            id="ten usual steps of silence are no crash",
        ),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(11, 251, TEN),
            [],
            [(50, 150, "FAILED"), (251, 351, "FAILED")],
            id="more than ten are",
        ),
        pytest.param(
            step_rows(1, 50, [0.1] * 10) + step_rows(11, 111, [0.1] * 10),
            [],
            [(50, 112, "FAILED")],
            id="a minute of silence is no crash, however short the steps",
        ),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(8, 161, TEN),
            [],
            [(50, 150, "FAILED"), (161, 261, "FAILED")],
            id="steps go back after a pause",
        ),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(8, 150, TEN),
            [],
            [(50, 250, "FAILED")],
            id="steps go back without one: a rollback",
        ),
        pytest.param(
            step_rows(1, 2000, TEN),
            [mark("job_start", 0, 0), mark("job_start", 2, 2)],
            [(0, 2100, "FAILED")],
            id="a long start-up is no silence, and two ranks start one attempt",
        ),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(11, 900, TEN),
            [mark("eval", 150, 900)],
            [(50, 1000, "FAILED")],
            id="an evaluation is no silence",
        ),
        pytest.param(
            step_rows(1, 50, TEN) + step_rows(11, 151, TEN, restart=1),
            [],
            [(50, 150, "FAILED"), (151, 251, "FAILED")],
            id="the log counts its restarts",
        ),
        pytest.param(
            [], [mark("job_start", 5, 5)], [(5, 5, "FAILED")], id="died before its first step"
        ),
    ],
)
def test_attempts_begin_and_end_where_the_log_says(steps, marks, expected):
    assert spans(told(steps, marks)) == expected


@pytest.mark.parametrize(
    ("horizon", "state"), [(150, "RUNNING"), (250, "RUNNING"), (251, "FAILED")]
)
def test_a_log_that_was_just_written_to_is_of_a_run_that_lives(horizon, state):
    (attempt,) = told(step_rows(1, 50, TEN), horizon=horizon).to_dicts()
    assert attempt["state"] == state
    assert (attempt["ended"] is None) == (state == "RUNNING")


@pytest.mark.parametrize(
    ("jobs", "attempts"),
    [
        pytest.param([], 1, id="no record"),
        pytest.param([job("1", 0, 200)], 0, id="its job"),
        pytest.param([job("9", 0, 200, run="r")], 0, id="another job of its run"),
        pytest.param([job("9", 0, 200)], 1, id="another job"),
        pytest.param([job("1", 0, 200) | {"cluster": "d"}], 1, id="another cluster's job"),
        pytest.param([job("1", 30 * DAY_S, 31 * DAY_S)], 1, id="its id, used again much later"),
        pytest.param([job("1", -40 * DAY_S, None)], 0, id="its job, running for long"),
    ],
)
def test_what_a_scheduler_knows_is_left_to_it(jobs, attempts):
    assert len(told(step_rows(1, 50, TEN), jobs=jobs)) == attempts


def test_another_job_of_a_known_run_is_left_to_the_run():
    steps = step_rows(1, 50, TEN) + step_rows(11, 500, TEN, job_id="2")
    assert told(steps, jobs=[job("1", 0, 200)]).is_empty()


@pytest.mark.parametrize(("gpus", "expected"), [((None, None), [1, 1]), ((16, None), [16, 16])])
def test_gpus_are_those_last_told_or_else_one(gpus, expected):
    marks = [mark("job_start", t, t, gpus=n) for t, n in zip((0, 500), gpus, strict=True)]
    steps = step_rows(1, 50, TEN) + step_rows(11, 510, TEN)
    assert told(steps, marks)["gpus"].to_list() == expected


def two_months():
    """A step an hour, two crashes, and a day's silence."""
    steps = step_rows(1, 600, [3600] * 700) + step_rows(690, 705 * 3600, [3600] * 300)
    return {
        "steps": steps + step_rows(990, 1100 * 3600, [3600] * 300),
        "marks": [mark("job_start", 0, 0, gpus=8)],
        "saves": [save(n, 600 + n * 3600, 610 + n * 3600, None) for n in range(0, 1000, 100)],
    }


def test_a_long_run_is_told_in_pieces_without_a_gap():
    found = spans(told(**two_months()))
    assert max(ended - started for started, ended, _ in found) <= 28 * DAY_S + 3600
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(found)]
    crashes = [gap for gap, (_, _, state) in zip(gaps, found, strict=False) if state == "FAILED"]
    assert sum(gaps) == sum(crashes)
    assert crashes == [5 * 3600 - 610, 95 * 3600]  # a save was the last sign of the first


def test_days_do_not_depend_on_the_window_or_on_the_order_of_rows():
    whole = told(**two_months())
    reach = 31 * DAY_S
    by_day = []
    for day in range(60):
        near = {
            name: [
                r for r in found if (day * DAY_S - reach) <= r["began"] < (day + 1) * DAY_S + reach
            ]
            for name, found in two_months().items()
        }
        by_day.append(told(**near, days=(day, day + 1), seed=day))
    assert len(whole) > 3
    assert pl.concat(by_day).drop("gpus").equals(whole.drop("gpus"))
