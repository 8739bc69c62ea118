"""NVSentinel's health events, as JSON, to cluster_events: what its monitors say of the nodes.

    {"healthevent": {"agent": "syslog-health-monitor", "checkName": "SysLogsXIDError", ...}}

Reads the HealthEvent of NVSentinel 0.2 to 1.0 in four wrappings, any of them a line each, in an
array, or one document: the CloudEvents of its exporter (`data.healthEvent`), the documents of its
store (`mongoexport` of HealthEvents, where field names are in lower case and times are seconds and
nanos or `$date`; the column `document` of PostgreSQL), `{"events": [...]}` as sent to the platform
connector, and the bare event. Fields that proto3 leaves out are false or empty.

A fatal event is critical, an unhealthy one a warning. A healthy one is mere information under the
check's name with IsHealthy, as NVSentinel itself calls it, and names no code: a recovery is no
fault. A number in `errorCode` is an Xid when the component is a GPU, and an
SXid, told in the detail, when the check is for SXids or the component is an NVSwitch.
A record is a health event; `line_no` counts the documents.
"""

import re
from collections.abc import Iterator
from typing import Any

from transforms.sources import agent_events, text
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.json_records import records
from transforms.tables.observed import CLUSTER_EVENTS

_ACTIONS = {
    2: "COMPONENT_RESET",
    5: "CONTACT_SUPPORT",
    6: "RUN_FIELDDIAG",
    15: "RESTART_VM",
    24: "RESTART_BM",
    25: "REPLACE_VM",
    26: "RUN_DCGMEUD",
    39: "RESTART_APP",
}
_NO_ACTION = ("", "0", "NONE", "99", "UNKNOWN")
_CODE = re.compile(r"(?:s?xid[^0-9a-z]{0,2})?([1-9][0-9]{0,5})(?![0-9a-z])", re.IGNORECASE)
# Not SysLogsXIDError, in which an s stands before XID.
_FOR_SXIDS = re.compile(r"SX[Ii][Dd]|(?<![A-Za-z])sxid")
_SOURCE = re.compile(r"nvsentinel:?/{1,2}([^/]+)")

_Fields = dict[str, Any]


class UnreadableError(ValueError):
    """A field is of no kind that any wrapping writes in its place."""


def sniff(head: str, name: str) -> int:
    """JSON with the fields of a health event, whatever their case."""
    if head.lstrip("\ufeff \t\r\n")[:1] not in ("{", "["):
        return 0
    words = head.lower()
    fields = ('"checkname"', '"componentclass"', '"agent"')
    return 2 if all(field in words for field in fields) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per health event."""
    reports: list[Report] = []
    bad: list[tuple[int, str, str]] = []
    told: dict[int, str] = {}
    for record in records(text.decode(data)):
        told[record.line_no] = record.text
        if record.fault:
            bad.append((record.line_no, record.fault, record.text))
            continue
        for event, around in _events(record.value):
            try:
                reports.append(_report(event, around, record.line_no, origin))
            except UnreadableError as error:
                bad.append((record.line_no, str(error), record.text))
    return agent_events.parsed(reports, bad, lambda line_no: told[line_no], origin)


def _events(document: _Fields) -> Iterator[tuple[_Fields, _Fields]]:
    """Health events of a document, each with what was said around it, under lower-case names."""
    outer = _lower(document)
    around = outer | _lower(outer.get("data")) | _lower(outer.get("document"))
    inner = around.get("healthevent")
    if isinstance(inner, dict):
        yield _lower(inner), around
    elif isinstance(listed := around.get("events"), list):
        yield from ((_lower(event), around) for event in listed)
    else:
        yield around, {}


def _report(event: _Fields, around: _Fields, line_no: int, origin: Origin) -> Report:
    check, component = _word(event, "checkname"), _word(event, "componentclass")
    if not check:
        raise UnreadableError("no health event: it names no check")
    is_healthy, is_fatal = _flag(event, "ishealthy"), _flag(event, "isfatal")
    is_switch = bool(_FOR_SXIDS.search(check)) or component.lower() == "nvswitch"
    codes = _codes(event)
    numbers = [int(found[1]) for code in codes if (found := _CODE.match(code))]
    number = numbers[0] if numbers and not is_healthy else 0
    is_xid = not is_switch and (component.upper() == "GPU" or "xid" in check.lower())
    named = f"SXid {number}" if number and is_switch else ", ".join(codes)
    action = _action(event)
    message = _word(event, "message")
    words = [component, named, message, action and f"recommended {action}"]
    node = _word(event, "nodename") or origin.node
    return Report(
        line_no=line_no,
        at=_instant(event.get("generatedtimestamp"))
        or _instant(around.get("time"))
        or _instant(around.get("createdat")),
        node=node,
        reporter=f"nvsentinel/{_word(event, 'agent')}".removesuffix("/"),
        object=f"node {node}",
        reason=f"{check}IsHealthy" if is_healthy else check,
        detail=": ".join(word for word in words if word),
        level="info" if is_healthy else "critical" if is_fatal else "warning",
        code=number if is_xid else 0,
        device=_device(event),
        cluster=_cluster(around),
    )


def _device(event: _Fields) -> str:
    """The bus address, else the GPU's uuid, else the network port or card that it names."""
    found = event.get("entitiesimpacted") or []
    if not isinstance(found, list):
        raise UnreadableError("entitiesImpacted: not a list")
    entities = [_lower(entity) for entity in found]
    values = [_word(entity, "entityvalue") for entity in entities]
    cards = [
        _word(entity, "entityvalue")
        for entity in entities
        if _word(entity, "entitytype").lower().startswith("nic")
    ]
    return agent_events.bus_address(*values) or agent_events.device(*values) or "".join(cards[:1])


def _cluster(around: _Fields) -> str:
    """Of a CloudEvent: its metadata, else its source."""
    if told := _word(_lower(around.get("metadata")), "cluster"):
        return told
    found = _SOURCE.match(_word(around, "source"))
    return found[1] if found else ""


def _codes(event: _Fields) -> list[str]:
    found = event.get("errorcode") or []
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(code, str | int) for code in listed):
        raise UnreadableError("errorCode: not a list of texts")
    return [str(code) for code in listed]


def _action(event: _Fields) -> str:
    found = _plain(event.get("recommendedaction"))
    if not isinstance(found, str | int | None):
        raise UnreadableError("recommendedAction: not a word or number")
    word = _ACTIONS.get(found, str(found)) if isinstance(found, int) else found or ""
    return "" if word in _NO_ACTION else word


def _instant(value: Any) -> str | None:
    """An ISO stamp as it is; seconds and nanos, and a store's milliseconds, as epoch seconds."""
    found = _plain(value)
    if isinstance(found, dict):
        parts = _lower(found)
        seconds, nanos = _plain(parts.get("seconds")), _plain(parts.get("nanos")) or 0
        if type(seconds) is not int or type(nanos) is not int or not 0 <= nanos < 10**9:
            raise UnreadableError("time: not seconds and nanos")
        return f"{seconds}.{nanos:09d}"
    if type(found) is int:
        return f"{found // 1000}.{found % 1000:03d}"
    if not isinstance(found, str | None):
        raise UnreadableError("time: of an unknown kind")
    return found or None


def _plain(value: Any) -> Any:
    """Without the store's wrapping: {"$date": ...}, {"$numberLong": "5"}, {"$numberInt": "5"}."""
    while isinstance(value, dict) and len(value) == 1:
        (key, inner) = next(iter(value.items()))
        if key not in ("$date", "$numberLong", "$numberInt"):
            break
        is_digits = key != "$date" and isinstance(inner, str) and re.fullmatch(r"-?\d+", inner)
        value = int(inner[:20]) if is_digits else inner
    return value


def _word(fields: _Fields, name: str) -> str:
    found = fields.get(name)
    if not isinstance(found, str | None):
        raise UnreadableError(f"{name}: not a text")
    return (found or "").strip()


def _flag(fields: _Fields, name: str) -> bool:
    found = fields.get(name)
    if not isinstance(found, bool | None):
        raise UnreadableError(f"{name}: not true or false")
    return bool(found)


def _lower(value: Any) -> _Fields:
    return {key.lower(): part for key, part in value.items()} if isinstance(value, dict) else {}


SOURCE = Source(
    name="nvsentinel",
    title="NVSentinel: health events as JSON, from its store or its exporter",
    example='{"createdAt": {"$date": "2026-03-02T10:15:04.5Z"}, "healthevent": {"agent": "syslog-health-monitor", "componentclass": "GPU", "checkname": "SysLogsXIDError", "isfatal": true, "errorcode": ["79"], "entitiesimpacted": [{"entitytype": "PCI", "entityvalue": "0000:9b:00"}], "nodename": "gpu-0417"}}',
    makes=(CLUSTER_EVENTS,),
    sniff=sniff,
    parse=parse,
)
