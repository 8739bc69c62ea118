"""Runs that only ml-goodput-measurement's entries know, from its lines to the goodput view.

Two hundred steps of 10 s. Each start of the process takes 10 s from job_start_time to the first
step, the end is told, and an outage lasts 3,600 s from the end of the last step to the next entry.
The run without an outage so lasts 2,010 s.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lakes import take, write

from flows import warehouse
from flows.derive import derive

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()
JOB = "llm-70b"
STEP_S, INIT_S, OUTAGE_S = 10, 10, 3600
CRASH = 105


def entry(**said: Any) -> str:
    return json.dumps({"job_name": JOB, **said})


def started(at: float) -> list[str]:
    return [
        entry(job_start_time=at),
        entry(tpu_init_start_time=at),
        entry(tpu_init_end_time=at + INIT_S),
    ]


def trained(first: int, until: int, at: float) -> list[str]:
    """Steps [first, until), their starts alone."""
    return [
        entry(step_count=n, step_start_time=at + (n - first) * STEP_S) for n in range(first, until)
    ]


def story(resume_at: int | None, is_told: bool = True) -> list[str]:
    """The run, with a crash after step CRASH - 1 unless `resume_at` is None."""
    began = T0 + INIT_S
    if resume_at is None:
        return [*started(T0), *trained(0, 200, began), entry(job_end_time=began + 200 * STEP_S)]
    again = began + CRASH * STEP_S + OUTAGE_S
    on = again + INIT_S * is_told
    return [
        *started(T0),
        *trained(0, CRASH, began),
        *(started(again) if is_told else []),
        *trained(resume_at, 200, on),
        entry(job_end_time=on + (200 - resume_at) * STEP_S),
    ]


def lake_of(lines: list[str], folder: Path) -> Path:
    write(folder / "in", {"goodput.ndjson": "\n".join(lines) + "\n"})
    take(folder / "lake", folder / "in")
    derive(folder / "lake")
    return folder / "lake"


def asked(lake: Path, query: str) -> list[dict[str, Any]]:
    return warehouse.query(lake, query).to_dicts()


@pytest.mark.parametrize(
    ("lines", "percent", "wall_s", "lost_s", "outage_s", "disruptions"),
    [
        pytest.param(story(None), 99.50, 2010, 0, 0, 0, id="no crash"),
        pytest.param(story(100), 35.27, 5670, 50, 3600, 1, id="five steps lost"),
        pytest.param(story(105), 35.59, 5620, 0, 3600, 1, id="resumed at exactly the next step"),
        pytest.param(story(107), 35.36, 5600, 0, 3600, 1, id="resumed two steps ahead"),
        pytest.param(story(100, False), 35.34, 5660, 50, 3600, 1, id="no second job start"),
    ],
)
def test_an_hour_without_progress_is_a_loss_however_the_run_comes_back(
    tmp_path, lines, percent, wall_s, lost_s, outage_s, disruptions
):
    lake = lake_of(lines, tmp_path)
    (run,) = asked(lake, "SELECT * FROM run_goodput")
    assert (run["run"], run["gpus"], run["disruptions"]) == (JOB, 1, disruptions)
    assert round(100 * run["goodput"], 2) == percent
    assert run["wall_gpu_ms"] == wall_s * 1000
    assert run["kept_gpu_ms"] == run["ideal_gpu_ms"]
    assert run["step_lost_gpu_ms"] == lost_s * 1000
    assert run["queue_wait_gpu_ms"] == outage_s * 1000
    assert run["unknown_gpu_ms"] == 0
    owned = asked(
        lake,
        "SELECT cause, sum(gpu_ms)::BIGINT AS ms FROM run_time WHERE leaf = 'queue_wait' GROUP BY 1",
    )
    assert owned == ([{"cause": "Unknown", "ms": outage_s * 1000}] if outage_s else [])
