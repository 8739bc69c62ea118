"""The controller's log beside the accounting: the same spells, and the node behind a lost job."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from incident_frames import at, attempt, derived, node, state

from transforms import fleet, incidents, runs
from transforms.exposure import out_of_service
from transforms.node_states import classify, closed
from transforms.recipes import Window
from transforms.sources import slurm_ctld, slurm_events, slurm_sacct
from transforms.sources.base import Origin
from transforms.tables import derived as d
from transforms.tables import hourly as h
from transforms.tables import observed as o

SEEN = datetime(2026, 11, 23, 8, tzinfo=UTC)
WINDOW = Window(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC), SEEN)
SPELL = ["cluster", "node", "began", "state", "ended", "reason"]


@pytest.fixture(scope="module")
def log(shared_data):
    data = (shared_data / "slurm-live" / "slurmctld.log").read_bytes()
    return slurm_ctld.parse(data, Origin("slurmctld.log", SEEN))


@pytest.fixture(scope="module")
def accounting(shared_data):
    folder = shared_data / "slurm-live"

    def parsed(source, name, table):
        frame = source.parse((folder / name).read_bytes(), Origin(name, SEEN)).frames[table]
        return frame.with_columns(cluster=pl.lit("memphis"))

    return {
        "job_attempts": parsed(slurm_sacct, "sacct_x.psv", "job_attempts"),
        "node_states": parsed(slurm_events, "events.psv", "node_states"),
    }


def test_the_live_log_is_read_whole(log):
    assert (log.records, log.accepted, log.rejected) == (450, 38, 0)
    assert dict(log.frames["node_states"]["state"].value_counts().rows()) == {
        "INVAL": 9,
        "DOWN*": 4,
        "DRAIN": 2,
        "DOWN": 2,
    }
    lost = log.frames["cluster_events"].sort("observed_at")
    assert lost.select("object", "node").rows() == [
        ("job 1", "gpu002"),
        ("job 1", "gpu004"),
        ("job 34", "gpu002"),
        ("job 34", "gpu004"),
    ]


def test_the_live_logs_spells_are_the_accountings_own(log, accounting):
    told, recorded = log.frames["node_states"], accounting["node_states"]
    assert told.join(recorded, on=SPELL, how="anti").is_empty()
    known_to_slurm_alone = recorded.join(told, on=SPELL, how="anti")
    assert set(known_to_slurm_alone["state"]) == {"UNK"}
    both = o.NODE_STATES.fold(pl.concat([told, recorded]))
    assert both.select(SPELL).equals(o.NODE_STATES.fold(recorded).select(SPELL))
    no_fleet, no_outages = d.FLEET.empty(), o.OUTAGES.empty()
    assert out_of_service(both, no_outages, no_fleet).equals(
        out_of_service(o.NODE_STATES.fold(recorded), no_outages, no_fleet)
    )


def conclusions(attempts, states, events):
    linked = runs.link(WINDOW, job_attempts=attempts, run_marks=o.RUN_MARKS.empty())
    nodes = fleet.fleet(WINDOW, nodes=o.NODES.empty(), node_states=states, job_attempts=attempts)
    rest = {
        "kernel_events": o.KERNEL_EVENTS, "bmc_events": o.BMC_EVENTS, "outages": o.OUTAGES,
        "sample_signals": h.SAMPLE_SIGNALS, "silences": h.SILENCES,
        "gpus": o.GPUS, "steps": o.STEPS, "checkpoints": o.CHECKPOINTS, "run_marks": o.RUN_MARKS,
    }  # fmt: skip
    empty = {name: table.empty() for name, table in rest.items()}
    made = incidents.derive(
        WINDOW, **(empty | {"node_states": states, "cluster_events": events} | linked | nodes)
    )
    blamed = made["interruptions"].join(
        made["incidents"].select("incident", "node", "class", "component", "counts"), on="incident"
    )
    return made, blamed.sort("failed_at").select(
        "run", "state", "node", "class", "component", "counts"
    )


@pytest.mark.parametrize("is_shifted", [False, True], ids=["same seconds", "a second apart"])
def test_with_and_without_the_log_the_same_incidents_and_interruptions(log, accounting, is_shifted):
    attempts, states = accounting["job_attempts"], accounting["node_states"]
    logged = log.frames["node_states"]
    if is_shifted:
        logged = logged.with_columns(pl.col("began", "ended") + timedelta(seconds=1))
    both = o.NODE_STATES.fold(pl.concat([states, logged]))
    without, alone = conclusions(attempts, states, o.CLUSTER_EVENTS.empty())
    beside, together = conclusions(attempts, both, log.frames["cluster_events"])
    assert alone.height == 4
    assert together.rows() == alone.rows()
    counts = ["counts", "class", "component", "severity"]
    assert sorted(beside["incidents"].select(counts).rows()) == sorted(
        without["incidents"].select(counts).rows()
    )


def requeue(seconds, name="n1", job="1"):
    return {
        "cluster": "c", "node": name, "observed_at": at(seconds), "reporter": "slurmctld",
        "object": f"job {job}", "reason": "RequeuedForNodeFailure", "code": 0, "device": "",
        "detail": f"requeue job JobId={job} due to failure of node {name}", "level": "critical",
        "file": "ctld", "line_no": 1,
    }  # fmt: skip


def test_a_requeue_names_the_node_of_a_loss_that_nothing_else_explains():
    lost = attempt(-7200, 30, state="NODE_FAIL", nodes=("n1", "n2"))
    made = derived(cluster_events=[requeue(30, "n2")], run_attempts=[lost])
    incident = made["incidents"].row(0, named=True)
    assert (incident["node"], incident["counts"], incident["component"]) == (
        *("n2", True),
        "host unreachable",
    )
    assert made["interruptions"]["incident"].to_list() == [incident["incident"]]


def test_the_nodes_own_reason_says_more_than_the_requeue():
    lost = attempt(-7200, 30, state="NODE_FAIL")
    flap = state(29, 600, reason="IB link flap mlx5_0", state="DOWN")
    made = derived(cluster_events=[requeue(30)], run_attempts=[lost], node_states=[flap])
    assert made["incidents"].select("class", "events").rows() == [("Network", 2)]


def test_a_spell_left_open_by_one_log_ends_where_the_next_log_sees_the_node_back():
    first = b"[2026-03-01T23:00:00.000] error: Nodes gpu[1-2] not responding, setting DOWN\n"
    second = b"[2026-03-02T01:00:00.000] node gpu1 returned to service\n"
    rows = pl.concat(
        slurm_ctld.parse(data, Origin(name, SEEN, cluster="c")).frames["node_states"]
        for name, data in (("1", first), ("2", second))
    )
    told = closed(classify(rows)).filter(service="down").sort("node")
    assert told.select("node", "ended").rows() == [
        ("gpu1", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("gpu2", None),
    ]


def test_a_return_before_the_loss_or_at_its_instant_closes_nothing():
    fleet_of_one = pl.DataFrame([node("n1")], schema_overrides=d.FLEET.dtypes)
    states = pl.DataFrame(
        [
            {"user": None} | state(0, None, None, state="IDLE"),
            {"user": None} | state(60, None),
            {"user": None} | state(60, None, None, state="IDLE"),
        ],
        schema_overrides=o.NODE_STATES.dtypes,
    )
    out = out_of_service(states, o.OUTAGES.empty(), fleet_of_one)
    assert out["ended"].to_list() == [None]
