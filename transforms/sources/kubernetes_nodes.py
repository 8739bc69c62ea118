"""Kubernetes Nodes to inventory, spells out of service and reports of trouble.

    {"kind": "Node", "metadata": {"name": "a1", "creationTimestamp": "2026-01-15T08:00:00Z"},
     "spec": {"unschedulable": true}, "status": {"capacity": {"nvidia.com/gpu": "8"}, "conditions": [...]}}

Only nodes with GPUs are of interest. A device plugin that is down takes the GPUs out of the
capacity, so the label of what is installed counts too.

    Ready is False     DOWN, since the transition        Ready is Unknown   DOWN* (not responding)
    cordoned, tainted  DRAIN, since the taint was added; what the node complains of is the reason
    other conditions   a report in cluster_events, since the transition: a kernel that complains, or
                       an agent's finding (EKS, GKE, AKS), does not by itself take the node out

A dump is a photograph: it knows a spell to go on until its own latest instant and no further, and
the next dump carries the spell on (the later end wins when rows fold). Left open, the spell of a
node that was replaced would last for ever. What began when nobody tells is known at that instant.
"""

import re
from datetime import UTC, datetime
from typing import Any

from transforms.cluster_reasons import is_known, may_end_a_run
from transforms.contract import Table
from transforms.sources.base import Origin
from transforms.sources.kubernetes_events import named_fault
from transforms.sources.kubernetes_objects import (
    Fields,
    KubernetesObject,
    Refused,
    UnreadableError,
    count,
    first_word,
    latest,
    moment,
    part,
    parts,
    word,
)
from transforms.tables.observed import CLUSTER_EVENTS, NODE_STATES, NODES

Row = dict[str, Any]

_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
_GPU_LABELS = ("nvidia.com/gpu.count", "amd.com/gpu.count", "karpenter.k8s.aws/instance-gpu-count")
_MODELS = (
    *("nvidia.com/gpu.product", "amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"),
    *("cloud.google.com/gke-accelerator", "gpu.nvidia.com/class", "k8s.amazonaws.com/accelerator"),
    "karpenter.k8s.aws/instance-gpu-name",
)
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_RACKS = (
    *("topology.kubernetes.io/rack", "topology.kubernetes.io/block", "rack"),
    *("cloud.google.com/gce-topology-subblock", "oci.oraclecloud.com/rdma.local_block_id"),
)
_LEAVES = ("network.topology.nvidia.com/leaf", "topology.k8s.aws/network-node-layer-3")
_NVLINK = ("nvidia.com/gpu.clique", "network.topology.nvidia.com/accelerator")

# Conditions of these endings are well when True, all others when False.
_WELL = ("Ready", "Healthy", "Available", "OK")
_CORDON = "node.kubernetes.io/unschedulable"
_TAKEN_OUT = (
    *("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption"),
    *("cloud.google.com/impending-node-termination", "node.kubernetes.io/out-of-service"),
    "node.cloudprovider.kubernetes.io/shutdown",
)
_U16 = 2**16 - 1


def read_nodes(
    nodes: list[KubernetesObject], origin: Origin
) -> tuple[dict[Table, list[Row]], list[Refused], set[int]]:
    """Rows by table; what was refused; the numbers that were accepted."""
    bad: list[Refused] = []
    told: dict[int, datetime] = {}
    for node in nodes:
        try:
            told[node.number] = _last_instant(node)
        except UnreadableError as error:
            bad.append((node.number, str(error), node.text))
    newest = latest(*told.values())
    following = _following([node for node in nodes if node.number in told])
    rows: dict[Table, list[Row]] = {NODES: [], NODE_STATES: [], CLUSTER_EVENTS: []}
    accepted: set[int] = set()
    for node in (node for node in nodes if node.number in told):
        seen = told[node.number]
        if node.number not in following and node.change != "DELETED":
            seen = newest or seen  # what was said last of a node still held when the file ended
        try:
            gpus = _gpus(node)
            if gpus:
                said = _inventory(node, gpus, told[node.number])
                back = following.get(node.number)
                states = _spells(node, told[node.number], seen, _ready_since(back))
                reports = _reports(node)
                cited = {"file": origin.file, "line_no": node.number, "node": said["node"]}
                cited["cluster"] = node.cluster or origin.cluster
                rows[NODES].append(said | cited)
                rows[NODE_STATES] += [state | cited for state in states]
                rows[CLUSTER_EVENTS] += [report | cited for report in reports]
                accepted.add(node.number)
        except UnreadableError as error:
            bad.append((node.number, str(error), node.text))
    return rows, bad, accepted


def _following(nodes: list[KubernetesObject]) -> dict[int, KubernetesObject]:
    """What a watch says next of the same node, by the number of what it said before."""
    before: dict[str, int] = {}
    following = {}
    for node in nodes:
        name = word(node.metadata, "name")
        if name in before:
            following[before[name]] = node
        before[name] = node.number
    return following


def _ready_since(node: KubernetesObject | None) -> datetime | None:
    for condition in parts(part(node.said, "status"), "conditions") if node else []:
        if (word(condition, "type"), word(condition, "status")) == ("Ready", "True"):
            return moment(condition, "lastTransitionTime")
    return None


def _last_instant(node: KubernetesObject) -> datetime:
    if not word(node.metadata, "name"):
        raise UnreadableError("metadata.name: not told")
    created = moment(node.metadata, "creationTimestamp")
    if not created:
        raise UnreadableError("creationTimestamp: not told")
    stamps = [
        moment(condition, name)
        for condition in parts(part(node.said, "status"), "conditions")
        for name in ("lastHeartbeatTime", "lastTransitionTime")
    ]
    return latest(created, *stamps) or created


def _gpus(node: KubernetesObject) -> int:
    capacity, labels = part(part(node.said, "status"), "capacity"), part(node.metadata, "labels")
    whole = sum(count(capacity, name) or 0 for name in _GPUS)
    return min(max(whole, *(count(labels, name) or 0 for name in _GPU_LABELS)), _U16)


def _inventory(node: KubernetesObject, gpus: int, seen: datetime) -> Row:
    meta = node.metadata
    labels, provider = part(meta, "labels"), word(part(node.said, "spec"), "providerID")
    leaving = moment(meta, "deletionTimestamp") or (seen if node.change == "DELETED" else None)
    return {
        "node": word(meta, "name"),
        "valid_from": moment(meta, "creationTimestamp"),
        "valid_to": leaving,
        "removal_reason": "deleted" if leaving else None,
        "gpus": gpus,
        "gpu_model": first_word(labels, *_MODELS),
        "provider": "oci" if provider.startswith("ocid1.") else provider.partition(":")[0] or None,
        "hall": first_word(labels, *_ZONES),
        "rack": first_word(labels, *_RACKS),
        "leaf_switch": first_word(labels, *_LEAVES),
        "nvlink_domain": first_word(labels, *_NVLINK),
    }


def _spells(
    node: KubernetesObject, told: datetime, seen: datetime, back: datetime | None
) -> list[Row]:
    """Rows of node_states: not ready, until seen so or known to be back, and cordoned."""
    spells: list[Row] = []
    conditions = parts(part(node.said, "status"), "conditions")
    complaints = [_sentence(c, with_type=False) for c in conditions if _is_complaint(c)]
    for condition in conditions:
        status = word(condition, "status")
        if word(condition, "type") == "Ready" and status in ("False", "Unknown"):
            began = moment(condition, "lastTransitionTime") or told
            state = "DOWN" if status == "False" else "DOWN*"
            reason = "; ".join([_sentence(condition, with_type=False), *complaints])
            ended = back if back and back > began else seen
            spells.append({"began": began, "state": state, "ended": ended, "reason": reason})
    spec = part(node.said, "spec")
    taints = {word(taint, "key"): taint for taint in parts(spec, "taints")}
    keys = [key for key in (*_TAKEN_OUT, _CORDON) if key in taints]
    if spec.get("unschedulable") is True and not keys:
        keys, taints = [_CORDON], {_CORDON: {}}
    if keys:
        began = _added(taints[keys[0]]) or told
        why = "cordoned" if keys[0] == _CORDON else f"tainted {keys[0]}"
        reason = "; ".join([why, *complaints])
        spells.append({"began": began, "state": "DRAIN", "ended": seen, "reason": reason})
    return [spell | {"ended": max(spell["ended"], spell["began"])} for spell in spells]


def _added(taint: Fields) -> datetime | None:
    """When a taint was added; autoscalers give epoch seconds as its value instead."""
    value = word(taint, "value")
    if re.fullmatch(r"[0-9]{10}", value):
        return datetime.fromtimestamp(int(value), UTC)
    return moment(taint, "timeAdded")


def _is_complaint(condition: Fields) -> bool:
    """Trouble beside readiness; Unknown only says that the agent was not heard of either."""
    kind = word(condition, "type")
    bad = "False" if kind.endswith(_WELL) else "True"
    return kind != "Ready" and word(condition, "status") == bad


def _reports(node: KubernetesObject) -> list[Row]:
    """Rows of cluster_events: what the node complains of."""
    name, found = word(node.metadata, "name"), []
    for condition in parts(part(node.said, "status"), "conditions"):
        began = moment(condition, "lastTransitionTime")
        if not began or not _is_complaint(condition):
            continue
        reason, message = word(condition, "reason"), word(condition, "message")
        code, device = named_fault(reason, message)
        kind = word(condition, "type")
        # What an agent found says more than the drawer it was put in, unless nobody knows it.
        reason = reason if code or is_known(reason) or not is_known(kind) else kind
        found.append(
            {
                "observed_at": began,
                "reporter": "node condition",
                "object": f"node {name}",
                "reason": reason or kind,
                "code": code,
                "device": device,
                "detail": _sentence(condition, with_type=True),
                "level": "critical" if code or may_end_a_run(reason or kind) else "warning",
            }
        )
    return found


def _sentence(condition: Fields, with_type: bool) -> str:
    """`KernelDeadlock, DockerHung: task docker:7 blocked`: type, reason and message."""
    kind = word(condition, "type") if with_type else ""
    reason = word(condition, "reason")
    head = ", ".join(text for text in (kind, reason if reason != kind else "") if text)
    return ": ".join(text for text in (head, word(condition, "message")) if text)
