"""Kubernetes dumps in a lake: repeated exports fold, and a lost GPU explains a lost run."""

import json
from pathlib import Path

import pytest
from lakes import take, write

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
