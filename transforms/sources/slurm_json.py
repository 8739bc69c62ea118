"""Slurm accounting as JSON (`sacct -a -D --json`, 21.08 to 25.05) to job attempts.

    {"jobs": [{"job_id": 34, "state": {"current": ["NODE_FAIL"]}, "time": {"start": 1772434556}}]}

Releases differ in shape, not in meaning: a number is plain or `{"set": true, "number": 60}`, a
state is a word or a list. A record becomes the row that `sacct -P` prints, so both dumps of one
cluster give the same attempts. Jobs are read one at a time: a file cut short keeps those before
the cut, and steps, most of the bytes, never pile up. `line_no` counts jobs: a dump may be one line.
"""

import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from transforms.sources import slurm_attempts, text
from transforms.sources.base import TEXT_LIMIT, Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.json_cursor import Cursor, clean, where_broken
from transforms.sources.slurm_values import UnreadableError, digits, number, part, words
from transforms.tables.observed import JOB_ATTEMPTS

_JOBS = re.compile(r'"jobs"\s*:\s*\[')
# squeue writes "jobs" too, but only the accounting counts the nodes of an allocation so.
_ACCOUNTING = re.compile(r'"allocation_nodes"\s*:|"openapi\\?/(?:dbv|slurmdbd)|"sacct"')

_COLUMNS = (
    *("jobid", "jobname", "user", "account", "partition", "qos", "cluster", "state", "reason"),
    *("submit", "eligible", "start", "end", "timelimit", "exitcode"),
    *("nodelist", "nnodes", "ncpus", "alloctres", "reqtres"),
    *("comment", "admincomment", "systemcomment"),
)
_SCHEMA = pl.Schema({**dict.fromkeys(_COLUMNS, pl.String()), "line_no": pl.UInt32()})


def sniff(head: str, name: str) -> int:
    """An object with a list of jobs, and a word that only the accounting writes."""
    if not head.lstrip("\ufeff \t\r\n").startswith("{"):
        return 0
    return 2 if _JOBS.search(head) and _ACCOUNTING.search(head) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per job record; what cannot be read is refused under the job's number, from 1."""
    said = text.decode(data)
    rows: list[tuple[str | int | None, ...]] = []
    bad: list[tuple[int, str, str]] = []
    starts: list[int] = []

    def raw(line_no: int) -> str:
        start = starts[line_no - 1]
        return said[start : starts[line_no] if line_no < len(starts) else start + TEXT_LIMIT]

    cursor = Cursor(said)
    try:
        for key, start, value in _members(cursor):
            if key is None:
                starts.append(start)
                try:
                    rows.append((*_row(value), len(starts)))
                except UnreadableError as error:
                    bad.append((len(starts), str(error), said[start : cursor.at]))
            elif reason := _complaint(key, value):
                bad.append((len(starts) + 1, reason, said[start : cursor.at]))
    except (ValueError, RecursionError) as error:
        bad.append((len(starts) + 1, *where_broken(error, cursor)))

    told = slurm_attempts.named(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    read = slurm_attempts.attempts(told, origin)
    faulty = read.filter(pl.col("fault").is_not_null()).select("line_no", "fault")
    refused = [(line_no, fault, raw(line_no)) for line_no, fault in faulty.iter_rows()]
    sound = JOB_ATTEMPTS.conform(read.filter(pl.col("fault").is_null()).drop("fault"))
    good, broken = refuse_broken(JOB_ATTEMPTS, sound, raw)
    accepted = len(rows) - len(refused) - len(broken)
    bad = sorted(bad + refused + broken)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=accepted + len(bad),
        accepted=accepted,
        rejected=len(bad),
    )


def _members(cursor: Cursor) -> Iterator[tuple[str | None, int, Any]]:
    """Each job as (None, where it starts, value), and the other members of each dump by name.

    Dumps may follow one another. One that lists no jobs ends with the member "".
    """
    while not cursor.is_at_end:
        begin, has_jobs = cursor.at, False
        cursor.need("{")
        is_open = not cursor.took("}")
        while is_open:
            key, start = cursor.value(), cursor.at
            cursor.need(":")
            has_jobs |= key == "jobs"
            if key == "jobs" and cursor.took("["):
                is_listing = not cursor.took("]")
                while is_listing:
                    start = cursor.at
                    yield None, start, cursor.value()
                    if is_listing := not cursor.took("]"):
                        cursor.need(",")
            else:
                yield str(key), start, cursor.value()
            if is_open := not cursor.took("}"):
                cursor.need(",")
        if not has_jobs:
            yield "", begin, None


def _complaint(key: str, value: Any) -> str | None:
    """Why a dump may hold less than was asked for: it says so, or it has no list of jobs."""
    if key == "":
        return "no jobs in it"
    if key == "jobs":
        return "jobs: not a list"
    if key != "errors" or not value:
        return None
    errors = value if isinstance(value, list) else [value]
    told = (e.get("description") or e.get("error") if isinstance(e, dict) else e for e in errors)
    return "sacct reports errors: " + clean("; ".join(str(word) for word in told))


def _row(job: Any) -> tuple[str | None, ...]:
    """A record in the words of `sacct -P`, in the order of _COLUMNS."""
    if not isinstance(job, dict):
        raise UnreadableError("a job is not an object")
    parts = ("association", "time", "tres", "comment", "required")
    owner, when, tres, comment, required = (part(job, name) for name in parts)
    state, minutes = _state(job), number(when, "limit")
    allocated, requested = _tres(tres, "allocated"), _tres(tres, "requested")
    return (
        _job_id(job),
        words(job, "name"),
        words(job, "user") or words(owner, "user"),
        words(job, "account") or words(owner, "account"),
        words(job, "partition"),
        words(job, "qos"),
        words(job, "cluster") or words(owner, "cluster"),
        state,
        words(part(job, "state"), "reason"),
        *(digits(when, name) for name in ("submission", "eligible", "start", "end")),
        None if minutes is None else f"{minutes}:00",
        _exit(job, state),
        words(job, "nodes"),
        # Waiting, it counts no nodes yet; the request then tells how many it wants.
        digits(job, "allocation_nodes", is_zero_told=False),
        allocated.get("cpu") or requested.get("cpu") or digits(required, "CPUs"),
        *(",".join(map("=".join, counts.items())) for counts in (allocated, requested)),
        *(words(comment, name) for name in ("job", "administrator", "system")),
    )


def _job_id(job: dict[str, Any]) -> str | None:
    array, het = part(job, "array"), part(job, "het")
    if leader := number(array, "job_id"):
        if (task := number(array, "task_id")) is not None:
            return f"{leader}_{task}"
        if waiting := words(array, "task"):
            return f"{leader}_[{waiting}]"
    if leader := number(het, "job_id"):
        return f"{leader}+{number(het, 'job_offset') or 0}"
    return digits(job, "job_id")


def _state(job: dict[str, Any]) -> str | None:
    """The state with its flags and, as in the text form, who cancelled: by name here, not uid."""
    current = part(job, "state").get("current")
    told = current if isinstance(current, list) else [current or ""]
    if not all(isinstance(word, str) for word in told):
        raise UnreadableError("state.current: not a text")
    state = clean(",".join(told))
    user = words(job, "kill_request_user")
    return f"{state} by {user}" if user and state.startswith("CANCELLED") else state


def _exit(job: dict[str, Any], state: str | None) -> str | None:
    """`code:signal`; null where the record contradicts itself.

    22.05 writes SUCCESS and 0 for every job that exited by itself, also where its text form has
    1:0. A job that FAILED did not exit with 0: its code is not told.
    """
    exit_code = part(job, "exit_code")
    killed = part(exit_code, "signal")
    code = number(exit_code, "return_code")
    signal = number(killed, "id") if "id" in killed else number(killed, "signal_id")
    if (code is None and signal is None) or (state == "FAILED" and not code and not signal):
        return None
    return f"{code or 0}:{signal or 0}"


def _tres(tres: dict[str, Any], name: str) -> dict[str, str]:
    """Counts by `type` or `type/name`; a count that is not told is an empty text."""
    listed = tres.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise UnreadableError(f"tres.{name}: not a list of resources")
    counts: dict[str, str] = {}
    for item in listed:
        kind, word = words(item, "type") or "", words(item, "name")
        counts[f"{kind}/{word}" if word else kind] = digits(item, "count") or ""
    return counts


SOURCE = Source(
    name="slurm_json",
    title="Slurm accounting: sacct --json, 21.08 to 25.05",
    example='{"jobs": [{"job_id": 34, "cluster": "memphis", "nodes": "gpu[001-006]", "allocation_nodes": 6, "state": {"current": ["NODE_FAIL"], "reason": "None"}, "time": {"submission": 1795416953, "start": 1795416956, "end": 1795417102}}]}',
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
)
