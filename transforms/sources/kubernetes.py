"""Kubernetes objects as JSON: Events, Nodes, Pods and Jobs, dumped, watched or exported.

    {"kind": "Event", "reason": "NodeNotReady", "involvedObject": {"kind": "Node", "name": "a1"}}

A file may mix kinds (`kubectl get pods,jobs,events -A -o json`): whatever source it is taken for,
each object is read as what it is, and other kinds are ignored. An object gives all its rows or,
where one of them breaks a promise, none. `line_no` counts objects: a dump may be a single line.
"""

import re
from collections import defaultdict
from functools import partial
from typing import Any

import polars as pl

from transforms.contract import Table
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.kubernetes_events import read_events
from transforms.sources.kubernetes_nodes import read_nodes
from transforms.sources.kubernetes_objects import KubernetesObject, objects
from transforms.sources.kubernetes_pods import read_jobs, read_pods
from transforms.tables.observed import CLUSTER_EVENTS, JOB_ATTEMPTS, NODE_STATES, NODES

_EVENT = re.compile(r'"(?:involvedObject|regarding)"\s*:\s*\{|"kind"\s*:\s*"Event(?:List)?"')
_KIND = re.compile(r'"kind"\s*:\s*"(Node|Pod|Job)(?:List)?"')
_OURS = re.compile(r'"(?:apiVersion|metadata)"\s*:')
_READERS = {"Event": read_events, "Node": read_nodes, "Pod": read_pods, "Job": read_jobs}
_MAKES = (CLUSTER_EVENTS, NODES, NODE_STATES, JOB_ATTEMPTS)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read every object by its kind; see the module's docstring for what is refused."""
    found, bad, silent = objects(data)
    by_kind: dict[str, list[KubernetesObject]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
    texts = {one.number: one.text for one in found}
    if by_kind["Pod"]:  # they say all that their Jobs would, and where
        by_kind["Job"] = []
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in _MAKES}
    accepted: set[int] = set()
    for kind, read in _READERS.items():
        said, refused, taken = read(by_kind[kind], origin)
        bad += refused
        accepted |= taken
        for table, more in said.items():
            rows[table] += more
    frames = {}
    for table, made in rows.items():
        frame = table.conform(pl.DataFrame(made, schema=table.dtypes, orient="row"))
        frames[table.name], broken = refuse_broken(table, frame, lambda number: texts[number])
        bad += broken
    told = {number: (number, reason, text) for number, reason, text in sorted(bad, reverse=True)}
    frames = {
        name: frame.filter(~pl.col("line_no").is_in(list(told))) for name, frame in frames.items()
    }
    accepted -= told.keys()
    ignored = len(found) - len(accepted) - len(told.keys() & texts.keys()) + silent
    return Parsed(
        frames=frames,
        rejects=rejects([told[number] for number in sorted(told)]),
        records=len(accepted) + len(told) + ignored,
        accepted=len(accepted),
        rejected=len(told),
        ignored=ignored,
    )


def sniff(kinds: tuple[str, ...], head: str, name: str) -> int:
    """Surely, if the first object that tells its kind is one of `kinds`."""
    if not head.lstrip("\ufeff \t\r\n").startswith("{") or not _OURS.search(head):
        return 0
    event, other = _EVENT.search(head), _KIND.search(head)
    if not event and not other:
        return 0
    # An Event names the kind of what it is about, but only after it has begun to.
    is_event = event is not None and (other is None or event.start() < other.start())
    return 2 if ("Event" if is_event or not other else other[1]) in kinds else 0


EVENTS_SOURCE = Source(
    name="kubernetes_events",
    title="Kubernetes Events: kubectl get events -A -o json, watches and exporters, one a line too",
    example='{"kind": "Event", "type": "Warning", "reason": "XidCriticalError", "message": "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", "count": 2, "firstTimestamp": "2026-03-02T10:15:04Z", "lastTimestamp": "2026-03-02T10:16:04Z", "involvedObject": {"kind": "Node", "name": "gpu-0417"}, "source": {"component": "kernel-monitor", "host": "gpu-0417"}}',
    makes=_MAKES,
    sniff=partial(sniff, ("Event",)),
    parse=parse,
)
NODES_SOURCE = Source(
    name="kubernetes_nodes",
    title="Kubernetes Nodes: kubectl get nodes -o json",
    example='{"kind": "Node", "metadata": {"name": "gpu-0417", "creationTimestamp": "2026-01-15T08:00:00Z", "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}, "status": {"capacity": {"nvidia.com/gpu": "8"}, "conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": "2026-03-02T10:17:10Z"}]}}',
    makes=_MAKES,
    sniff=partial(sniff, ("Node",)),
    parse=parse,
)
PODS_SOURCE = Source(
    name="kubernetes_pods",
    title="Kubernetes Pods, or Jobs alone: kubectl get pods -A -o json",
    example='{"kind": "Pod", "metadata": {"name": "llm-workers-0-3-x7k2p", "namespace": "ml", "creationTimestamp": "2026-03-02T07:59:50Z", "labels": {"jobset.sigs.k8s.io/jobset-name": "llm", "jobset.sigs.k8s.io/restart-attempt": "2"}}, "spec": {"nodeName": "gpu-0417", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}]}, "status": {"phase": "Running", "startTime": "2026-03-02T08:00:00Z"}}',
    makes=_MAKES,
    sniff=partial(sniff, ("Pod", "Job")),
    parse=parse,
)
