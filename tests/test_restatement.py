"""A week that was reported is told anew when a later restart discards its steps (T-5, X44).

Sunday's run trains 150 minutes over midnight; what came after is learned a day late: it began again
where those steps began. Ninety of the lost minutes were last week's, sixty this week's.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lakes import take, write

from flows import warehouse, weekly
from flows.derive import derive

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
BEGAN, AGAIN = MONDAY - timedelta(minutes=90), MONDAY + timedelta(minutes=70)
GPUS, FIRST = 16, 100
EARLY, LATE = MONDAY + timedelta(days=2, hours=1), MONDAY + timedelta(days=3)
MINUTE_MS = 60_000


def log(began: datetime, steps: int, restart: int) -> str:
    """One attempt: its start, and a step a minute, which the log tells at its end."""
    who = {"run": "r", "job_id": "1", "restart": restart}
    rows = [{"t": began, "event": "job_start", "gpus": GPUS}]
    rows += [
        {"t": began + timedelta(minutes=n + 1), "event": "step", "step": FIRST + n, "seconds": 60}
        for n in range(steps)
    ]
    return "".join(json.dumps({**row, "t": row["t"].isoformat(), **who}) + "\n" for row in rows)


FIRST_FILE, LATE_FILE = log(BEGAN, 150, 0), log(AGAIN, 10, 1)


def minutes(lake: Path) -> dict[tuple[str, str], float]:
    rows = warehouse.query(
        lake,
        """
        SELECT iso_week(day)::VARCHAR, leaf, sum(gpu_ms)::BIGINT FROM run_time
        WHERE leaf IN ('ideal', 'slow', 'step_lost') GROUP BY ALL
        """,
    ).rows()
    return {(week, leaf): ms / GPUS / MINUTE_MS for week, leaf, ms in rows}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restated")
    root = folder / "lake"
    take(root, write(folder / "early", {"r-0.ndjson": FIRST_FILE}))
    derive(root)
    assert minutes(root) == {("2026-03-02", "ideal"): 90, ("2026-03-09", "ideal"): 60}
    weekly.weekly(root, "2026-W10", EARLY)
    take(root, write(folder / "late", {"r-1.ndjson": LATE_FILE}))
    derive(root)
    return root


def test_lost_steps_are_taken_from_the_weeks_in_which_they_ran(lake, golden):
    want = golden["X44_boundary"]
    assert minutes(lake) == {
        ("2026-03-02", "step_lost"): want["before"],
        ("2026-03-09", "step_lost"): want["after"],
        ("2026-03-09", "ideal"): 10,
    }
    assert want["before"] + want["after"] == want["lost_total"]


def test_both_answers_are_kept_with_the_moment_of_each(lake):
    folder = lake / "reports" / "2026-W10"
    first = json.loads((folder / "report.json").read_text())
    report = weekly.weekly(lake, "2026-W10", LATE)
    now = json.loads(report.paths["json"].read_text())
    (kept,) = folder.glob("as-of-*")
    assert json.loads((kept / "report.json").read_text()) == first
    assert (first["as_of"], now["as_of"]) == (EARLY.isoformat(), LATE.isoformat())
    assert {**first, "as_of": ""} != {**now, "as_of": ""}


def test_told_at_once_the_weeks_are_the_same(lake, tmp_path):
    take(
        tmp_path / "lake",
        write(tmp_path / "in", {"r-0.ndjson": FIRST_FILE, "r-1.ndjson": LATE_FILE}),
    )
    derive(tmp_path / "lake")
    query = "SELECT * FROM run_time ORDER BY ALL"
    assert warehouse.query(tmp_path / "lake", query).equals(warehouse.query(lake, query))
