"""Slurm's snapshots as JSON: `scontrol show nodes`, `sinfo`, `squeue`, `scontrol show jobs`, REST.

    {"nodes": [{"name": "gpu007", "state": ["IDLE", "DRAIN"], "reason": "XID 79",
                "reason_changed_at": {"set": true, "number": 1772434193}, "gres": "gpu:h100:8"}],
     "last_update": {"set": true, "number": 1772434500}}

A dump's own `last_update` dates it, else the file's time. Nodes give inventory and states, `sinfo`
states only, jobs attempts; dumps of all kinds may follow one another. `line_no` counts records.
The rules are those of the text forms: `snapshots.py` for states, `job_snapshots.py` for jobs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from transforms.sources import slurm_attempts, text
from transforms.sources.base import TEXT_LIMIT, Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.job_json import JOB_SCHEMA, job_row
from transforms.sources.job_snapshots import without_plans
from transforms.sources.json_cursor import Cursor, where_broken
from transforms.sources.node_gpus import configured_gpus, snapshot_inventory
from transforms.sources.slurm_values import UnreadableError, listed, number, part, words
from transforms.sources.snapshots import SIGHTING_SCHEMA, node_states
from transforms.tables.observed import JOB_ATTEMPTS, NODE_STATES, NODES

_LISTS = ("nodes", "sinfo", "jobs")
_LISTING = re.compile(r'"(?:nodes|sinfo|jobs)"\s*:\s*\[')
_OURS = re.compile(
    r'"(?:job_state|reason_changed_at|slurmd_start_time|next_state_after_reboot)"\s*:'
    r'|"sinfo"\s*:\s*\[\s*(?:\{|\])'
)
_LAST_INSTANT = 253_402_300_799
_NOT_RESPONDING = ("NOT_RESPONDING", "NO_RESPOND")


@dataclass(frozen=True)
class _Node:
    names: list[str]
    state: str
    reason: str | None
    since: datetime | None
    user: str | None
    cluster: str | None
    gpus: tuple[int, str | None] | None  # null where the record is no inventory


@dataclass
class _Dump:
    """One snapshot: records by their number, and what it says of itself."""

    nodes: list[tuple[int, _Node]] = field(default_factory=list)
    jobs: list[tuple[int, tuple[str | None, ...]]] = field(default_factory=list)
    taken: datetime | None = None
    cluster: str | None = None


def sniff(head: str, name: str) -> int:
    """An object with a list of nodes or jobs, and a word that only these dumps have."""
    if not head.lstrip("\ufeff \t\r\n").startswith("{"):
        return 0
    return 2 if _LISTING.search(head) and _OURS.search(head) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """Rows of every dump before the first place where the JSON breaks."""
    said = text.decode(data)
    cursor, starts = Cursor(said), list[int]()
    dumps: list[_Dump] = []
    bad: list[tuple[int, str, str]] = []
    ignored = 0
    try:
        for key, start, value in _members(cursor, dumps):
            if key in _LISTS:
                starts.append(start)
            try:
                ignored += key in _LISTS and not _take(dumps[-1], key, value, len(starts))
                _learn(dumps[-1], key, value)
            except UnreadableError as error:
                line_no = len(starts) + (key not in _LISTS)
                bad.append((line_no, str(error), said[start : cursor.at]))
    except (ValueError, RecursionError) as error:
        bad.append((len(starts) + 1, *where_broken(error, cursor)))

    def raw(line_no: int) -> str:
        start = starts[line_no - 1]
        return said[start : starts[line_no] if line_no < len(starts) else start + TEXT_LIMIT]

    sightings, nodes = _node_rows(dumps, origin)
    attempts, refused = refuse_faulty(JOB_ATTEMPTS, _attempts(dumps, origin), raw)
    bad = sorted(bad + refused)
    accepted = sum(len(dump.nodes) + len(dump.jobs) for dump in dumps) - len(refused)
    return Parsed(
        frames={
            NODES.name: snapshot_inventory(nodes),
            NODE_STATES.name: node_states(
                pl.DataFrame(sightings, schema=SIGHTING_SCHEMA, orient="row")
            ),
            JOB_ATTEMPTS.name: attempts,
        },
        rejects=rejects(bad),
        records=accepted + len(bad) + ignored,
        accepted=accepted,
        rejected=len(bad),
        ignored=ignored,
    )


def _members(cursor: Cursor, dumps: list[_Dump]) -> Iterator[tuple[str, int, Any]]:
    """Each record under its list's name, and the other members by theirs: name, start, value.

    Begins a dump for each object at the top. One without any list ends with the member "".
    """
    while not cursor.is_at_end:
        begin, has_list = cursor.at, False
        dumps.append(_Dump())
        cursor.need("{")
        is_open = not cursor.took("}")
        while is_open:
            key, start = str(cursor.value()), cursor.at
            cursor.need(":")
            start = cursor.at
            if key in _LISTS and cursor.took("["):
                has_list = True
                is_listing = not cursor.took("]")
                while is_listing:
                    start = cursor.at
                    yield key, start, cursor.value()
                    if is_listing := not cursor.took("]"):
                        cursor.need(",")
            elif key not in _LISTS:
                yield key, start, cursor.value()
            else:
                cursor.value()
            if is_open := not cursor.took("}"):
                cursor.need(",")
        if not has_list:
            yield "", begin, None


def _learn(dump: _Dump, key: str, value: Any) -> None:
    """Take in what a dump says of itself. Raises UnreadableError, also for what it complains of."""
    if key == "last_update":
        dump.taken = _instant({key: value}, key)
    elif key == "meta":
        dump.cluster = words(part(part({key: value}, key), "slurm"), "cluster")
    elif key == "errors" and value:
        raise UnreadableError("Slurm reports errors")
    elif key == "":
        raise UnreadableError("neither nodes nor jobs in it")


def _take(dump: _Dump, key: str, value: Any, line_no: int) -> bool:
    """Take a record in; false where it is about no node that is there."""
    if not isinstance(value, dict):
        raise UnreadableError("a record is not an object")
    if key == "jobs":
        dump.jobs.append((line_no, job_row(value)))
        return True
    node = _node(value) if key == "nodes" else _sinfo(value)
    if not node.names or "FUTURE" in node.state.split("+"):
        return False
    dump.nodes.append((line_no, node))
    return True


def _node(record: dict[str, Any]) -> _Node:
    gpus, model = configured_gpus(words(record, "gres") or "", words(record, "tres") or "")
    if gpus is None:
        raise UnreadableError("gres, tres: unreadable GPU count")
    if not (name := words(record, "name") or words(record, "hostname")):
        raise UnreadableError("name: not told")
    return _Node(
        [name],
        _state([*listed(record, "state"), *listed(record, "state_flags")]),
        _told(words(record, "reason")),
        _instant(record, "reason_changed_at"),
        _told(words(record, "reason_set_by_user")),
        words(record, "cluster_name"),
        (gpus, model),
    )


def _sinfo(record: dict[str, Any]) -> _Node:
    """A line of `sinfo`: nodes that are alike."""
    # The reason is a text, or an object that also says who gave it and when.
    reason = record.get("reason")
    about = reason if isinstance(reason, dict) else {"description": reason}
    names = listed(part(record, "nodes"), "nodes")
    return _Node(
        names,
        _state(listed(part(record, "node"), "state")) if names else "",
        _told(words(about, "description")),
        _instant(about, "time"),
        _told(words(about, "user")),
        words(record, "cluster"),
        None,
    )


def _state(said: list[str]) -> str:
    """Base and flags as `scontrol` prints them; not responding is its star."""
    known = [word.upper() for word in said if word]
    if not known:
        raise UnreadableError("state: not told")
    star = "*" if any(word in _NOT_RESPONDING for word in known) else ""
    return "+".join(word for word in known if word not in _NOT_RESPONDING) + star


def _told(word: str | None) -> str | None:
    return word if word and word.lower() not in text.NOT_TOLD else None


def _instant(record: dict[str, Any], name: str) -> datetime | None:
    if not (seconds := number(record, name)):
        return None
    if not 0 < seconds <= _LAST_INSTANT:
        raise UnreadableError(f"{name}: no time")
    return datetime.fromtimestamp(seconds, UTC)


def _node_rows(
    dumps: list[_Dump], origin: Origin
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Sightings, and rows for the inventory."""
    sightings, nodes = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for dump in dumps:
        seen = dump.taken or origin.modified
        for line_no, node in dump.nodes:
            cluster = node.cluster or dump.cluster or origin.cluster
            source = (origin.file, line_no)
            for name in node.names:
                about = (node.since, node.reason, node.user)
                sightings.append((cluster, name, node.state, seen, *about, *source))
                if node.gpus:
                    nodes.append((cluster, name, *node.gpus, *source))
    return sightings, nodes


def _attempts(dumps: list[_Dump], origin: Origin) -> pl.DataFrame:
    rows = [(*row, dump.cluster, line_no) for dump in dumps for line_no, row in dump.jobs]
    schema = pl.Schema({**JOB_SCHEMA, "of_dump": pl.String(), "line_no": pl.UInt32()})
    told = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.coalesce(pl.col("cluster").replace("", None), "of_dump").alias("cluster")
    )
    return slurm_attempts.attempts(without_plans(slurm_attempts.named(told)), origin)


SOURCE = Source(
    name="slurm_snapshot_json",
    title="Slurm snapshots as JSON: scontrol show nodes, sinfo, squeue, scontrol show jobs --json",
    example='{"nodes": [{"name": "gpu007", "state": ["IDLE", "DRAIN"], "reason": "XID 79 off the bus", "reason_changed_at": {"set": true, "infinite": false, "number": 1772434193}, "gres": "gpu:h100:8"}], "last_update": {"set": true, "infinite": false, "number": 1772434500}}',
    makes=(NODES, NODE_STATES, JOB_ATTEMPTS),
    sniff=sniff,
    parse=parse,
)
