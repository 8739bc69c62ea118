"""IBM LSF's accounting (lsb.acct): one JOB_FINISH record a line, its fields told by their place.

    "JOB_FINISH" "10.1" 1772449200 7610 1000 33554438 16 1772438400 0 0 1772438460 "ada" "train" ...

Texts are quoted, numbers are not; lists are led by how long they are. A record in which a place
holds the other kind, or that is over before its exit reason, is refused whole: one field too many
shifts all that follow. Execution hosts are told once a slot, or once each as `8*gpu001`. A job
ended when its record was written. One that never started is no attempt; other records (JOB_RESIZE,
EVENT_ADRSV_FINISH) are ignored.

A requeued job keeps its submission, so an attempt goes by its start, which stands in `submitted`
too; `eligible` says since when the first could have run. GPUs are what the effective resource
requirement reserves on each host (or task); blocks and alternatives leave them untold.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.text import numbered_lines
from transforms.tables.observed import JOB_ATTEMPTS

_WORD = r'"(?:[^"]|"")*"|[^\s"]+'
_FIELD, _WHOLE = re.compile(_WORD), re.compile(rf"\s*(?:(?:{_WORD})(?:\s+|$))*+")
_WHOLE_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_REAL = re.compile(r"-?\d{1,30}(?:\.\d*)?(?:e[+-]?\d{1,3})?", re.ASCII)
_TEXT = "a quoted text", re.compile(r'".*"', re.DOTALL)
_KINDS = {"#": ("a whole number", _WHOLE_NUMBER), "~": ("a number", _REAL)}
_OTHER = re.compile(r'"(?!JOB_FINISH")[A-Z][A-Z_0-9]{2,40}" "\d')
_OWN = re.compile(r'^"JOB_FINISH" "\d+\.\d+" \d{9,10} \d+ ', re.MULTILINE)
_LAST_INSTANT = 253_402_300_799
_EXITED, _DONE = 32, 64
_RUSAGE = 19
_CONDENSED = re.compile(r"(\d{1,9})\*(.+)")
_GPUS = re.compile(
    r"\bngpus(?:_physical|_shared|_excl_[tp])?=(\d{1,6})(?:\.0*)?(/task)?(?=[:,\]\s)])"
)

# Why LSF ended a job: the words of the manual, and the state in which that leaves the attempt.
_REASONS: dict[int, tuple[str, str]] = {
    1: ("PREEMPTED", "TERM_PREEMPT"),
    2: ("DEADLINE", "TERM_WINDOW"),
    3: ("FAILED", "TERM_LOAD"),
    4: ("FAILED", "TERM_OTHER"),
    5: ("TIMEOUT", "TERM_RUNLIMIT"),
    6: ("DEADLINE", "TERM_DEADLINE"),
    7: ("FAILED", "TERM_PROCESSLIMIT"),
    8: ("CANCELLED", "TERM_FORCE_OWNER"),
    9: ("CANCELLED", "TERM_FORCE_ADMIN"),
    10: ("REQUEUED", "TERM_REQUEUE_OWNER"),
    11: ("REQUEUED", "TERM_REQUEUE_ADMIN"),
    12: ("TIMEOUT", "TERM_CPULIMIT"),
    13: ("CANCELLED", "TERM_CHKPNT"),
    14: ("CANCELLED", "TERM_OWNER"),
    15: ("CANCELLED", "TERM_ADMIN"),
    16: ("OUT_OF_MEMORY", "TERM_MEMLIMIT"),
    17: ("FAILED", "TERM_EXTERNAL_SIGNAL"),
    18: ("FAILED", "TERM_RMS"),
    19: ("FAILED", "TERM_ZOMBIE"),
    20: ("OUT_OF_MEMORY", "TERM_SWAP"),
    21: ("FAILED", "TERM_THREADLIMIT"),
    22: ("FAILED", "TERM_SLURM"),
    23: ("CANCELLED", "TERM_BUCKET_KILL"),
    24: ("FAILED", "TERM_CTRL_PID"),
    25: ("FAILED", "TERM_CWD_NOTEXIST"),
}
_BY_OWNER = (8, 14)


class UnreadableError(ValueError):
    """A record does not hold what its layout puts there."""


class _Places:
    """The fields of one record, taken in the order of the layout."""

    def __init__(self, line: str) -> None:
        self._fields = _FIELD.findall(line)
        self._next = 0
        if line.strip() and not _WHOLE.fullmatch(line):
            raise UnreadableError("a text whose quotes are not closed, or do not stand alone")

    def has_more(self) -> bool:
        return self._next < len(self._fields)

    def text(self, name: str) -> str:
        word = self._take(name)
        if word[0] != '"':
            raise UnreadableError(f"field {self._next}: {name} is not a quoted text")
        return word[1:-1].replace('""', '"')

    def number(self, name: str) -> int:
        word = self._take(name)
        if not _WHOLE_NUMBER.fullmatch(word):
            raise UnreadableError(f"field {self._next}: {name} is not a whole number")
        return int(word)

    def texts(self, count: str, name: str) -> list[str]:
        length = self.number(count)
        if not 0 <= length <= len(self._fields):
            raise UnreadableError(f"field {self._next}: {count} is not the length of a list")
        return [self.text(name) for _ in range(length)]

    def instant(self, name: str) -> datetime | None:
        seconds = self.number(name)
        if not 0 <= seconds <= _LAST_INSTANT:
            raise UnreadableError(f"field {self._next}: {name} is not an instant")
        return datetime.fromtimestamp(seconds, UTC) if seconds else None

    def skip(self, layout: str) -> None:
        """Pass over fields: `name` is a text, `name#` a whole number, `name~` any number."""
        for name in layout.split():
            word = self._take(name)
            kind, right = _KINDS.get(name[-1], _TEXT)
            if not right.fullmatch(word):
                raise UnreadableError(f"field {self._next}: {name.rstrip('#~')} is not {kind}")

    def _take(self, name: str) -> str:
        if self._next >= len(self._fields):
            raise UnreadableError(f"record over before its {name.rstrip('#~')}")
        self._next += 1
        return str(self._fields[self._next - 1])


def sniff(head: str, name: str) -> int:
    """Surely, by the record's name, its version and two numbers."""
    return 2 if _OWN.search(head) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per job that ran; see the module's docstring for the format."""
    lines = numbered_lines(data)
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    nothing = dict.fromkeys(JOB_ATTEMPTS.dtypes)
    rows: list[dict[str, Any]] = []
    bad: list[tuple[int, str, str]] = []
    for line_no, line in lines.iter_rows():
        if _OTHER.match(line):
            continue
        try:
            row = _attempt(_Places(line))
        except UnreadableError as error:
            bad.append((line_no, str(error), line))
        else:
            if row is not None:
                told = {"cluster": origin.cluster, "file": origin.file, "line_no": line_no}
                rows.append({**nothing, **row, **told})
    _only_first_eligible(rows)
    texts = dict(lines.iter_rows())
    frame = JOB_ATTEMPTS.conform(pl.DataFrame(rows, schema=JOB_ATTEMPTS.dtypes))
    good, broken = refuse_broken(JOB_ATTEMPTS, frame, texts.__getitem__)
    bad = sorted(bad + broken)
    accepted = len(rows) - len(broken)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=lines.height,
        accepted=accepted,
        rejected=len(bad),
        ignored=lines.height - accepted - len(bad),
    )


def _attempt(record: _Places) -> dict[str, Any] | None:
    """The record's word on an attempt; None of a job that never started."""
    if record.text("record type") != "JOB_FINISH":
        raise UnreadableError("not a record of lsb.acct")
    record.text("version")
    ended = record.instant("event time")
    job = record.number("jobId")
    record.skip("userId# options# numProcessors#")
    submitted, begin = record.instant("submitTime"), record.instant("beginTime")
    record.number("termTime")
    started = record.instant("startTime")
    user, queue = record.text("userName"), record.text("queue")
    record.skip("resReq dependCond preExecCmd fromHost cwd inFile outFile errFile jobFile")
    record.texts("numAskedHosts", "askedHosts")
    slots = record.texts("numExHosts", "execHosts")
    status = record.number("jStatus")
    record.skip("hostFactor~")
    name = record.text("jobName")
    record.skip("command" + " lsfRusage~" * _RUSAGE + " mailUser")
    project, exited = record.text("projectName"), record.number("exitStatus")
    record.skip("maxNumProcessors# loginShell timeEvent")
    index = record.number("idx")
    record.skip("maxRMem# maxRSwap# inFileSpool commandSpool rsvId sla exceptMask# additionalInfo")
    reason = record.number("exitInfo")
    needs = _effective_requirement(record)
    if started is None:
        return None
    if ended is None:
        raise UnreadableError("event time is 0: nobody knows when the job ended")
    if not status & (_EXITED | _DONE):
        raise UnreadableError(f"jStatus {status} is neither 32 (exit) nor 64 (done)")
    if not 0 <= exited < 1 << 16:
        raise UnreadableError(f"exitStatus {exited} is no status of a process")
    counts = _slots(slots)
    state, why = _ending(status, reason)
    return {
        "job_id": f"{job}_{index}" if index > 0 else str(job),
        "submitted": started,
        "name": name or None,
        "user": user or None,
        "account": project or None,
        "partition": queue or None,
        "eligible": max(filter(None, (submitted, begin)), default=None),
        "started": started,
        "ended": ended,
        "state": state,
        "cancelled_by": (user or None) if state == "CANCELLED" and reason in _BY_OWNER else None,
        "exit_code": exited >> 8,
        "signal": exited & 0x7F,
        "nodes": list(counts) or None,
        "node_count": len(counts) or None,
        "cpus": _fitting(sum(counts.values())) or None,
        "gpus": _gpus(needs, counts),
        "reason": why,
    }


def _effective_requirement(record: _Places) -> str | None:
    """What the job reserved in the end; None of versions whose records do not say."""
    try:
        record.skip("warningAction warningTimePeriod# chargedSAAP licenseProject app postExecCmd")
        record.skip("runtimeEstimation# jobGroupName requeueEvalues options2# resizeNotifyCmd")
        record.skip("lastResizeTime# rsvId jobDescription")
        for _ in range(record.number("submitEXT")):
            record.skip("key# value")
        for _ in range(record.number("numHostRusage")):
            record.skip("hostname mem# swap# utime# stime#")
        record.skip("options3# runLimit# avgMem#")
        return record.text("effectiveResReq")
    except UnreadableError:
        if record.has_more():
            raise
        return None


def _slots(hosts: list[str]) -> dict[str, int]:
    """Slots of each host, in the order of the hosts."""
    slots: dict[str, int] = {}
    for word in hosts:
        condensed = _CONDENSED.fullmatch(word)
        host, count = (condensed[2], int(condensed[1])) if condensed else (word, 1)
        if host:
            slots[host] = slots.get(host, 0) + count
    return slots


def _ending(status: int, reason: int) -> tuple[str, str | None]:
    if reason in (10, 11):
        return _REASONS[reason]
    if status & _DONE:
        return "COMPLETED", None
    if reason in _REASONS:
        return _REASONS[reason]
    return "FAILED", f"exitInfo {reason}" if reason > 0 else None


def _gpus(needs: str | None, slots: Mapping[str, int]) -> int | None:
    if not needs or "||" in needs or "}" in needs:
        return None
    asked = _GPUS.findall(needs.partition("rusage[")[2])
    if len(asked) > 1:
        return None
    count, per_task = asked[0] if asked else ("0", "")
    return _fitting(int(count) * (sum(slots.values()) if per_task else len(slots)))


def _fitting(count: int) -> int | None:
    return count if count < 2**32 else None


def _only_first_eligible(rows: list[dict[str, Any]]) -> None:
    """The time of submission is the job's: a later attempt could not have begun so early."""
    first: dict[str, datetime] = {}
    for row in rows:
        first[row["job_id"]] = min(first.get(row["job_id"], row["started"]), row["started"])
    for row in rows:
        if row["started"] > first[row["job_id"]]:
            row["eligible"] = None


SOURCE = Source(
    name="lsf_accounting",
    title="IBM LSF accounting: JOB_FINISH records of lsb.acct",
    example='"JOB_FINISH" "10.1" 1772449200 7610 1000 33554438 16 1772438400 0 0 1772438460 "ada" "train" ...',
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
)
