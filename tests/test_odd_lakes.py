"""Odd but real lakes: one source alone, empty files, records that stand apart or name no node."""

from pathlib import Path

import pytest
from lakes import NOW, SACCT_HEADER, take, write

from flows import warehouse, weekly
from flows.derive import NothingObservedError, derive

KERNEL = (
    "2026-03-02T10:15:04.120000+00:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, "
    "GPU has fallen off the bus.\n"
)
NODES = "node,gpus,valid_from\nn1,8,2019-01-01\n"
EVENTS_HEADER = "Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User"
TRAIN = '{"t": "2026-03-02T08:06:00Z", "run": "r", "job_id": "1", "event": "step", "step": 1, "seconds": 10}\n'  # fmt: skip
SMI = "timestamp, uuid, temperature.gpu\n2026/03/02 08:00:00.000, GPU-1, 45\n"


def sacct(*rows: str) -> str:
    return "\n".join([SACCT_HEADER, *rows]) + "\n"


def job(ended: str = "2026-03-02T12:00:00", nodes: str = "n1", count: int = 1) -> str:
    at = "2026-03-02T08:00:00"
    state = "RUNNING" if ended == "Unknown" else "COMPLETED"
    return f"1|c|{at}|{at}|{at}|{ended}|{state}|0:0|{count}|{nodes}|gres/gpu={8 * count}"


def lake_of(folder: Path, **files: str) -> Path:
    inbox = folder / "inbox"
    inbox.mkdir()
    take(folder / "lake", write(inbox, {n.replace("_", "."): text for n, text in files.items()}))
    return folder / "lake"


def assert_sums(root: Path) -> None:
    found = warehouse.failed_checks(root)
    assert not found.keys() & {
        "ledger_does_not_sum_to_capacity", "exposure_does_not_add_up",
        "run_ledger_does_not_sum_to_allocations", "counts_of_an_arrival_disagree",
    }  # fmt: skip


@pytest.mark.parametrize(
    "file",
    [
        {"kern_log": KERNEL},
        {"events_psv": f"{EVENTS_HEADER}\nc|n1|2026-03-02T08:00:00|2026-03-02T09:00:00|DOWN|x|r\n"},
        {"sacct_psv": sacct(job())},
        {"sacct_psv": sacct(job(nodes="None assigned"))},
    ],
    ids=["kernel log", "node events", "accounting", "accounting without nodes"],
)
def test_one_source_alone_is_derived_checked_and_reported(file: dict[str, str], tmp_path: Path):
    root = lake_of(tmp_path, **file)
    derive(root)
    assert_sums(root)
    assert weekly.weeks(root) == ["2026-W10"]
    assert weekly.weekly(root, "2026-W10", NOW).headline


@pytest.mark.parametrize(
    "file",
    [{"train_ndjson": TRAIN}, {"smi_csv": SMI}, {"sacct_psv": sacct(job("Unknown"))}],
    ids=["training log", "telemetry", "a job that runs"],
)
def test_a_source_that_says_little_alone_is_derived_without_complaint(
    file: dict[str, str], tmp_path: Path
):
    root = lake_of(tmp_path, **file)
    assert (derive(root).until - derive(root).since).days == 1
    assert_sums(root)


def test_an_inventory_alone_says_why_nothing_can_be_derived(tmp_path: Path):
    with pytest.raises(NothingObservedError, match="An inventory alone"):
        derive(lake_of(tmp_path, nodes_csv=NODES))


def test_an_empty_file_is_passed_over_and_said(tmp_path: Path):
    report = take(tmp_path / "lake", write(tmp_path, {"in/kern.log": ""}) / "in")
    assert report.is_fine
    assert [(f.status, dict(f.reasons)) for f in report.files] == [("skipped", {"empty file": 1})]


@pytest.mark.parametrize(("nodes", "named"), [("None assigned", 0), ("n[1-2]", 2)])
def test_gpus_held_on_no_named_node_are_told(nodes: str, named: int, tmp_path: Path):
    root = lake_of(tmp_path, sacct_psv=sacct(job(nodes=nodes, count=4)))
    derive(root)
    found = warehouse.failed_checks(root)["gpus_on_no_named_node"]
    assert found.select("gpus", "node_count", "named").rows() == [(32, 4, named)]


def test_a_drain_left_open_for_a_season_is_told_apart(tmp_path: Path):
    drain = f"{EVENTS_HEADER}\nc|n1|2025-12-01T00:00:00|Unknown|DRAIN|broken|r\n"
    root = lake_of(tmp_path, events_psv=drain, sacct_psv=sacct(job()), nodes_csv=NODES)
    derive(root)
    found = warehouse.failed_checks(root)["records_stand_apart"]
    assert found["table"].to_list() == ["node_states"]


def test_a_job_of_the_run_that_runs_beside_is_no_return_and_hides_no_cause(tmp_path: Path):
    accounting = sacct(
        "1|c|2026-03-02T08:00:00|2026-03-02T08:00:00|2026-03-02T08:00:00|2026-03-02T10:16:00|FAILED|0:9|1|n1|gres/gpu=8",
        "2|c|2026-03-02T08:00:00|2026-03-02T08:00:00|2026-03-02T08:30:00|2026-03-02T12:00:00|COMPLETED|0:0|1|n2|gres/gpu=8",
    )
    line = '{{"t": "2026-03-02T{}:00Z", "run": "r", "job_id": "{}", "event": "{}"}}\n'
    log = line.format("08:01", 1, "job_start") + line.format("08:31", 2, "job_start")
    root = lake_of(tmp_path, sacct_psv=accounting, kern_log=KERNEL, train_ndjson=log)
    derive(root)
    found = warehouse.query(
        root, "SELECT job_id, cause, allocated_at, resumed_at FROM interruptions ORDER BY job_id"
    )
    assert found.rows() == [("1", "GPU", None, None)]
