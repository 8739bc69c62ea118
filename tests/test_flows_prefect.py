"""The flows as Prefect runs them: the same bytes as the plain functions, tried again, on schedule."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from lakes import NOW, bytes_of, take, write

from flows.derive import derive
from flows.lake import Lake

FLOWS = ("ingest", "derive", "weekly")
RUN = """
import sys
from pathlib import Path
from lakes import NOW
from flows import ingest, orchestrate

inbox, root = map(Path, sys.argv[1:])
take, tries = ingest.ingest_batch, []

def stumble_once(*given):
    tries.append(given)
    if len(tries) == 1:
        raise OSError("the network share is away")
    return take(*given)

ingest.ingest_batch = stumble_once
assert orchestrate.ingest([inbox], root, now=NOW).is_fine
assert orchestrate.derive(root).made
assert orchestrate.weekly(root, week="2026-W10", as_of=NOW)
"""


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    """A lake that the three flows made, on a server of their own; the first task failed once."""
    folder = tmp_path_factory.mktemp("flown")
    home = folder / "home"
    home.mkdir()
    given = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    ours = {
        "PYTHONPATH": str(Path(__file__).parent),
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(write(folder / "inbox")), str(folder / "lake")],
        env=given | ours,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.integration
@pytest.mark.slow
def test_the_flows_make_the_same_bytes_as_the_plain_functions(flown, tmp_path):
    take(tmp_path / "lake", flown / "inbox")
    derive(tmp_path / "lake")
    rooms = ("landed", "observed", "derived")
    assert bytes_of(flown / "lake", *rooms) == bytes_of(tmp_path / "lake", *rooms)


@pytest.mark.integration
@pytest.mark.slow
def test_a_task_that_failed_was_tried_again_and_every_run_completed(flown):
    server = sqlite3.connect(flown / "home" / "prefect.db")
    flows = dict(
        server.execute(
            "SELECT f.name, r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id"
        ).fetchall()
    )
    tries = server.execute(
        "SELECT state_type, run_count FROM task_run WHERE name LIKE 'read-%' ORDER BY run_count"
    ).fetchall()
    server.close()
    assert flows == dict.fromkeys(FLOWS, "COMPLETED")
    assert tries == [("COMPLETED", 1), ("COMPLETED", 1), ("COMPLETED", 2)]


@pytest.mark.integration
@pytest.mark.slow
def test_an_artifact_links_the_report(flown):
    server = sqlite3.connect(flown / "home" / "prefect.db")
    ((key, text),) = server.execute("SELECT key, data FROM artifact").fetchall()
    server.close()
    report = Lake(flown / "lake").report("2026-W10") / "report.html"
    assert key == "weekly-2026-w10"
    assert report.resolve().as_uri() in text
    assert report.is_file()
    assert NOW.strftime("%Y-%m-%d") in report.read_text()


@pytest.fixture
def quiet_home(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("DO_NOT_TRACK", "1")


def test_flows_are_served_by_module_and_never_by_file(quiet_home, tmp_path):
    from prefect.flows import load_flow_from_entrypoint

    from flows import schedule

    (tmp_path / "settings.toml").write_text("week_close_hours = 30\n")
    made = {d.flow_name: d for d in schedule.deployments(tmp_path, [tmp_path / "inbox"])}
    assert set(made) == set(FLOWS)
    for name, deployment in made.items():
        assert deployment.entrypoint == f"flows.orchestrate.{name}"
        assert load_flow_from_entrypoint(deployment.entrypoint).name == name
        assert deployment.parameters["root"] == str(tmp_path.resolve())
    (weekly,) = made["weekly"].schedules
    assert weekly.schedule.cron == "30 6 * * 2"


@pytest.mark.parametrize(
    ("hours", "cron"), [(0, "30 0 * * 1"), (48, "30 0 * * 3"), (150, "30 6 * * 0")]
)
def test_the_report_is_due_when_the_week_has_closed(quiet_home, hours, cron):
    from flows import schedule

    assert schedule.week_closes(hours) == cron
