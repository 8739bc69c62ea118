"""A public trace that no code of ours knows, through its mapping to every published number.

400 servers over 348 days: the trace names the 231 that ever failed, the inventory all of them.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from flows import ingest as ingesting
from flows.cli import main
from flows.reading import Options

BEGAN = datetime(2024, 3, 30, tzinfo=UTC)
DAYS = 348
SERVERS = 400


@pytest.fixture(scope="session")
def lake(shared_data, tmp_path_factory):
    """The folder as it came, and an inventory, taken in and derived by the command line."""
    folder = shared_data / "infinitehbd"
    trace = json.loads((folder / "fault_trace.json").read_text())
    faulty = sorted({event["node_id"] for event in trace})
    servers = faulty + [f"silent-{n}" for n in range(SERVERS - len(faulty))]
    ends = BEGAN + timedelta(days=DAYS)
    root = tmp_path_factory.mktemp("infinitehbd")
    spell = f"8,{BEGAN:%Y-%m-%d},{ends:%Y-%m-%d}"
    lines = ["node,gpus,valid_from,valid_to", *(f"{server},{spell}" for server in servers)]
    (root / "nodes.csv").write_text("\n".join(lines) + "\n")
    (root / "lake").mkdir()
    (root / "lake" / "settings.toml").write_text(
        f"observed_from = {BEGAN:%Y-%m-%d}\nobserved_until = {ends:%Y-%m-%d}\n"
    )
    at = ["--lake", str(root / "lake"), "--plain"]
    assert main(["ingest", str(folder), str(root / "nodes.csv"), *at]) == 0
    assert main(["derive", *at]) == 0
    return root / "lake"


@pytest.fixture
def ask(lake, tmp_path):
    """Rows that `faultledger sql` answers."""

    def answer(statement: str) -> list[tuple]:
        out = tmp_path / "answer.json"
        call = ["sql", statement, "--lake", str(lake), "--format", "json", "--out", str(out)]
        assert main(call) == 0
        return [tuple(row.values()) for row in json.loads(out.read_text())]

    return answer


def test_the_trace_and_its_summary_are_recognised_by_their_content(ask):
    arrivals = ask(
        "SELECT file, source, records, accepted, rejected, ignored FROM arrivals ORDER BY file"
    )
    assert arrivals == [
        ("fault_statistics.json", "map:infinitehbd_statistics", 1, 0, 0, 1),
        ("fault_trace.json", "map:infinitehbd", 1168, 584, 0, 584),
        ("nodes.csv", "inventory_nodes", SERVERS, SERVERS, 0, 0),
    ]


def test_every_cell_of_the_published_statistics_comes_out(ask, shared_data):
    """Level, class, description, with the totals of both; the file is a summary and gave no row."""
    said = json.loads((shared_data / "infinitehbd" / "fault_statistics.json").read_text())
    cells = {}
    for level, classes in said.items():
        cells[level, None, None] = classes.pop("LevelTotal")
        for kind, causes in classes.items():
            cells[level, kind, None] = causes.pop("ClassTotal")
            cells |= {(level, kind, cause): count for cause, count in causes.items()}
    counted = ask(
        "SELECT note, component, cause, count(*) AS faults FROM outages "
        "GROUP BY ROLLUP (note, component, cause)"
    )
    found = {(level, kind, cause): faults for level, kind, cause, faults in counted}
    assert found.pop((None, None, None)) == 584
    assert found == cells
    totals = {level: faults for (level, kind, _), faults in found.items() if kind is None}
    assert totals == {"Hardware Failure": 298, "Software Failure": 24, "Other Failure": 262}


def test_servers_worst_server_and_faults_of_no_length(ask):
    by_server = ask(
        "SELECT count(*) AS servers, max(faults) AS worst, sum(at_once) AS at_once FROM "
        "(SELECT count(*) AS faults, count(*) FILTER (WHERE ended = began) AS at_once "
        "FROM outages GROUP BY unit)"
    )
    assert by_server == [(231, 14, 14)]


def test_failures_and_time_between_them_on_both_clocks_under_both_definitions(ask):
    rates = ask(
        "SELECT definition, clock, failures, node_days, mtbf_hours / 24 AS days FROM fleet_rates "
        "WHERE class = 'all' AND clock <> 'allocated' ORDER BY ALL"
    )
    found = {(d, c): (f, round(nd, 2), round(days, 2)) for d, c, f, nd, days in rates}
    assert found == {
        ("as-recorded", "wall"): (584, 139_200, 238.36),
        ("as-recorded", "in_service"): (584, 135_968.68, 232.82),
        ("coalesced-180s", "wall"): (577, 139_200, 241.25),
        ("coalesced-180s", "in_service"): (577, 135_968.68, 235.65),
    }
    ((cluster_hours,),) = ask(
        f"SELECT mtbf_hours / {SERVERS} AS hours FROM fleet_rates WHERE class = 'all' "
        "AND clock = 'wall' AND definition = 'as-recorded'"
    )
    assert cluster_hours == pytest.approx(14.301, abs=0.0005)


def test_time_down_as_a_union_and_the_availability(ask):
    ((down, availability),) = ask(
        "SELECT node_days(sum(wall_ms - in_service_ms)) AS down, "
        "sum(in_service_ms) / sum(wall_ms) AS availability FROM exposure"
    )
    assert down == pytest.approx(3231.32, abs=0.005)
    assert availability == pytest.approx(0.97679, abs=5e-6)


def test_repairs_as_recorded(ask):
    ((repairs, mean, median, out),) = ask(
        "SELECT repairs, mean_hours, median_hours, out_hours / 24 AS out_days FROM repair_times "
        "WHERE basis = 'as-recorded'"
    )
    assert repairs == 584
    assert (round(mean, 2), round(median, 3)) == (132.84, 20.389)
    assert out == pytest.approx(3232.44, abs=0.005)  # two overlapping faults counted twice


def test_ingesting_it_again_changes_nothing(lake, shared_data):
    folder = shared_data / "infinitehbd"
    again = ingesting.ingest([folder], lake, Options(), BEGAN)
    assert {file.status for file in again.files} == {"already here", "skipped"}
    assert not any(again.gained.values())
