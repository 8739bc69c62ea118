"""Kubernetes dumps in a lake: repeated exports fold, and a lost GPU explains a lost run."""

import json
from pathlib import Path

import polars as pl
import pytest
from lakes import take, write

from flows import warehouse
from flows.derive import derive
from flows.lake import Lake
from transforms.tables import observed


def event(count: int, last: str, uid: str = "u1", **more) -> str:
    said = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"uid": uid, "namespace": "default"},
        "type": "Warning", "reason": "TaskHung", "message": "task python:1 blocked", "count": count,
        "firstTimestamp": "2026-03-02T10:00:00Z", "lastTimestamp": f"2026-03-02T{last}Z",
        "involvedObject": {"kind": "Node", "name": "n1"},
        "source": {"component": "kernel-monitor", "host": "n1"}, **more,
    }  # fmt: skip
    return json.dumps(said)


EXPORTS = {
    "z-first.json": event(1, "10:00:00"),
    "m-second.json": event(7, "10:06:00"),
    "a-third.json": event(9, "10:08:00"),
    "b-fourth.json": event(8, "10:07:00"),
}


@pytest.mark.parametrize("names", [sorted(EXPORTS), sorted(EXPORTS, reverse=True)])
def test_exports_of_one_growing_event_fold_to_the_last_in_whatever_order(names, tmp_path: Path):
    for name in names:
        take(tmp_path / "lake", write(tmp_path / "in", {name: EXPORTS[name]}) / name)
    (row,) = Lake(tmp_path / "lake").read(observed.CLUSTER_EVENTS).rows(named=True)
    assert (row["times"], f"{row['last_at']:%H:%M}", row["file"]) == (9, "10:08", "a-third.json")


def node(ready: str, since: str, taken: str, **spec) -> str:
    said = {
        "apiVersion": "v1", "kind": "Node", "spec": {"providerID": "aws:///a/i-1", **spec},
        "metadata": {"name": "n1", "creationTimestamp": "2026-01-15T08:00:00Z"},
        "status": {
            "capacity": {"nvidia.com/gpu": "8"},
            "conditions": [
                {"type": "Ready", "status": ready, "reason": "KubeletNotReady",
                 "lastTransitionTime": f"2026-03-02T{since}Z", "lastHeartbeatTime": f"2026-03-02T{taken}Z"}
            ],
        },
    }  # fmt: skip
    return json.dumps(said)


def test_each_dump_carries_a_spell_out_of_service_on_and_none_beyond_itself(tmp_path: Path):
    dumps = {
        "1.json": node("False", "10:00:00", "10:05:00"),
        "3.json": node("False", "10:00:00", "11:05:00"),
        "2.json": node("False", "10:00:00", "10:35:00"),
        "4.json": node("True", "11:20:00", "11:35:00"),
    }
    take(tmp_path / "lake", write(tmp_path / "in", dumps))
    lake = Lake(tmp_path / "lake")
    (spell,) = lake.read(observed.NODE_STATES).rows(named=True)
    assert (spell["state"], f"{spell['ended']:%H:%M}") == ("DOWN", "11:05")
    assert lake.read(observed.NODES).select("node", "gpus", "valid_to").rows() == [("n1", 8, None)]


def pod(phase: str, node: str = "n1", **status) -> dict:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": f"train-{node}", "namespace": "ml", "uid": f"u-{node}",
            "creationTimestamp": "2026-03-02T08:00:00Z",
            "labels": {"batch.kubernetes.io/job-name": "train"},
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "8"}}}],
        },
        "status": {"phase": phase, "startTime": "2026-03-02T08:00:10Z", **status},
    }  # fmt: skip


def listed(*items: dict) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def terminated(code: int, at: str) -> dict:
    stop = {"exitCode": code, "finishedAt": f"2026-03-02T{at}Z", "reason": "Error"}
    return {"containerStatuses": [{"name": "m", "state": {"terminated": stop}}]}


@pytest.mark.parametrize("order", [("1.json", "2.json"), ("2.json", "1.json")])
def test_a_pod_seen_running_and_then_ended_is_one_attempt_in_whatever_order(order, tmp_path):
    dumps = {
        "1.json": listed(pod("Running"), pod("Running", "n2")),
        "2.json": listed(pod("Failed", **terminated(1, "10:16:00")), pod("Failed", "n2", **terminated(1, "10:16:05"))),
    }  # fmt: skip
    for name in order:
        take(tmp_path / "lake", write(tmp_path / "in", {name: dumps[name]}) / name)
    (row,) = Lake(tmp_path / "lake").read(observed.JOB_ATTEMPTS).rows(named=True)
    assert (row["job_id"], row["state"], f"{row['ended']:%T}", row["gpus"], row["nodes"]) == (
        "ml/train", "FAILED", "10:16:05", 16, ["n1", "n2"],
    )  # fmt: skip


def told(
    uid: str, name: str, reason: str, message: str, at: str, kind: str = "Node", **more
) -> dict:
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"uid": uid}, "reason": reason,
        "type": "Warning", "message": message, "count": 1, "firstTimestamp": f"2026-03-02T{at}Z",
        "lastTimestamp": f"2026-03-02T{at}Z", "involvedObject": {"kind": kind, "name": name},
        "source": {"component": "kernel-monitor"}, **more,
    }  # fmt: skip


def gpu_node(name: str) -> dict:
    said = json.loads(node("True", "06:00:00", "12:00:00"))
    said["metadata"] |= {"name": name, "creationTimestamp": "2026-03-01T00:00:00Z"}
    return said


def gang(restart: int, created: str, ends: dict[str, dict]) -> list[dict]:
    pods = []
    for number, (name, status) in enumerate(ends.items()):
        labels = {"jobset.sigs.k8s.io/jobset-name": "llm", "jobset.sigs.k8s.io/restart-attempt": str(restart)}  # fmt: skip
        said = pod(status.pop("phase"), name, **status)
        said["metadata"] |= {
            "name": f"llm-{number}", "labels": labels, "uid": f"{restart}-{number}",
            "creationTimestamp": f"2026-03-02T{created}Z",
        }  # fmt: skip
        said["status"]["startTime"] = f"2026-03-02T{created}Z"
        pods.append(said)
    return pods


def test_a_lost_gpu_explains_the_loss_of_the_node_and_of_the_run(tmp_path: Path):
    """Nodes, events and pods of one cluster, from three dumps to an incident and its cost."""
    gave_up = {
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        "lastTransitionTime": "2026-03-02T10:21:00Z",
    }  # fmt: skip
    dumps = {
        "nodes.json": listed(gpu_node("n1"), gpu_node("n2"), gpu_node("n3")),
        "events.json": listed(
            told("e1", "n2", "XidCriticalError", "NVRM: Xid (PCI:0000:3b:00): 79, pid=7, GPU has fallen off the bus.", "10:15:04"),
            told("e2", "n2", "NodeNotReady", "Node n2 status is now: NodeNotReady", "10:16:10", type="Normal"),
            *(
                told(f"p{n}", "llm-0", "Pulled", "Container image already present", f"10:{n:02}:00", kind="Pod",
                     type="Normal", source={"component": "kubelet", "host": "n2"})
                for n in range(60)
            ),
            told("e3", "n1", "BackOff", "Back-off restarting failed container", "10:15:30",
                 source={"component": "kubelet", "host": "n1"}),
        ),
        "pods.json": listed(
            *gang(0, "08:00:00", {
                "n1": {"phase": "Failed", **terminated(1, "10:17:00")},
                "n2": {"phase": "Failed", "conditions": [gave_up]},
            }),
            *gang(1, "10:22:00", {
                "n1": {"phase": "Succeeded", **terminated(0, "12:00:00")},
                "n3": {"phase": "Succeeded", **terminated(0, "12:00:00")},
            }),
        ),
    }  # fmt: skip
    root = tmp_path / "lake"
    report = take(root, write(tmp_path / "in", dumps), cluster="east")
    assert report.is_fine
    derive(root)
    found = warehouse.query(
        root,
        "SELECT node, class, root_code, device, counts, interrupts FROM incidents "
        "WHERE definition = 'coalesced-180s' ORDER BY node",
    )
    assert ("n2", "GPU", 79, "0000:3b:00", True, 1) in found.rows()
    assert found.filter(pl.col("counts"))["node"].to_list() == ["n2"]
    stops = warehouse.query(
        root,
        "SELECT run, job_id, state, cause, planned, nodes, gpus, allocated_at FROM interruptions",
    )
    (stop,) = stops.rows(named=True)
    assert (stop["job_id"], stop["state"], stop["cause"], stop["planned"]) == ("ml/llm", "NODE_FAIL", "GPU", False)  # fmt: skip
    assert (stop["nodes"], stop["gpus"], f"{stop['allocated_at']:%H:%M}") == (2, 16, "10:22")
    assert not warehouse.failed_checks(root).keys() & {
        "ledger_does_not_sum_to_capacity", "exposure_does_not_add_up", "gpus_oversubscribed",
        "job_on_a_node_not_in_the_fleet", "failure_without_exposure",
        "run_ledger_does_not_sum_to_allocations", "counts_of_an_arrival_disagree",
    }  # fmt: skip
