"""Operators' own files through the whole house: into a lake, derived, and asked by SQL."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import warehouse
from flows.derive import derive
from flows.ingest import ingest
from flows.reading import Options

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def lake_of(root: Path, files: list[Path], is_derived: bool = True, **options: object) -> Path:
    ingest(files, root, Options(**options), NOW)  # type: ignore[arg-type]
    if is_derived:
        derive(root)
    else:
        warehouse.refresh(root)
    return root


@pytest.fixture(scope="module")
def phillips(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phillips") / "lake"
    return lake_of(root, [shared_data / "xdmod-sacct" / "phillips.log"])


@pytest.fixture(
    scope="module",
    params=[
        ("sacct_x.psv", "sacct_all.psv"),
        ("sacct_all.psv", "sacct_x.psv"),
        ("sacct_all.psv",),
        ("sacct.json", "sacct_x.psv", "sacct_all.psv"),
        ("sacct.json",),
    ],
    ids="+".join,
)
def live(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The live cluster's dumps, told twice and in either order."""
    root = tmp_path_factory.mktemp("live") / "lake"
    folder = shared_data / "slurm-live"
    for name in request.param[:-1]:
        lake_of(root, [folder / name], is_derived=False)
    return lake_of(root, [folder / request.param[-1], folder / "events.psv"])


def test_hours_of_the_xdmod_cluster_are_as_published(phillips: Path):
    held = "epoch(ended - started) / 3600"
    (row,) = warehouse.query(
        phillips,
        f"""SELECT count(*), sum({held}), sum({held} * cpus), sum({held} * node_count),
            sum({held} * gpus), sum(epoch(started - submitted) / 3600)
            FROM job_attempts WHERE nodes IS NOT NULL""",
    ).rows()
    assert row[0] == 4046
    published = (438.8203, 11_767.9883, 1_344.8686, 506.9128, 18_829.9292)
    assert row[1:] == pytest.approx(published, abs=5e-5)


def test_gpu_hours_of_every_day_are_as_published(phillips: Path):
    days = warehouse.query(
        phillips,
        """SELECT day, sum(gpus * epoch(least(ended, day + INTERVAL 1 DAY) - greatest(started, day))
               / 3600) AS hours
           FROM job_attempts, generate_series(
               TIMESTAMPTZ '2016-12-22', TIMESTAMPTZ '2017-01-01', INTERVAL 1 DAY
           ) AS days (day)
           WHERE nodes IS NOT NULL AND gpus > 0 AND started < day + INTERVAL 1 DAY AND ended > day
           GROUP BY day ORDER BY day""",
    )
    assert days["hours"].to_list() == pytest.approx([33.4928, *[48.0] * 9, 41.42], abs=5e-5)


def test_the_ledger_holds_the_same_gpu_hours(phillips: Path):
    spent = warehouse.query(
        phillips, "SELECT sum(gpu_ms) / 3.6e6 AS hours FROM run_time WHERE is_allocated(leaf)"
    )
    assert spent["hours"].to_list() == pytest.approx([506.9128], abs=5e-5)


def test_each_attempt_of_the_live_cluster_is_there_once(live: Path):
    states = warehouse.query(live, "SELECT state, count(*) AS n FROM job_attempts GROUP BY state")
    assert dict(states.rows()) == {
        "COMPLETED": 46,
        "FAILED": 15,
        "NODE_FAIL": 4,
        "CANCELLED": 3,
        "TIMEOUT": 2,
    }


def test_two_requeued_jobs_are_two_runs_of_three_attempts(live: Path):
    runs = warehouse.query(
        live, "SELECT run, count(*) AS n FROM run_attempts GROUP BY run HAVING n > 1 ORDER BY run"
    )
    assert runs.rows() == [("1", 3), ("34", 3)]


def test_each_interruption_names_the_killed_node_out_of_six(live: Path):
    found = warehouse.query(
        live,
        """SELECT interruptions.run, interruptions.nodes, incidents.node
           FROM interruptions JOIN incidents USING (incident) ORDER BY failed_at""",
    )
    assert found.rows() == [
        ("1", 6, "gpu002"),
        ("1", 6, "gpu004"),
        ("34", 6, "gpu002"),
        ("34", 6, "gpu004"),
    ]
    assert warehouse.query(live, "SELECT count(*) AS n FROM interruptions")["n"].to_list() == [4]


def test_a_drain_and_a_down_are_node_states_and_no_job_s_failure(live: Path):
    told = warehouse.query(
        live,
        """SELECT DISTINCT node, state, reason FROM node_states
           WHERE node IN ('gpu007', 'gpu008') AND state IN ('DRAIN', 'DOWN') ORDER BY node""",
    )
    assert told.rows() == [
        ("gpu007", "DRAIN", "XID 79 GPU has fallen off the bus"),
        ("gpu008", "DOWN", "IB link flap mlx5_0"),
    ]
    blamed = warehouse.query(
        live, "SELECT sum(interrupts) AS n FROM incidents WHERE node IN ('gpu007', 'gpu008')"
    )
    assert blamed["n"].to_list() == [0]


def assert_the_ledger_sums(root: Path) -> None:
    off = warehouse.query(
        root,
        """SELECT day FROM (SELECT day, sum(gpu_ms) AS spent FROM gpu_time GROUP BY day)
           FULL JOIN (SELECT day, sum(gpu_capacity_ms) AS capacity FROM exposure GROUP BY day)
           USING (day) WHERE spent IS DISTINCT FROM capacity AND capacity > 0""",
    )
    assert off.is_empty()
    assert warehouse.failed_checks(root) == {}


def test_gpu_time_of_the_live_cluster_sums_to_its_capacity(live: Path):
    assert_the_ledger_sums(live)


def test_gpu_time_of_the_xdmod_cluster_sums_to_its_capacity_every_day(phillips: Path):
    assert_the_ledger_sums(phillips)


@pytest.mark.parametrize(
    ("file", "incidents"),
    [
        ("ogkm-1150-xid149-145-45.txt", [("NVLink", 149, 7)]),
        ("gpud-doc-xid79-sxid20034.txt", [("GPU", 79, 10)]),
        ("nvsentinel-155-fallen-no-xid.txt", [("GPU", 0, 1)]),
        ("dmesg-with-xid-119.log", [("GPU", 119, 4), ("GPU", 119, 1)]),
        ("syslog-0-flaps.log", []),
    ],
)
def test_kernel_logs_become_the_incidents_that_they_tell(
    shared_data: Path, tmp_path: Path, file: str, incidents: list[tuple[str, int, int]]
):
    root = lake_of(tmp_path, [shared_data / "kernel-logs" / file], is_derived=False, node="n1")
    if incidents:
        derive(root)
    found = warehouse.query(root, "SELECT class, root_code, events FROM incidents ORDER BY began")
    assert found.rows() == incidents


def test_six_flaps_are_six_link_losses_of_one_port(shared_data: Path, tmp_path: Path):
    file = shared_data / "kernel-logs" / "syslog-6-flaps-ib6.log"
    root = lake_of(tmp_path, [file], is_derived=False)
    found = warehouse.query(
        root,
        "SELECT device, count(*) AS n FROM kernel_events WHERE kind = 'link_down' GROUP BY ALL",
    )
    assert found.rows() == [("ib6", 6)]
