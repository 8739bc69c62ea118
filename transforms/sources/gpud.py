"""GPUd's state file (`gpud.state`, SQLite) to cluster_events: what the agent saw on its node.

    components_accelerator_nvidia_error_xid_events_v0_5_0:
    1772446504|error_xid|Fatal||{"data":"79","device_uuid":"PCI:0000:9b:00"}

Reads the tables `components_<component>_events_v0_4_0` and `_v0_5_0`, written by GPUd 0.4 to 0.9
and by forks of it: timestamp (epoch seconds), name, type, message, extra_info (JSON of texts).
`data` of an error_xid or error_sxid is its number or, since 0.6, a JSON object in a text. An Xid
becomes `code`; an SXid is told in the detail. The file does not name its host: give the node.

The agent writes ahead (WAL): what is not yet checkpointed lies in `gpud.state-wal`, beside this
file, and is not read. Copy it by `sqlite3 gpud.state ".backup copy.state"`, which folds it in.
A record is a row of an events table. A damaged page costs the rest of its table, one reject; a
file that cannot be opened is refused whole. As the file also holds the agent's session token and
its metrics, it is bulk: its bytes are not kept in the lake. `line_no` counts the events.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

from transforms.sources import agent_events
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source
from transforms.tables.observed import CLUSTER_EVENTS

_MAGIC = "SQLite format 3\x00"
_TABLE = re.compile(r"components_([a-z0-9_]+)_events(?:_v\d+(?:_\d+)*)?")
_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
_COLUMNS = ("timestamp", "name", "type", "message", "extra_info")
_LEVELS = {
    "fatal": "critical",
    "critical": "critical",
    "warning": "warning",
    "info": "info",
}
_DEVICE_KEYS = ("device_uuid", "gpu_uuid", "uuid", "pci", "bus_id", "device", "gpu_id")
_CODED = {"error_xid": "Xid", "error_sxid": "SXid"}

_Row = tuple[Any, ...]


def sniff(head: str, name: str) -> int:
    """A SQLite file whose schema (its first pages) names a table of a component's events; else its name."""
    if not head.startswith(_MAGIC[:-1]):
        return 0
    if _TABLE.search(head) and "extra_info" in head:
        return 2
    return 1 if "gpud" in name else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per event of every events table; see the module for what is refused."""
    reports: list[Report] = []
    bad: list[tuple[int, str, str]] = []
    told: list[str] = []
    if data.strip():
        for table, row, fault in _rows(data):
            told.append(f"{table}: {'|'.join('' if cell is None else str(cell) for cell in row)}")
            fault = fault or _fault(row)
            if fault:
                bad.append((len(told), fault, told[-1]))
            else:
                reports.append(_report(table, row, len(told), origin))
    return agent_events.parsed(reports, bad, lambda line_no: told[line_no - 1], origin)


def _rows(data: bytes) -> Iterator[tuple[str, _Row, str | None]]:
    """Each event as (table, cells, None); what cannot be read as (table or '', (), why)."""
    with contextlib.closing(sqlite3.connect(":memory:")) as base:
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            # In memory no file of write-ahead mode can be read: say that it is of the older mode.
            base.deserialize(data[:18] + b"\x01\x01" + data[20:])
            base.execute("PRAGMA trusted_schema = OFF")
            tables = base.execute(_TABLES).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            yield "", (), f"not a readable SQLite file: {error}"
            return
        for table in sorted(str(name) for name, sql in tables if _is_plain(sql)):
            if _TABLE.fullmatch(table):
                yield from _events(base, table)


def _is_plain(sql: Any) -> bool:
    """Not a virtual table, which would run code to be read."""
    return str(sql).upper().startswith("CREATE TABLE")


def _events(base: sqlite3.Connection, table: str) -> Iterator[tuple[str, _Row, str | None]]:
    last = None
    try:
        found = base.execute(f"SELECT rowid, {', '.join(_COLUMNS)} FROM {table} ORDER BY rowid")
        for row_id, *cells in found:
            # Rows of a sound tree rise; in a damaged one they could go round for ever.
            if last is not None and row_id <= last:
                yield table, (), f"{table} is damaged: row {row_id} after row {last}"
                return
            last = row_id
            yield table, tuple(cells), None
    except (sqlite3.Error, ValueError, OverflowError) as error:
        after = "from its begin" if last is None else f"after row {last}"
        yield table, (), f"{table} cannot be read {after}: {error}"


def _fault(row: _Row) -> str | None:
    at, name, kind, message, extra = row
    if type(at) is not int:
        return "timestamp is no whole number of seconds"
    if not isinstance(name, str) or not name:
        return "the event has no name"
    if any(part is not None and not isinstance(part, str) for part in (kind, message, extra)):
        return "type, message or extra_info is no text"
    more = _object(extra)
    if more is None:
        return "extra_info is no JSON object"
    if name in _CODED and not _number(more, name)[0]:
        return f"data of {name} tells no number"
    return None


def _object(said: str | None) -> dict[str, Any] | None:
    """The JSON object in a text; empty where there is none, null where it is broken."""
    if said is None or said in ("", "null"):
        return {}
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _report(table: str, row: _Row, line_no: int, origin: Origin) -> Report:
    at, name, kind, message, extra = row
    more = _object(extra) or {}
    component = _TABLE.fullmatch(table)[1]  # type: ignore[index]
    number, payload = _number(more, name) if name in _CODED else (0, {})
    named = [str(more.get(key, "")) for key in _DEVICE_KEYS]
    words = [
        f"{_CODED[name]} {number}" if number else "",
        message or "",
        str(payload.get("description") or ""),
        str(payload.get("sub_code_description") or ""),
    ]
    is_end = name == "SetHealthy"
    return Report(
        line_no=line_no,
        at=str(at),
        node=origin.node,
        reporter="gpud",
        object=f"component {component}",
        reason=name,
        detail=": ".join(dict.fromkeys(word for word in words if word)),
        level="info" if is_end else _LEVELS.get((kind or "").lower(), "warning"),
        code=number if name == "error_xid" else 0,
        device=agent_events.device(*named, str(payload.get("device_uuid") or "")),
    )


def _number(more: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
    """Number of an Xid or SXid, and the object that came with it, which early releases had not."""
    said = str(more.get("data", ""))
    payload = _object(said) or {}
    digits = str(payload.get(_CODED[name].lower(), "")) if payload else said
    return (int(digits) if re.fullmatch(r"[1-9][0-9]{0,6}", digits) else 0), payload


SOURCE = Source(
    name="gpud",
    title="GPUd's state file (gpud.state, SQLite)",
    example='1772446504|error_xid|Fatal||{"data":"79","device_uuid":"PCI:0000:9b:00"}',
    makes=(CLUSTER_EVENTS,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
