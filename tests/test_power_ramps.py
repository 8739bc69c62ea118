"""The question of power swings: silent GPUs are no drop, and every figure by hand."""

from datetime import timedelta

import duckdb
import polars as pl
import pytest
from lakes import rows
from test_causes import T0

from flows.share import sql_files
from transforms.tables.samples import GPU_SAMPLES

QUESTION = next(path for path in sql_files("questions") if path.stem == "power_ramps").read_text()


def told(second, watts, gpu=0, cluster="c", instance="") -> dict:
    return {"cluster": cluster, "node": f"n{gpu // 8}", "gpu": f"GPU-{gpu}", "power_w": watts} | {
        "gpu_instance": instance,
        "observed_at": T0 + timedelta(seconds=second),
    }


def answer(*said) -> list[dict]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("gpu_samples", rows(GPU_SAMPLES, *said).to_arrow())
    until = T0 + timedelta(days=1)
    found = connection.sql(QUESTION, params={"since": str(T0), "until": str(until)})
    return pl.DataFrame(found.to_arrow_table()).to_dicts()


def minutes(watts, gpu=0, **more) -> list[dict]:
    """Two samples a minute, 100 W apart around each value."""
    return [
        told(60 * n + 30 * half, w + (50 if half else -50), gpu, **more)
        for n, w in enumerate(watts)
        if w is not None
        for half in range(2)
    ]


def test_a_job_that_stops_is_a_ramp_of_all_its_gpus():
    said = [row for gpu in range(16) for row in minutes([600, 600, 700, 100, 100, 650], gpu)]
    (row,) = answer(*said)
    assert (row["gpus"], row["interval_s"]) == (16, 30)
    assert (row["ramp_up_w"], row["ramp_down_w"]) == (16 * 550, 16 * 600)
    assert (row["peak_w"], row["power_p50_w"]) == (16 * 700, 16 * 600)
    assert row["swings"] == 3  # 100 W a GPU is a seventh of the peak


def test_gpus_that_fall_silent_or_come_back_are_no_ramp():
    said = [row for gpu in range(8) for row in minutes([600] * 6, gpu)]
    said += [row for gpu in range(8, 16) for row in minutes([600, 600, None, None, 600, 600], gpu)]
    (row,) = answer(*said)
    assert (row["gpus"], row["ramp_up_w"], row["ramp_down_w"], row["swings"]) == (16, 0, 0, 0)
    assert row["power_p50_w"] == 16 * 600  # minutes of half the GPUs are left out


def test_clusters_and_hours_are_apart_and_instances_of_a_gpu_are_not_counted_twice():
    said = minutes([400] * 70) + minutes([50] * 5, cluster="d", gpu=9)
    said += minutes([100] * 70, instance="3")
    found = [(r["cluster"], r["hour_at"].hour, r["gpus"], r["peak_w"]) for r in answer(*said)]
    assert found == [("c", 0, 1, 400), ("c", 1, 1, 400), ("d", 0, 1, 50)]


def test_a_fleet_that_told_no_power_gives_no_row():
    assert answer(told(0, None)) == []


def test_one_sample_has_no_ramp():
    (row,) = answer(told(0, 300.0))
    assert (row["ramp_up_w"], row["peak_w"]) == (0, pytest.approx(300))
