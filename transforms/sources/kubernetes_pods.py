"""Kubernetes Pods and Jobs to job attempts: who held which GPUs when, and how it ended.

    {"kind": "Pod", "metadata": {"name": "llm-0-0-x7", "namespace": "ml", "labels": {"jobset.sigs.k8s.io/jobset-name": "llm"}},
     "spec": {"nodeName": "a1", ...}, "status": {"phase": "Failed", "reason": "NodeShutdown", ...}}

A pod that asks for whole GPUs is an allocation from being scheduled to its end; others are
ignored. The job is `namespace/name`, after the JobSet, Kubeflow, Volcano, Ray or LeaderWorkerSet
that the labels name, else the Job or other owner that runs to an end, else the pod itself.

Pods of one job are one attempt while they bear one restart count; without one, a pod that was
made after another pod of the attempt had ended opens the next. An attempt is over when all its
pods are, and lasts from the first scheduled to the last end. It ended by the loss of a node, a
failed launch, memory, preemption or a time limit where any of its pods did, in this order: the
rest of a gang only follows. Else the pod that ended first decides.

Jobs alone (a file without a single Pod) tell attempts too, with their GPUs and no nodes: where a
file has Pods, Jobs are ignored, or the same GPUs would be held twice.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transforms.contract import Table
from transforms.sources.base import Origin
from transforms.sources.kubernetes_objects import (
    Fields,
    KubernetesObject,
    Refused,
    UnreadableError,
    count,
    earliest,
    first_word,
    latest,
    moment,
    part,
    parts,
    word,
)
from transforms.sources.kubernetes_pod_ends import PodEnd, end_of
from transforms.tables.observed import JOB_ATTEMPTS

Row = dict[str, Any]
Read = tuple[dict[Table, list[Row]], list[Refused], set[int]]

_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
_MOST_GPUS = 1_000_000
_RESTART = "jobset.sigs.k8s.io/restart-attempt"
_JOBSET = "jobset.sigs.k8s.io/jobset-name"
_GROUPS = (
    *(_JOBSET, "training.kubeflow.org/job-name", "volcano.sh/job-name", "ray.io/cluster"),
    *("leaderworkerset.sigs.k8s.io/name", "batch.kubernetes.io/job-name", "job-name"),
)
_SERVES = ("ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Node")
_QUEUES = ("kueue.x-k8s.io/queue-name", "scheduling.volcano.sh/queue-name", "volcano.sh/queue-name")
_WORST = ("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")
_FIRST = ("FAILED", "CANCELLED", "COMPLETED")


@dataclass(frozen=True)
class _Pod:
    number: int
    cluster: str
    job: tuple[str, str, str]  # namespace/name, owner's uid, restart count or ''
    created: datetime
    started: datetime | None
    end: PodEnd
    node: str
    gpus: int
    traits: Row


def read_pods(pods: list[KubernetesObject], origin: Origin) -> Read:
    """Attempts of pods that ask for GPUs; of a pod said several times the last counts."""
    bad: list[Refused] = []
    newest: dict[str, _Pod] = {}
    accepted: set[int] = set()
    for pod in pods:
        try:
            if gpus := _gpus(part(pod.said, "spec")):
                read = _pod(pod, gpus, origin)
                newest[word(pod.metadata, "uid") or f"record {pod.number}"] = read
                accepted.add(pod.number)
        except UnreadableError as error:
            bad.append((pod.number, str(error), pod.text))
    rows = [_attempt(members, origin) for members in _attempts(list(newest.values()))]
    return {JOB_ATTEMPTS: rows}, bad, accepted


def read_jobs(jobs: list[KubernetesObject], origin: Origin) -> Read:
    """Attempts of Jobs that ask for GPUs, without their nodes."""
    bad: list[Refused] = []
    newest: dict[str, Row] = {}
    accepted: set[int] = set()
    for job in jobs:
        try:
            if row := _job(job, origin):
                newest[word(job.metadata, "uid") or f"record {job.number}"] = row
                accepted.add(job.number)
        except UnreadableError as error:
            bad.append((job.number, str(error), job.text))
    return {JOB_ATTEMPTS: list(newest.values())}, bad, accepted


def _gpus(spec: Fields) -> int:
    """Whole GPUs that the containers of a pod ask for; a limit is a request too."""
    asked = 0
    for container in parts(spec, "containers"):
        resources = part(container, "resources")
        limits, requests = part(resources, "limits"), part(resources, "requests")
        asked += sum(count(limits, n) or count(requests, n) or 0 for n in _GPUS)
    return _believed(asked)


def _believed(gpus: int) -> int:
    if gpus > _MOST_GPUS:
        raise UnreadableError(f"asks for {gpus} GPUs, more than {_MOST_GPUS}: no count to believe")
    return gpus


def _pod(pod: KubernetesObject, gpus: int, origin: Origin) -> _Pod:
    meta, spec, status = pod.metadata, part(pod.said, "spec"), part(pod.said, "status")
    created, node = moment(meta, "creationTimestamp"), word(spec, "nodeName")
    if not created or not word(meta, "name"):
        raise UnreadableError("name or creationTimestamp: not told")
    started = (_scheduled(status) or moment(status, "startTime") or created) if node else None
    end = end_of(pod)
    if started and end.ended and end.ended < started:
        raise UnreadableError(f"ended at {end.ended:%FT%TZ}, before it was scheduled")
    labels, notes = part(meta, "labels"), part(meta, "annotations")
    traits = {
        "run": first_word(notes, "run") or first_word(labels, "run"),
        "account": word(meta, "namespace") or None,
        "partition": first_word(labels, *_QUEUES) or first_word(notes, *_QUEUES),
        "qos": word(spec, "priorityClassName") or None,
        "time_limit_s": count(spec, "activeDeadlineSeconds"),
    }
    cluster = pod.cluster or origin.cluster
    return _Pod(pod.number, cluster, _owner(meta), created, started, end, node, gpus, traits)


def _owner(meta: Fields) -> tuple[str, str, str]:
    labels, notes = part(meta, "labels"), part(meta, "annotations")
    owner = next((o for o in parts(meta, "ownerReferences") if o.get("controller") is True), {})
    restart = word(labels, _RESTART) or word(notes, _RESTART)
    group, uid = first_word(labels, *_GROUPS) or first_word(notes, *_GROUPS), word(owner, "uid")
    if word(labels, _JOBSET):  # every replicated Job of the set has a uid of its own
        uid = word(labels, "jobset.sigs.k8s.io/jobset-uid")
    elif not group and owner and word(owner, "kind") not in _SERVES:
        group = word(owner, "name")
    name = group or word(meta, "name")
    return "/".join(text for text in (word(meta, "namespace"), name) if text), uid, restart


def _scheduled(status: Fields) -> datetime | None:
    for condition in parts(status, "conditions"):
        if (word(condition, "type"), word(condition, "status")) == ("PodScheduled", "True"):
            return moment(condition, "lastTransitionTime")
    return None


def _attempts(pods: list[_Pod]) -> list[list[_Pod]]:
    """Pods that were one allocation, as told at the top."""
    found: list[list[_Pod]] = []
    open_: dict[tuple[str, tuple[str, str, str]], list[_Pod]] = {}
    for pod in sorted(pods, key=lambda pod: (pod.created, pod.number)):
        members = open_.get((pod.cluster, pod.job))
        counts_restarts = pod.job[2] != ""
        if members is None or (
            not counts_restarts and any(m.end.ended and m.end.ended <= pod.created for m in members)
        ):
            members = open_[pod.cluster, pod.job] = []
            found.append(members)
        members.append(pod)
    return found


def _attempt(members: list[_Pod], origin: Origin) -> Row:
    placed = [pod for pod in members if pod.started]
    nodes = sorted({pod.node for pod in placed})
    end = _end(members)
    job = members[0].job[0]
    return {
        "cluster": members[0].cluster,
        "job_id": job,
        "name": job.rpartition("/")[2],
        "submitted": members[0].created,
        "eligible": members[0].created,
        "started": earliest(*(pod.started for pod in placed)),
        "ended": end.ended,
        "state": end.state,
        "cancelled_by": end.cancelled_by,
        "exit_code": end.exit_code,
        "signal": end.signal,
        "reason": end.reason,
        "nodes": nodes or None,
        "node_count": len(nodes) or len(members),
        "gpus": sum(pod.gpus for pod in placed or members),
        "file": origin.file,
        "line_no": min(pod.number for pod in members),
        **members[0].traits,
    }


def _end(members: list[_Pod]) -> PodEnd:
    """How the whole ended, by the pod that decides; the last end of all."""
    ends = [pod.end for pod in members]
    going = [end for end in ends if not end.ended]
    if going:
        return PodEnd("RUNNING" if any(pod.started for pod in members) else "PENDING")
    worst = [end for state in _WORST for end in ends if end.state == state]
    first = sorted(
        (end for end in ends if end.state != "COMPLETED"),
        key=lambda end: (end.ended, _FIRST.index(end.state) if end.state in _FIRST else 0),
    )
    return (*worst, *first, ends[0])[0]._replace(ended=latest(*(end.ended for end in ends)))


def _job(job: KubernetesObject, origin: Origin) -> Row | None:
    meta, spec, status = job.metadata, part(job.said, "spec"), part(job.said, "status")
    gpus = _gpus(part(part(spec, "template"), "spec"))
    gpus = _believed(gpus * (count(spec, "parallelism") or 1))
    if not gpus:
        return None
    created, started = moment(meta, "creationTimestamp"), moment(status, "startTime")
    if not created or not word(meta, "name"):
        raise UnreadableError("name or creationTimestamp: not told")
    true = {word(c, "type"): c for c in parts(status, "conditions") if word(c, "status") == "True"}
    state, ended, why = ("RUNNING" if count(status, "active") else "PENDING"), None, ""
    if "Complete" in true:
        ended = moment(status, "completionTime") or moment(true["Complete"], "lastTransitionTime")
        state = "COMPLETED"
    elif "Failed" in true:
        ended = moment(true["Failed"], "lastTransitionTime")
        why = ": ".join(filter(None, (word(true["Failed"], n) for n in ("reason", "message"))))
        state = "TIMEOUT" if why.startswith("DeadlineExceeded") else "FAILED"
    if state in ("COMPLETED", "TIMEOUT", "FAILED") and not ended:
        raise UnreadableError("the Job is over, but nothing tells since when")
    space = word(meta, "namespace")
    return {
        "cluster": job.cluster or origin.cluster,
        "job_id": "/".join(text for text in (space, word(meta, "name")) if text),
        "name": word(meta, "name"),
        "account": space or None,
        "partition": first_word(part(meta, "labels"), *_QUEUES),
        "submitted": created,
        "eligible": created,
        "started": started,
        "ended": ended,
        "state": state,
        "reason": why or None,
        "gpus": gpus,
        "time_limit_s": count(spec, "activeDeadlineSeconds"),
        "file": origin.file,
        "line_no": job.number,
    }
