"""Accounting logs of PBS and Torque (server_priv/accounting/20260302) to job attempts.

    03/02/2026 07:01:01;E;34.head;user=ada jobname=pretrain queue=train ctime=1772434513
        start=1772434835 exec_host=gpu001/0*128+gpu002/0*128 Resource_List.ngpus=16 end=1772434861
        Exit_status=-14 resources_used.walltime=00:00:26 run_count=1       (one line in the file)

A start (S) opens an attempt; the end (E) or the rerun (R) that names the same start closes it, in
whatever day's file; the job's next start closes one that nobody ended. PBS keeps the submission
over a rerun, so an attempt goes by its start, which stands in `submitted` too; `eligible` says
since when the first could have run. A job that never started is no attempt. The job's server is the
cluster, unless the caller names one. What ended an attempt: `transforms/sources/pbs_states.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.pbs_states import Ending, ending, seconds
from transforms.tables.observed import JOB_ATTEMPTS

_RECORD = r"^(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d);([A-Za-z]);([^;]*);(.*)$"
_OURS = re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d;[A-Za-z];[^;]*;(?:[^;]*=.*)?", re.ASCII)
_PAIR = re.compile(r'(?:^|\s)([A-Za-z_][\w.-]*)=("[^"]*"|\S*)')
_JOB = re.compile(r"(\d+)(?:\[(\d*)\])?(?:\.(\S+))?")
_LAST_INSTANT = 253_402_300_799
_GOING_ON, _STARTED_ANEW = Ending("RUNNING"), Ending("REQUEUED")
_STARTED, _ENDED, _RERUN, _DELETED = "S", "E", "R", "D"


class UnreadableError(ValueError):
    """A record does not tell what its kind must tell."""


@dataclass(frozen=True)
class _Attempt:
    """One record's word on an attempt; the end of a start record is null."""

    line_no: int
    cluster: str
    job: str
    started: datetime
    eligible: datetime | None
    values: Mapping[str, str]
    ended: datetime | None = None
    how: Ending = _GOING_ON


def sniff(head: str, name: str) -> int:
    """Lines of a time, a letter, a job and its attributes, parted by semicolons."""
    lines = [line for line in head.split("\n")[:20] if line.strip()]
    return 2 if lines and any(_OURS.fullmatch(line.rstrip("\r")) for line in lines) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per attempt that the file saw start or end; other kinds of records are ignored."""
    lines = text.numbered_lines(data)
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    told: list[_Attempt] = []
    bad: list[tuple[int, str, str]] = []
    deleted: dict[str, tuple[datetime, str]] = {}
    for line_no, line, kind, job, attributes, at, fault in _records(lines, origin.zone).iter_rows():
        try:
            if kind is None:
                raise UnreadableError("no record of a time, a letter, a job and its attributes")
            if fault and kind in (_STARTED, _ENDED, _RERUN, _DELETED):
                raise UnreadableError(f"time: {fault}")
            values = {key: value.strip('"') for key, value in _PAIR.findall(attributes)}
            if kind == _DELETED:
                deleted[job] = (at, values.get("requestor", "").partition("@")[0])
            elif kind in (_STARTED, _ENDED, _RERUN) and (
                attempt := _attempt(line_no, kind, job, values, at, deleted, origin)
            ):
                told.append(attempt)
        except UnreadableError as error:
            bad.append((line_no, str(error), line))
    texts = dict(lines.iter_rows())
    first = _first_starts(told)
    rows = [_row(attempt, first, origin) for attempt in _closed(told)]
    frame = JOB_ATTEMPTS.conform(pl.DataFrame(rows, schema=JOB_ATTEMPTS.dtypes))
    good, broken = refuse_broken(JOB_ATTEMPTS, frame, lambda line_no: texts[line_no])
    bad = sorted(bad + broken)
    accepted = len(told) - len(broken)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=lines.height,
        accepted=accepted,
        rejected=len(bad),
        ignored=lines.height - accepted - len(bad),
    )


def _records(lines: pl.DataFrame, zone: str) -> pl.DataFrame:
    """line_no, line, kind, job, attributes, at, fault; a null kind where the line is no record."""
    parts = lines.select(pl.col("line").str.extract_groups(_RECORD).alias("parts"))["parts"]
    month, day, year, clock, kind, job, rest = (
        parts.struct.field(str(index)) for index in range(1, 8)
    )
    read = text.instants(year + "-" + month + "-" + day + "T" + clock, zone)
    named = (kind.alias("kind"), job.alias("job"), rest.alias("attributes"))
    return lines.with_columns(*named, read["at"], read["fault"])


def _attempt(
    line_no: int,
    kind: str,
    job: str,
    values: Mapping[str, str],
    at: datetime,
    deleted: Mapping[str, tuple[datetime, str]],
    origin: Origin,
) -> _Attempt | None:
    """What the record says of an attempt; None of a job that never started, or a whole array."""
    if not (found := _JOB.fullmatch(job)):
        raise UnreadableError("job: unreadable")
    started = _instant(values, "start")
    if found[2] == "" or started is None:
        return None
    eligible = _instant(values, "etime")
    name = found[1] if found[2] is None else f"{found[1]}_{found[2]}"
    attempt = _Attempt(line_no, origin.cluster or found[3] or "", name, started, eligible, values)
    if kind == _STARTED:
        return attempt
    removal = deleted.get(job)
    remover = removal[1] if removal and removal[0] >= started else None
    how = ending(values, was_rerun=kind == _RERUN, remover=remover)
    if how is None:
        raise UnreadableError("Exit_status: unreadable")
    return replace(attempt, ended=_instant(values, "end") or at, how=how)


def _instant(values: Mapping[str, str], name: str) -> datetime | None:
    word = values.get(name, "0")
    if not (word.isascii() and word.isdigit()) or int(word) > _LAST_INSTANT:
        raise UnreadableError(f"{name}: unreadable")
    return datetime.fromtimestamp(int(word), UTC) if int(word) else None


def _closed(told: list[_Attempt]) -> list[_Attempt]:
    """Attempts without the starts whose own end is told; a start left open ended by the next one."""
    ends = {(a.cluster, a.job, a.started) for a in told if a.ended}
    starts: dict[tuple[str, str], list[datetime]] = {}
    for attempt in told:
        starts.setdefault((attempt.cluster, attempt.job), []).append(attempt.started)
    closed = []
    for attempt in told:
        if attempt.ended is None:
            if (attempt.cluster, attempt.job, attempt.started) in ends:
                continue
            later = [at for at in starts[attempt.cluster, attempt.job] if at > attempt.started]
            if later:
                closed.append(replace(attempt, ended=min(later), how=_STARTED_ANEW))
                continue
        closed.append(attempt)
    return closed


def _first_starts(told: list[_Attempt]) -> dict[tuple[str, str], datetime]:
    first: dict[tuple[str, str], datetime] = {}
    for attempt in told:
        known = first.setdefault((attempt.cluster, attempt.job), attempt.started)
        first[attempt.cluster, attempt.job] = min(known, attempt.started)
    return first


def _row(
    attempt: _Attempt, first: Mapping[tuple[str, str], datetime], origin: Origin
) -> dict[str, Any]:
    values, how = attempt.values, attempt.how
    hosts = _hosts(values)
    # The server's time of eligibility is that of the job: a rerun could not have begun so early.
    is_rerun = first[attempt.cluster, attempt.job] < attempt.started
    is_first = not is_rerun and values.get("run_count", "1") == "1"
    return {
        **dict.fromkeys(JOB_ATTEMPTS.dtypes),
        "cluster": attempt.cluster,
        "job_id": attempt.job,
        "submitted": attempt.started,
        "name": values.get("jobname") or None,
        "user": values.get("user") or None,
        "account": values.get("account") or None,
        "partition": values.get("queue") or None,
        "eligible": attempt.eligible if is_first else None,
        "started": attempt.started,
        "ended": attempt.ended,
        "state": how.state,
        "cancelled_by": how.remover,
        "exit_code": how.exit_code,
        "signal": how.signal,
        "nodes": hosts or None,
        "node_count": len(hosts) or None,
        "cpus": _granted(values, "ncpus"),
        "gpus": _gpus(values),
        "reason": how.reason,
        "time_limit_s": seconds(values.get("Resource_List.walltime", "")),
        "file": origin.file,
        "line_no": attempt.line_no,
    }


def _hosts(values: Mapping[str, str]) -> list[str]:
    """Hosts of `n1/0*128+n2/3` or `n1/0+n1/1`, each once, in their order."""
    slots = values.get("exec_host", "").split("+")
    return list(dict.fromkeys(host for slot in slots if (host := slot.partition("/")[0])))


def _granted(values: Mapping[str, str], resource: str) -> int | None:
    """How many of a resource the chunks of `(n1:ncpus=64:ngpus=4)+(...)` hold, else the request."""
    chunks = re.findall(rf"[:(]{resource}=(\d{{1,9}})(?=[:)])", values.get("exec_vnode", ""))
    asked = values.get(f"Resource_List.{resource}", "")
    if chunks:
        return _fitting(sum(map(int, chunks)))
    return _fitting(int(asked)) if re.fullmatch(r"[0-9]{1,9}", asked) else None


def _gpus(values: Mapping[str, str]) -> int | None:
    """GPUs granted; Torque asks for them per node (`nodes=2:ppn=32:gpus=2`). None told is none."""
    if (granted := _granted(values, "ngpus")) is not None:
        return granted
    if boards := values.get("exec_gpus"):
        return len(boards.split("+"))
    asked = values.get("Resource_List.nodes", "")
    gpus = 0
    for chunk in asked.split("+"):
        count, per_node = re.match(r"\d{1,6}(?=:|$)", chunk), re.search(r":gpus=(\d{1,4})", chunk)
        gpus += (int(count[0]) if count else 1) * (int(per_node[1]) if per_node else 0)
    is_told = asked or "exec_vnode" in values or "Resource_List.select" in values
    return _fitting(gpus) if is_told else None


def _fitting(count: int) -> int | None:
    return count if count < 2**32 else None


SOURCE = Source(
    name="pbs_accounting",
    title="PBS and Torque accounting: server_priv/accounting",
    example="03/02/2026 07:01:01;E;34.head;user=ada jobname=pretrain queue=train ctime=1772434513 qtime=1772434513 etime=1772434513 start=1772434835 exec_host=gpu001/0*128+gpu002/0*128 exec_vnode=(gpu001:ncpus=128:ngpus=8)+(gpu002:ncpus=128:ngpus=8) end=1772434861 Exit_status=-14 run_count=1",
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
)
