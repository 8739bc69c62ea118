"""How a Kubernetes Pod ended, in the words of job_attempts (methods 2.7).

    phase Succeeded                                         COMPLETED
    NodeLost, Shutdown, Terminated by a node's shutdown,
    taken off by the taint manager or the pod collector     NODE_FAIL
    UnexpectedAdmissionError, OutOf<resource>               BOOT_FAIL: the node could not give what it promised
    OOMKilled, Evicted for memory                           OUT_OF_MEMORY
    PreemptionByScheduler, Preempting                       PREEMPTED
    DeadlineExceeded                                        TIMEOUT
    EvictionByEvictionAPI, deleted and stopped by a signal  CANCELLED: a drain or a person; a fault before it explains it
    anything else that failed                               FAILED

A pod that its node can no longer speak for keeps the phase Running: it is over when the taint
manager or the pod collector has given it up.
"""

import re
from datetime import datetime
from typing import NamedTuple

from transforms.sources.kubernetes_objects import (
    Fields,
    KubernetesObject,
    UnreadableError,
    latest,
    moment,
    part,
    parts,
    word,
)

_BY_REASON = {
    "NodeLost": "NODE_FAIL",
    "NodeShutdown": "NODE_FAIL",
    "Shutdown": "NODE_FAIL",
    "Terminated": "NODE_FAIL",
    "UnexpectedAdmissionError": "BOOT_FAIL",
    "Preempting": "PREEMPTED",
    "DeadlineExceeded": "TIMEOUT",
}
_BY_DISRUPTION = {
    "PreemptionByScheduler": "PREEMPTED",
    "PreemptionByKubeScheduler": "PREEMPTED",
    "DeletionByTaintManager": "NODE_FAIL",
    "DeletionByPodGC": "NODE_FAIL",
    "EvictionByEvictionAPI": "CANCELLED",
}
_GIVEN_UP = ("DeletionByTaintManager", "DeletionByPodGC")
_SHORT_OF_MEMORY = re.compile(r"(?i)low on resource: memory|memory")
_FIRST_SIGNAL, _LAST_SIGNAL = 129, 192
_STOPPED = (9, 15)


class PodEnd(NamedTuple):
    """State, and for a pod that is over when and how; `ended` is null while it lasts."""

    state: str
    ended: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    cancelled_by: str | None = None


def end_of(pod: KubernetesObject) -> PodEnd:
    """How a pod stands; raises UnreadableError where it is over and nothing tells since when."""
    status, deleted = part(pod.said, "status"), moment(pod.metadata, "deletionTimestamp")
    phase, why = word(status, "phase"), word(status, "reason")
    disruption = _disruption(status)
    by = word(disruption, "reason")
    is_given_up = why == "NodeLost" or (deleted is not None and by in _GIVEN_UP)
    if phase not in ("Succeeded", "Failed") and not is_given_up and pod.change != "DELETED":
        return PodEnd("RUNNING" if word(part(pod.said, "spec"), "nodeName") else "PENDING")
    stops = _stops(status)
    ended = (
        latest(*(moment(stop, "finishedAt") for stop in stops))
        or moment(disruption, "lastTransitionTime")
        or deleted
        or _not_ready_since(status)
    )
    if not ended:
        raise UnreadableError("the pod is over, but nothing tells since when")
    code, signal = _exit(stops)
    state = "COMPLETED" if phase == "Succeeded" else _state(status, stops, by)
    is_stopped = deleted is not None and (
        signal in _STOPPED or phase not in ("Failed", "Succeeded")
    )
    if state == "FAILED" and (is_stopped or (pod.change == "DELETED" and phase != "Failed")):
        state = "CANCELLED"
    message = word(status, "message") or word(disruption, "message")
    words = ": ".join(text for text in (why or by, message) if text)
    by_whom = ("eviction" if by else "deletion") if state == "CANCELLED" else None
    return PodEnd(state, ended, code, signal, words or None, by_whom)


def _state(status: Fields, stops: list[Fields], disruption: str) -> str:
    why, message = word(status, "reason"), word(status, "message")
    if why in _BY_REASON:
        return _BY_REASON[why]
    if why.startswith("OutOf"):
        return "BOOT_FAIL"
    if why == "Evicted":
        return "OUT_OF_MEMORY" if _SHORT_OF_MEMORY.search(message) else "FAILED"
    if disruption in _BY_DISRUPTION:
        return _BY_DISRUPTION[disruption]
    if disruption == "TerminationByKubelet":
        return "NODE_FAIL"
    if any(word(stop, "reason") == "OOMKilled" for stop in stops):
        return "OUT_OF_MEMORY"
    return "FAILED"


def _stops(status: Fields) -> list[Fields]:
    """What is said of each container that stopped."""
    states = [part(one, "state") for one in parts(status, "containerStatuses")]
    return [part(state, "terminated") for state in states if part(state, "terminated")]


def _exit(stops: list[Fields]) -> tuple[int | None, int | None]:
    """Exit code and signal of the first container that failed; 128 + n is signal n."""
    codes = [stop.get("exitCode") for stop in stops]
    if not all(code is None or (type(code) is int and 0 <= code < 2**31) for code in codes):
        raise UnreadableError("exitCode: not a count")
    order = sorted(
        (stop for stop in stops if stop.get("exitCode")),
        key=lambda stop: word(stop, "finishedAt") or "~",
    )
    if not order:
        return (0, 0) if stops else (None, None)
    code = int(order[0]["exitCode"])
    if _FIRST_SIGNAL <= code <= _LAST_SIGNAL:
        return 0, code - 128
    return code, 0


def _disruption(status: Fields) -> Fields:
    for condition in parts(status, "conditions"):
        if (word(condition, "type"), word(condition, "status")) == ("DisruptionTarget", "True"):
            return condition
    return {}


def _not_ready_since(status: Fields) -> datetime | None:
    for condition in parts(status, "conditions"):
        if word(condition, "type") == "Ready" and word(condition, "status") != "True":
            return moment(condition, "lastTransitionTime")
    return None
