"""Redfish log entries and events, as JSON, to bmc_events.

    {"Members": [{"Id": "26", "Created": "2026-03-02T04:04:14-06:00", "EntryType": "SEL",
      "SensorType": "Power Supply", "Message": "Power supply redundancy is lost.", ...}]}

Read are collections (one page or many, one after another), single entries, arrays, one entry a
line, and the event messages that a subscriber is sent. Firmwares differ: a code is a word or
`[{"Member": "Assert"}]`, the origin stands below Links or not, a time may be missing. `line_no`
counts entries: a dump may be one line. Where a file is cut short, the entries before the cut stay.
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

import polars as pl

from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.bmc_clock import place_in_time
from transforms.sources.text import decode, instants
from transforms.tables.observed import BMC_EVENTS

_DECODER = json.JSONDecoder(strict=False)
_GAP = re.compile(r"[\s,]*")
_LIST = re.compile(r'"(?:Members|Events)"\s*:\s*\[')
_NEXT = re.compile(r"^[ \t]*[{\[]", re.MULTILINE)
_LEVELS = {
    **dict.fromkeys(("ok", "informational", "information", "repaired", "normal"), "info"),
    **dict.fromkeys(("warning", "caution", "minor", "degraded"), "warning"),
    **dict.fromkeys(("critical", "fatal", "major", "error"), "critical"),
}
_DIRECTIONS = {"assert": "asserted", "deassert": "deasserted"}
_TEXTS = ("record", "created", "sensor", "event", "direction", "level", "detail", "text", "fault")
_READ = pl.Schema({"line_no": pl.UInt32(), **dict.fromkeys(_TEXTS, pl.String())})
_ENTRY = {"EntryType", "Message", "MessageId", "SensorType", "EventTimestamp"}


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per entry; what is no entry is refused under its number, from 1."""
    rows = [
        (number, *(_read(found) if problem is None else _refused(found, problem)))
        for number, (found, problem) in enumerate(_entries(decode(data)), 1)
    ]
    told = pl.DataFrame(rows, _READ, orient="row")
    texts = dict(told.select("line_no", "text").rows())
    good, refused = refuse_faulty(BMC_EVENTS, _events(told, origin), lambda n: texts[n])
    return Parsed(
        frames={BMC_EVENTS.name: good},
        rejects=rejects(sorted(refused)),
        records=told.height,
        accepted=told.height - len(refused),
        rejected=len(refused),
    )


def _entries(said: str) -> Iterator[tuple[Any, str | None]]:
    """Every entry of every document, or the text of a stretch that is none and why."""
    at = _past_gap(said, 0)
    while at < len(said):
        try:
            found, at = _DECODER.raw_decode(said, at)
            yield from _within(found)
        except (ValueError, RecursionError) as error:
            stopped = error.pos if isinstance(error, json.JSONDecodeError) else at
            inside = _LIST.search(said, at, stopped)
            begin = at
            if inside:  # the document is broken within or behind a list: read what comes before
                begin, error = yield from _one_by_one(said, inside.end())
                at = begin
            why = error.msg if isinstance(error, json.JSONDecodeError) else "nested or long beyond reason"  # fmt: skip
            yield said[begin : begin + 200], f"cut short or no JSON: {why}"
            following = _NEXT.search(said, said.find("\n", begin) + 1 or len(said))
            at = following.start() if following else len(said)
        at = _past_gap(said, at)


def _one_by_one(
    said: str, at: int
) -> Generator[tuple[Any, str | None], None, tuple[int, ValueError | RecursionError]]:
    """The elements of a list until one cannot be read; returns where, and why."""
    while True:
        at = _past_gap(said, at)
        try:
            found, at = _DECODER.raw_decode(said, at)
        except (ValueError, RecursionError) as error:
            return at, error
        yield from _within(found)


def _within(found: Any) -> Iterator[tuple[Any, str | None]]:
    if isinstance(found, list):
        for each in found:
            yield from ((each, None),) if not isinstance(each, list) else ((each, "is no entry"),)
    elif isinstance(found, dict) and isinstance(found.get("Members"), list):
        yield from ((each, None) for each in found["Members"])
    elif isinstance(found, dict) and isinstance(found.get("Events"), list):
        yield from ((each, None) for each in found["Events"])
    else:
        yield found, None


def _read(entry: Any) -> tuple[str | None, ...]:
    """The columns of _READ after line_no."""
    if not isinstance(entry, dict):
        return _refused(entry, "is no entry")
    if not _ENTRY & entry.keys():
        is_link = (
            entry.keys() <= {"@odata.id", "Id", "Name", "@odata.type"} and "@odata.id" in entry
        )
        why = "a link to an entry, not the entry: fetch the collection with ?$expand=."
        return _refused(entry, why if is_link else "is no log entry")
    code, severity = _word(entry.get("EntryCode")), _word(entry.get("Severity"))
    severity = severity or _word(entry.get("MessageSeverity"))
    direction = _DIRECTIONS.get(code.lower(), "")
    message, message_id = _word(entry.get("Message")), _word(entry.get("MessageId"))
    arguments = entry.get("MessageArgs")
    parts = (
        message_id if message else "",
        "" if direction else code,
        ", ".join(map(_word, arguments)) if isinstance(arguments, list) else "",
        _word(entry.get("OemRecordFormat")),
        "" if severity.lower() in _LEVELS else severity,
    )
    sensor = _sensor(entry)
    return (
        _word(entry.get("Id")) or _word(entry.get("EventId")),
        _word(entry.get("Created")) or _word(entry.get("EventTimestamp")) or None,
        sensor,
        message or message_id,
        direction,
        _LEVELS.get(severity.lower()),
        "; ".join(part for part in parts if part) or None,
        _text(entry),
        None if message or message_id or sensor else "says nothing: no message and no sensor",
    )


def _refused(found: Any, why: str) -> tuple[str | None, ...]:
    return (
        "",
        None,
        "",
        "",
        "",
        None,
        None,
        found if isinstance(found, str) else _text(found),
        why,
    )


def _sensor(entry: dict[str, Any]) -> str:
    """The sensor as ipmitool names it (`Power Supply #0x77`), else the part that it is about."""
    kind, number = _word(entry.get("SensorType")), entry.get("SensorNumber")
    if kind:
        is_told = isinstance(number, int) and not isinstance(number, bool) and number >= 0
        return f"{kind} #0x{number:02x}" if is_told else kind
    links = entry.get("Links")
    below = links.get("OriginOfCondition") if isinstance(links, dict) else None
    origin = below or entry.get("OriginOfCondition")
    path = origin.get("@odata.id") if isinstance(origin, dict) else origin
    return path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else ""


def _word(value: Any) -> str:
    """A word, a number, or the one member of a list, as text; '' for anything else."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("Member")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return (
        _clean(value) if isinstance(value, str) else f"{value:x}" if value > 10**15 else str(value)
    )


def _text(found: Any) -> str:
    return json.dumps(found)[:2000]


def _clean(text: str) -> str:
    """One line, without the halves of surrogate pairs that JSON may hold alone."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _past_gap(said: str, at: int) -> int:
    gap = _GAP.match(said, at)
    return gap.end() if gap else at


def _events(told: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Shape what was told as rows of bmc_events, and `fault`."""
    read = instants(told["created"], origin.zone)
    unreadable = pl.when(pl.col("created").is_not_null() & read["at"].is_null()).then(
        pl.format("Created: {}", pl.lit(read["fault"]).fill_null("unreadable"))
    )
    rows = told.with_columns(
        read["at"],
        pl.coalesce("fault", unreadable).alias("fault"),
        pl.lit(origin.cluster).alias("cluster"),
        pl.lit(origin.node).alias("node"),
        pl.lit(origin.file).alias("file"),
        pl.col("direction").cast(BMC_EVENTS.dtypes["direction"]),
        pl.col("level").cast(BMC_EVENTS.dtypes["level"]),
    )
    return place_in_time(rows, origin.modified).select(*BMC_EVENTS.dtypes.names(), "fault")


def sniff(head: str, name: str) -> int:
    """Surely, if JSON names Redfish's log entries or event messages."""
    if not head.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return 0
    if re.search(r'"#?LogEntry(?:Collection)?\.|"#Event\.v\d|LogServices/[^"]*/Entries', head):
        return 2
    is_entry = re.search(r'"EntryType"\s*:\s*"(?:SEL|Event|Oem)"', head)
    return 2 if is_entry and re.search(r'"(?:Created|EventTimestamp)"', head) else 0


SOURCE = Source(
    name="redfish_log",
    title="Redfish log entries and events of a board, JSON",
    example='{"Id": "26", "Created": "2026-03-02T04:04:14-06:00", "EntryType": "SEL", "EntryCode": "Assert", "SensorType": "Power Supply", "Message": "The input power for power supply 1 has been lost.", "Severity": "Critical"}',
    makes=(BMC_EVENTS,),
    sniff=sniff,
    parse=parse,
)
