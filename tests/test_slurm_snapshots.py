"""What snapshots of a scheduler say beside its accounting, and what they leave open."""

from datetime import UTC, datetime

import polars as pl
import pytest

from transforms import fleet
from transforms.node_states import classify, closed
from transforms.recipes import Window
from transforms.sources import (
    node_gpus,
    slurm_sacct,
    slurm_scontrol_jobs,
    slurm_scontrol_nodes,
    slurm_sinfo,
    slurm_squeue,
)
from transforms.sources.base import Origin
from transforms.sources.snapshots import read_stamp
from transforms.tables import observed as o

SEEN = datetime(2026, 11, 23, 8, tzinfo=UTC)
ORIGIN = Origin("input", SEEN, cluster="c")
WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), SEEN)


def counts(parsed):
    return (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored)


def test_the_live_clusters_nodes_are_eight_with_eight_gpus_each(shared_data):
    data = (shared_data / "slurm-live" / "scontrol_nodes.txt").read_bytes()
    parsed = slurm_scontrol_nodes.parse(data, ORIGIN)
    assert counts(parsed) == (8, 8, 0, 0)
    assert parsed.frames["nodes"]["gpus"].to_list() == [8] * 8
    states = parsed.frames["node_states"]
    assert states.select("began", "state", "ended").unique().rows() == [(SEEN, "IDLE", None)]


def test_partitions_of_a_large_cluster_are_known_and_ignored(shared_data):
    data = (shared_data / "gcm-slurm" / "sample-scontrol-output-large.txt").read_bytes()
    assert slurm_scontrol_nodes.sniff(data.decode(), "") == 2
    assert counts(slurm_scontrol_nodes.parse(data, ORIGIN)) == (8, 0, 0, 8)


def test_the_live_clusters_sinfo_sees_eight_idle_nodes(shared_data):
    parsed = slurm_sinfo.parse((shared_data / "slurm-live" / "sinfo.psv").read_bytes(), ORIGIN)
    assert counts(parsed) == (9, 8, 0, 1)
    assert parsed.frames["node_states"]["state"].to_list() == ["IDLE"] * 8


def test_gcms_sinfo_is_three_nodes_of_which_one_is_drained_since_its_reason(shared_data):
    data = (shared_data / "gcm-slurm" / "sample-sinfo-output.txt").read_bytes()
    parsed = slurm_sinfo.parse(data, ORIGIN)
    assert counts(parsed) == (5, 4, 0, 1)
    drained = datetime(2022, 6, 2, 5, 54, 34, tzinfo=UTC)
    states = parsed.frames["node_states"].sort("node")
    assert states.select("node", "state", "began", "reason", "user").rows() == [
        ("node0201", "DRAIN*", drained, "replace", "root"),
        ("node1537", "ALLOC", SEEN, None, None),
        ("node4180", "ALLOC", SEEN, None, None),
    ]


def test_gcms_squeue_is_five_attempts_of_which_three_run(shared_data):
    data = (shared_data / "gcm-slurm" / "sample-squeue-output.txt").read_bytes()
    parsed = slurm_squeue.parse(data, ORIGIN)
    assert counts(parsed) == (5, 5, 0, 0)
    attempts = parsed.frames["job_attempts"]
    assert attempts["ended"].null_count() == 5
    running = attempts.filter(state="RUNNING").sort("gpus")
    assert running.select("job_id", "gpus", "node_count").rows() == [
        ("42953390_320", 1, 1),
        ("45704744", 2, 1),
        ("42956774_3", 256, 32),
    ]
    waiting = attempts.filter(state="PENDING").sort("gpus")
    assert waiting.select("job_id", "gpus", "started").rows() == [
        ("22783212", 0, None),
        ("42271120_[7-8%1]", 160, None),
    ]


def test_a_node_seen_by_files_of_one_snapshot_each_is_out_until_a_file_sees_it_back():
    def snapshot(minute, row):
        text = f"NODELIST|STATE|REASON|TIMESTAMP\n{row}\n".encode()
        taken = datetime(2026, 3, 2, 10, minute, tzinfo=UTC)
        return slurm_sinfo.parse(text, Origin(str(minute), taken, "c")).frames["node_states"]

    out = "n1|drained|fan 3|2026-03-02T09:00:00"
    rows = o.NODE_STATES.fold(
        pl.concat([snapshot(0, out), snapshot(5, out), snapshot(10, "n1|idle|none|Unknown")])
    )
    began, back = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, 10, tzinfo=UTC)
    told = closed(classify(rows)).filter(service="down")
    assert told.select("began", "ended").rows() == [(began, back)]


def inventory(*rows):
    names = ("cluster", "node", "valid_from", "gpus", "rack")
    told = pl.DataFrame(rows, schema={n: o.NODES.dtypes[n] for n in names}, orient="row")
    filled = told.with_columns(file=pl.lit("i"), line_no=pl.lit(1, pl.UInt32))
    missing = [n for n in o.NODES.dtypes if n not in filled.columns]
    filled = filled.with_columns(pl.lit(None, o.NODES.dtypes[n]).alias(n) for n in missing)
    return o.NODES.conform(filled)


def fleet_of(nodes):
    made = fleet.fleet(
        WINDOW,
        nodes=nodes,
        node_states=o.NODE_STATES.empty(),
        job_attempts=o.JOB_ATTEMPTS.empty(),
    )
    return made["fleet"].select("node", "valid_from", "valid_to", "gpus", "rack").rows()


def test_a_snapshot_steps_aside_for_an_inventory_that_says_since_when():
    shown = slurm_scontrol_nodes.parse(
        b"NodeName=n1 CPUTot=8 Gres=gpu:8 State=IDLE\nNodeName=n2 CPUTot=8 Gres=gpu:8 State=IDLE\n",
        ORIGIN,
    ).frames["nodes"]
    bought = datetime(2026, 11, 10, tzinfo=UTC)
    listed = inventory(("c", "n1", bought, 8, "r1"))
    always = node_gpus.ALWAYS
    assert fleet_of(pl.concat([shown, listed])) == [
        ("n1", bought, None, 8, "r1"),
        ("n2", always, None, 8, None),
    ]


def test_an_earlier_stay_with_other_gpus_or_in_another_place_is_no_snapshots_echo():
    always, moved = node_gpus.ALWAYS, datetime(2026, 11, 10, tzinfo=UTC)
    listed = inventory(
        *[("c", "n1", always, 4, None), ("c", "n1", moved, 8, "r1")],
        *[("c", "n2", always, 8, "r1"), ("c", "n2", moved, 8, "r2")],
    )
    assert fleet_of(listed) == [
        ("n1", always, moved, 4, None),
        ("n1", moved, None, 8, "r1"),
        ("n2", always, moved, 8, "r1"),
        ("n2", moved, None, 8, "r2"),
    ]


def test_accounting_of_an_attempt_prevails_over_its_snapshot():
    shown = slurm_scontrol_jobs.parse(
        b"JobId=34 JobName=x UserId=ada(1) JobState=COMPLETING Reason=None "
        b"SubmitTime=2026-03-02T06:00:00 StartTime=2026-03-02T06:00:05 "
        b"EndTime=2026-03-02T06:50:05 NodeList=n1 NumNodes=1 Account=llm Partition=p\n",
        ORIGIN,
    ).frames["job_attempts"]
    accounted = slurm_sacct.parse(
        b"JobID|Cluster|Submit|Start|End|State|NodeList\n"
        b"34|c|2026-03-02T06:00:00|2026-03-02T06:00:05|2026-03-02T06:50:05|NODE_FAIL|n1\n",
        ORIGIN,
    ).frames["job_attempts"]
    for both in ([shown, accounted], [accounted, shown]):
        assert o.JOB_ATTEMPTS.fold(pl.concat(both))["state"].to_list() == ["NODE_FAIL"]


@pytest.mark.parametrize(
    ("line", "zone", "instant"),
    [
        ("Thu Jan 01 16:45:14 2026", "UTC", datetime(2026, 1, 1, 16, 45, 14, tzinfo=UTC)),
        ("Thu Jan  1 16:45:14 2026", "Europe/Berlin", datetime(2026, 1, 1, 15, 45, 14, tzinfo=UTC)),
        ("Thu Jan  1 04:45:14 PM UTC 2026", "Asia/Tokyo", datetime(2026, 1, 1, 16, 45, 14, tzinfo=UTC)),
        ("Thu Jan  1 12:45:14 AM 2026", "UTC", datetime(2026, 1, 1, 0, 45, 14, tzinfo=UTC)),
        ("=== 2026-01-01T16:45:14+01:00 ===", "UTC", datetime(2026, 1, 1, 15, 45, 14, tzinfo=UTC)),
        ("2026-01-01 16:45:14 UTC", "Asia/Tokyo", datetime(2026, 1, 1, 16, 45, 14, tzinfo=UTC)),
        ("1767285914", "Asia/Tokyo", datetime(2026, 1, 1, 16, 45, 14, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_line_that_is_only_a_time_dates_the_snapshot_below_it(line, zone, instant):
    stamp = read_stamp(line, zone)
    assert stamp is not None
    assert stamp.at == instant


@pytest.mark.parametrize(
    "line",
    ["Thu Jan 01 16:45:14 CET 2026", "Thu Foo 01 16:45:14 2026", "2026-02-30T00:00:00"],
)
def test_a_time_that_names_no_instant_says_so(line):
    stamp = read_stamp(line, "UTC")
    assert stamp is not None
    assert stamp.at is None
    assert stamp.fault


def test_a_line_with_more_than_a_time_is_no_time():
    assert read_stamp("2026-01-01T16:45:14 gpu001 idle", "UTC") is None
