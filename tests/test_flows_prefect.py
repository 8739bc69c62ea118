"""The flows as Prefect runs them: the demo through the embedded server, and the schedules."""

import os
import re
import sqlite3
import subprocess
import sys

import pytest
from lakes import bytes_of

from flows import share
from flows.derive import derive
from flows.ingest import ingest
from flows.lake import Lake
from flows.reading import Options
from transforms.tables.observed import ARRIVALS

FLOWS = ("ingest", "derive", "weekly")


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory):
    """A lake that `faultledger demo` made, and what it printed."""
    root = tmp_path_factory.mktemp("demo") / "lake"
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "demo", "--lake", str(root)],
        capture_output=True,
        text=True,
        timeout=400,
        env={name: value for name, value in os.environ.items() if not name.startswith("PREFECT")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root, done


@pytest.mark.integration
@pytest.mark.slow
def test_the_demo_ends_with_a_headline_and_where_to_look(demonstrated):
    _, done = demonstrated
    assert re.search(r"^Week 2026-W\d\d$", done.stdout, re.MULTILINE)
    assert re.search(r"goodput", done.stdout)
    reports = re.findall(r"^Report +(\S+)$", done.stdout, re.MULTILINE)
    assert reports
    for path in reports:
        assert os.path.getsize(path) > 10_000
    assert not done.stderr.strip(), "a good run says nothing on stderr"


@pytest.mark.integration
@pytest.mark.slow
def test_the_demo_ran_through_prefect(demonstrated):
    root, _ = demonstrated
    server = sqlite3.connect(Lake(root).state("prefect") / "prefect.db")
    runs = server.execute(
        "SELECT f.name, r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id"
    ).fetchall()
    tasks = server.execute("SELECT state_type, count(*) FROM task_run GROUP BY 1").fetchall()
    artifacts = server.execute("SELECT key, data FROM artifact WHERE type = 'markdown'").fetchall()
    server.close()
    assert {name for name, _ in runs} == set(FLOWS)
    assert {state for _, state in runs} == {"COMPLETED"}
    ((state, count),) = tasks
    assert state == "COMPLETED"
    assert 10 < count < 200
    assert artifacts
    for key, text in artifacts:
        week = key.removeprefix("weekly-").upper()
        assert Lake(root).report(week).joinpath("report.html").resolve().as_uri() in text


@pytest.mark.integration
@pytest.mark.slow
def test_prefect_makes_the_same_bytes_as_the_plain_functions(demonstrated, tmp_path):
    root, _ = demonstrated
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "settings.toml").write_bytes((root / "settings.toml").read_bytes())
    now = Lake(root).read(ARRIVALS)["first_seen"][0]
    ingest([share.share("sample_data")], plain, Options(), now)
    derive(plain)
    rooms = ("landed", "observed", "derived")
    assert bytes_of(plain, *rooms) == bytes_of(root, *rooms)


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
