"""Kubernetes Events to reports: core/v1 and events.k8s.io/v1, as served or as exported.

    {"kind": "Event", "reason": "NodeNotReady", "count": 3, "firstTimestamp": "2026-03-02T10:15:44Z",
     "lastTimestamp": "2026-03-02T10:25:44Z", "involvedObject": {"kind": "Node", "name": "a1"}}

The server counts an event up in place, so one event arrives many times: of those with one uid the
best informed is kept, here within a file and in the lake by its key. A report is first seen at
firstTimestamp, or eventTime in the newer form, whose series counts what came after.

The node is the one it is about, else the one the reporter runs on, else the one the scheduler
names in its message. An Xid is read from the message or the reason, and not from what only says
that all is well. The server knows Normal and Warning; what the catalogue takes for a possible
end of a run is critical, whatever the type: a node that is lost is a Normal event.
"""

import re
from datetime import timedelta
from typing import Any

import polars as pl

from transforms.cluster_reasons import read_reasons
from transforms.contract import Table
from transforms.sources.base import Origin
from transforms.sources.kernel_patterns import PCI
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
    word,
)
from transforms.tables.observed import CLUSTER_EVENTS

Row = dict[str, Any]

_XID = re.compile(
    r"(?i)(?<![a-z])xid(?:[\s_-]*(?:errors?|codes?|events?|critical))*\s*"
    rf"(?:\((?:PCI:)?{PCI}[^)]*\))?[\s:=#(-]*(\d{{1,4}})\b"
)
_XID_IN_REASON = re.compile(r"(?i)(?<!s)xid[_-]?(\d{1,4})")
_PCI = re.compile(rf"(?<![0-9a-fA-F])(?<![0-9a-fA-F]:)0*({PCI})(?:\.[0-7])?(?![0-9a-fA-F:])")
_UUID = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4,12}){0,4}\b")
_PLACED = re.compile(r"(?:[Ss]uccessfully assigned \S+ to|\bon node) (\S+?)[.,]?$")
_SKEW = timedelta(seconds=1)
_CODE_LIMIT = 1_000


def read_events(
    events: list[KubernetesObject], origin: Origin
) -> tuple[dict[Table, list[Row]], list[Refused], set[int]]:
    """Rows of cluster_events, one per event, by table; what was refused; the numbers that were accepted."""
    rows: list[tuple[str, Row]] = []
    bad: list[Refused] = []
    for event in events:
        try:
            rows.append(_row(event, origin))
        except UnreadableError as error:
            bad.append((event.number, str(error), event.text))
    best: dict[str, Row] = {}
    for uid, row in rows:
        if uid not in best or _informed(best[uid]) < _informed(row):
            best[uid] = row
    made = _leveled(list(best.values()))
    return {CLUSTER_EVENTS: made}, bad, {row["line_no"] for _, row in rows}


def named_fault(reason: str, message: str) -> tuple[int, str]:
    """The Xid and the device (bus address, else GPU uuid) that a report names; 0 and '' if none."""
    found = _XID.search(message) or _XID_IN_REASON.search(reason)
    code = int(found[1]) if found else 0
    if address := _PCI.search(message):
        device = address[1].lower()
        device = device[-10:] if len(device) > 10 else device
    else:
        uuid = _UUID.search(message)
        device = uuid[0] if uuid else ""
    return (code if code < _CODE_LIMIT else 0), device


def _leveled(rows: list[Row]) -> list[Row]:
    """Call critical what the catalogue takes for a possible end of a run."""
    asked = pl.DataFrame(
        {"reason": [row["reason"] for row in rows], "detail": [row["detail"] for row in rows]},
        schema={"reason": pl.String, "detail": pl.String},
    )
    counts = read_reasons(asked)["counts"]
    return [
        {**row, "level": "critical" if rule == "corroborate" else row["level"]}
        for row, rule in zip(rows, counts, strict=True)
    ]


def _informed(row: Row) -> tuple[Any, int, int]:
    return row["last_at"] or row["observed_at"], row["times"] or 0, row["line_no"]


def _row(event: KubernetesObject, origin: Origin) -> tuple[str, Row]:
    said, meta = event.said, event.metadata
    about = part(said, "involvedObject") or part(said, "regarding")
    source = part(said, "source") or part(said, "deprecatedSource")
    kind, name, space = (word(about, key) for key in ("kind", "name", "namespace"))
    reason = word(said, "reason")
    message = word(said, "message") or word(said, "note")
    if not reason:
        raise UnreadableError("reason: not told")
    series = part(said, "series")
    began = (
        moment(said, "firstTimestamp")
        or moment(said, "deprecatedFirstTimestamp")
        or moment(said, "eventTime")
        or moment(meta, "creationTimestamp")
    )
    if not began:
        raise UnreadableError("no time told: neither firstTimestamp nor eventTime")
    ended = latest(
        moment(said, "lastTimestamp"),
        moment(said, "deprecatedLastTimestamp"),
        moment(series, "lastObservedTime"),
    )
    # One clock stamps whole seconds and the other microseconds: less than that is no contradiction.
    if ended and ended <= began and began - ended < _SKEW:
        ended = None
    is_warning = word(said, "type") == "Warning"
    code, device = named_fault(reason, message)
    object_name = "/".join(text for text in (space, name) if text)
    row = {
        "cluster": event.cluster or origin.cluster,
        "node": _node(said, kind, name, source, message) or origin.node,
        "observed_at": began,
        "reporter": first_word(source, "component")
        or first_word(said, "reportingComponent", "reportingController")
        or "",
        "object": f"{kind.lower()} {object_name}".strip(),
        "reason": reason,
        "code": code if is_warning else 0,
        "device": device,
        "detail": message,
        "level": "warning" if is_warning else "info",
        "last_at": ended,
        "times": _times(said, series),
        "file": origin.file,
        "line_no": event.number,
    }
    return word(meta, "uid") or f"record {event.number}", row


def _times(said: Fields, series: Fields) -> int | None:
    told = count(series, "count") or count(said, "count") or count(said, "deprecatedCount")
    # The newer form has no count until there is a series: such an event was seen once.
    return told or (1 if moment(said, "eventTime") else None)


def _node(said: Fields, kind: str, name: str, source: Fields, message: str) -> str:
    if kind == "Node":
        return name
    if host := word(source, "host") or word(said, "nodeName"):
        return host
    if (
        word(said, "reportingComponent") == "kubelet"
        or word(said, "reportingController") == "kubelet"
    ):
        return word(said, "reportingInstance")
    placed = _PLACED.search(message)
    return placed[1] if placed else ""
