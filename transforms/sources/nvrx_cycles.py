"""Cycle records of NVRx's fault-tolerant launcher: one JSON document a cycle, or several in a row.

    {"job_id": "4711", "attempt_index": 1, "cycle_number": 2, "cycle_start_time": "2026-03-02T08:10:00.123456Z", "cycle_end_time": "", "active_nodes": "n[001-004]", "standby_nodes": "n005", ...}

The launcher restarts the workers of a job within its allocation; each time is a cycle. A cycle
begins with a job_start, and that it ended was `detected` by the launcher: the record does not say
whether its workers failed or were done, so no end of the job is told. `attempt_index` is the
scheduler's restart count. The record names no run: its marks belong to the job. GPUs are counted
from `active_ranks`, where it is told.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.text import decode
from transforms.sources.train_rows import EARLIEST_US, LATEST_US, U32, Attempt, Told
from transforms.tables.observed import RUN_MARKS

_OWN = ("cycle_number", "cycle_start_time")
_RANKS = re.compile(r"^\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*$")


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read marks; see the module's docstring for the format."""
    told = Told(origin)
    refused: list[tuple[int, str, str]] = []
    records = 0
    for line_no, document, text in _documents(decode(data)):
        records += 1
        if (trouble := _tell(told, line_no, document)) is not None:
            refused.append((line_no, trouble, text))
    return Parsed(
        frames={RUN_MARKS.name: told.frames()[RUN_MARKS.name]},
        rejects=rejects(refused),
        records=records,
        accepted=records - len(refused),
        rejected=len(refused),
    )


def _documents(text: str) -> Iterator[tuple[int, object, str]]:
    """Each document with the line that it begins on; what is none comes as its text."""
    decoder = json.JSONDecoder()
    start, line_no, counted = 0, 1, 0
    while begin := re.compile(r"\S").search(text, start):
        line_no += text.count("\n", counted, begin.start())
        counted = begin.start()
        try:
            document, end = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            # What follows a torn document begins on a line of its own.
            again = text.find("\n{", begin.start())
            document, end = None, len(text) if again < 0 else again
        yield line_no, document, text[begin.start() : end].strip()
        start = end


def _tell(told: Told, line_no: int, said: object) -> str | None:
    """Tell one cycle; give the reason if it is refused."""
    if not isinstance(said, dict):
        return "not a JSON object"
    job = said.get("job_id")
    if not isinstance(job, str) or not job.strip():
        return "no job_id, or not a text"
    counts = [_count(said.get(name, 0)) for name in ("attempt_index", "cycle_number")]
    if counts[0] is None or counts[1] is None or "cycle_number" not in said:
        return "attempt_index or cycle_number is not a count"
    times = {name: _instant_us(said.get(name)) for name in ("cycle_start_time", "cycle_end_time")}
    for name, at in times.items():
        if isinstance(at, str):
            return f"{name} {at}"
    began, ended = times.values()
    if not isinstance(began, int):
        return "no cycle_start_time"
    if isinstance(ended, int) and ended < began:
        return "cycle ends before it starts"
    who = Attempt("", job.encode("utf-8", "replace").decode(), counts[0])
    cycle = f"cycle {counts[1]}"
    told.mark(
        who,
        line_no,
        "job_start",
        began,
        began,
        gpus=_ranks(said.get("active_ranks")),
        note=cycle + _places(said),
    )
    if isinstance(ended, int):
        told.mark(who, line_no, "detected", ended, ended, note=f"{cycle} ended")
    return None


def _count(value: object) -> int | None:
    """A whole number, or its digits as protobuf's JSON may write it."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= U32 else None


def _places(said: dict[str, object]) -> str:
    """On which nodes, and which stood by."""
    active, standby = (
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
        for value in (said.get("active_nodes"), said.get("standby_nodes"))
    )
    return (f" on {active}" if active else "") + (f", standby {standby}" if standby else "")


def _ranks(text: object) -> int | None:
    """How many ranks `0-7,16-23` are; null where it is not told so."""
    if not isinstance(text, str) or not _RANKS.match(text):
        return None
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    count = sum(end[-1] - end[0] + 1 for end in ends if end[-1] >= end[0])
    return count if 0 < count <= U32 else None


def _instant_us(text: object) -> int | str | None:
    """Microseconds since 1970; null for no time; what is wrong with any other."""
    if text is None or text == "":
        return None
    try:
        at = datetime.fromisoformat(str(text))
        if at.tzinfo is None:
            return "is without an offset"
        since = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return "is not ISO 8601"
    return since if EARLIEST_US <= since <= LATEST_US else "is not between 1980 and 2100"


def sniff(head: str, name: str) -> int:
    """Surely, if the document's own fields are named."""
    return 2 if all(f'"{name}"' in head for name in _OWN) else 0


SOURCE = Source(
    name="nvrx_cycles",
    title="NVRx fault-tolerant launcher: cycle_info JSON, one document a cycle",
    example='{"job_id": "4711", "attempt_index": 1, "cycle_number": 2, "cycle_start_time": "2026-03-02T08:10:00.123456Z", "cycle_end_time": "", "active_nodes": "n[001-004]"}',
    makes=(RUN_MARKS,),
    sniff=sniff,
    parse=parse,
)
