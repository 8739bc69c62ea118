"""Slow spells planted in step times: their begin, size and cost, and whose fault samples show."""

from datetime import timedelta

import numpy as np
import pytest
from lakes import rows
from test_causes import T0, asked

from transforms.studies import RefusalError
from transforms.studies.slow import slow
from transforms.tables import derived as d
from transforms.tables import observed as o
from transforms.tables.hourly import SAMPLE_SIGNALS

GPUS, NODES = 16, ["n1", "n2", "n3", "n4"]


def steps(seconds, *, run="r", job="1", cluster="") -> list[dict]:
    ends = np.cumsum(seconds)
    return [
        {"cluster": cluster, "run": run, "job_id": job, "restart": 0, "step": n, "tokens": None}
        | {"began": moment(end - s), "ended": moment(end)}
        for n, (s, end) in enumerate(zip(seconds, ends, strict=True))
    ]


def moment(seconds: float):
    return T0 + timedelta(seconds=round(float(seconds), 6))


def attempt(job="1", nodes=NODES, gpus=GPUS) -> dict:
    told = {"cluster": "c", "job_id": job, "submitted": T0, "run": "r", "link": "alone"}
    told |= {"started": T0, "state": "RUNNING", "nodes": nodes, "node_count": len(nodes)}
    return told | {"gpus": gpus, "logs_steps": True}


def sign(node, kind, from_s, to_s) -> dict:
    told = {"kind": kind, "cluster": "c", "node": node, "device": "GPU-a", "metric": "m"}
    told |= {"began": moment(from_s), "ended": moment(to_s), "hour_at": T0, "times": 1}
    told |= {"amount": 1.0, "to_value": 1.0, "is_continued": False, "is_lower_bound": False}
    return told | {"note": ""}


def answer(said, signs=(), held=None, **options) -> list[dict]:
    return slow(
        asked(**options),
        steps=rows(o.STEPS, *said),
        run_attempts=rows(d.RUN_ATTEMPTS, *(held or [attempt()])),
        sample_signals=rows(SAMPLE_SIGNALS, *signs),
    ).to_dicts()


PLANTED = [10.0] * 200 + [13.0] * 60 + [10.0] * 140
BEGAN, ENDED = 2000, 2780


def test_a_planted_spell_is_found_with_its_begin_its_size_and_its_cost():
    (row,) = answer(steps(PLANTED))
    assert (row["began"], row["ended"], row["steps"]) == (moment(BEGAN), moment(ENDED), 60)
    assert (row["usual_s"], row["slow_s"], row["slowdown"]) == (10, 13, 1.3)
    assert (row["slowdown_lo"], row["slowdown_hi"]) == (1.3, 1.3)
    assert row["gpu_hours_lost"] == pytest.approx(60 * 3 * GPUS / 3600)
    assert row["attempt_slow_share"] == pytest.approx(780 / sum(PLANTED))
    assert (row["cluster"], row["verdict"]) == ("c", "no node shows a cause")


def test_the_node_that_grew_hot_with_the_spell_is_the_suspect_and_one_always_hot_is_not():
    hot = sign("n3", "thermal_slowdown", BEGAN, ENDED)
    always = [sign("n2", "thermal_slowdown", s, s + 600) for s in range(0, 4000, 600)]
    other = sign("n9", "thermal_slowdown", BEGAN, ENDED)  # of another job
    row_remap = sign("n4", "row_remap", BEGAN, ENDED)  # slows nothing
    (row,) = answer(steps(PLANTED), [hot, *always, other, row_remap])
    assert (row["verdict"], row["signs"]) == ("one suspect", "n3: thermal_slowdown")
    many = [sign(node, "power_brake", BEGAN + 5, ENDED) for node in NODES[:3]]
    (row,) = answer(steps(PLANTED), many)
    assert (row["verdict"], row["nodes_with_signs"], row["nodes"]) == ("common cause", 3, 4)


def test_noise_checkpoints_and_single_slow_blocks_are_no_spell():
    rng = np.random.default_rng(8)
    noisy = 10 * rng.lognormal(0, 0.05, 4000)
    noisy[::50] += 60  # a step that waits for a checkpoint
    noisy[1000:1020] *= 1.5  # one block alone
    assert answer(steps(noisy)) == []
    noisy[2000:2100] *= 1.25
    (row,) = answer(steps(noisy))
    assert row["slowdown_lo"] < 1.25 < row["slowdown_hi"]
    assert row["slowdown_lo"] > 1.1


def test_usual_is_not_what_became_usual():
    mostly_slow = [10.0] * 100 + [12.0] * 200
    (row,) = answer(steps(mostly_slow))
    assert (row["usual_s"], row["steps"]) == (10, 200)


def test_attempts_are_judged_apart_and_the_dearest_comes_first():
    said = steps(PLANTED) + steps([5.0] * 100 + [20.0] * 100, run="s", job="2", cluster="c")
    found = answer(said, held=[attempt(), attempt("2")])
    assert [(row["run"], row["slowdown"]) for row in found] == [("s", 4), ("r", 1.3)]
    assert [row["run"] for row in answer(said, run="r")] == ["r"]


def test_an_attempt_the_scheduler_does_not_know_has_no_cost_and_says_so():
    (row,) = answer(steps(PLANTED, job="77"))
    assert (row["gpus"], row["gpu_hours_lost"], row["verdict"]) == (None, None, "nodes not known")


def test_runs_without_steps_are_refused():
    with pytest.raises(RefusalError, match="no step of any run"):
        answer([])
    with pytest.raises(RefusalError, match="no step of x"):
        answer(steps(PLANTED), run="x")


def test_limits_hold_the_true_slowdown_as_often_as_promised():
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(60):
        seconds = 10 * rng.lognormal(0, 0.1, 400)
        seconds[100:220] *= 1.5
        (row,) = answer(steps(seconds))
        # blocks at the edges take no step from outside, so the median is of 1.5 x the usual law
        true = 1.5 * 10 / row["usual_s"]
        held += row["slowdown_lo"] <= true <= row["slowdown_hi"]
    assert held >= 52  # 57 of 60 expected at 95 %; below 52 by chance once in 150
