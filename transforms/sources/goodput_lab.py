"""Event logs of whole jobs, one JSON object a line: when training went, stopped and came back.

    {"time": "2026-03-02T04:00:00Z", "job": "llm-70b", "event": "interrupt", "cause": "gpu_xid79", "node": "n17"}

The order of each job, whatever that of the lines: `start` (with nodes and gpus_per_node); then,
while it trains, `checkpoint_start` and `checkpoint_end`; after an `interrupt` always `detected`,
`nodes_ready` and `running`; `end` at any point. What breaks the order is refused, and the job
goes on as if it had not been said. Times carry an offset. Lines that begin with # are comments.

Such a log names no steps. The time that a job trains is told as progress in steps of ten seconds,
shorter only before a save, an interrupt or the end, and numbered like steps: after an interrupt
they go on from the last checkpoint, so that what was lost is trained again under the same numbers.
Nodes that are ready begin a new attempt, and it starts up until it runs. What was interrupted ends
when somebody knows; a save cut short by the interrupt failed, and blocked until then.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.text import numbered_lines
from transforms.sources.train_rows import (
    EARLIEST_US,
    LATEST_US,
    MOST_STEPS,
    SECOND_US,
    U32,
    Attempt,
    Told,
)
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

STEP_US = 10 * SECOND_US

_FOLLOWS = {
    None: {"start": "trains"},
    "trains": {"checkpoint_start": "saves", "interrupt": "stopped", "end": "over"},
    "saves": {"checkpoint_end": "trains", "interrupt": "stopped", "end": "over"},
    "stopped": {"detected": "known", "end": "over"},
    "known": {"nodes_ready": "starts", "end": "over"},
    "starts": {"running": "trains", "end": "over"},
    "over": {},
}
"""Which event may follow in which state of a job, and the state that it leads to."""
_EVENTS = tuple(dict.fromkeys(event for follows in _FOLLOWS.values() for event in follows))


@dataclass(frozen=True)
class _Event:
    line_no: int
    line: str
    at: int
    job: str
    kind: str
    gpus: int | None
    note: str | None


@dataclass
class _Job:
    """Where a job stands: its state since when, on which line, and how many steps it has made."""

    name: str
    told: Told
    state: str | None = None
    since: int = 0
    line_no: int = 0
    gpus: int | None = None
    restart: int = 0
    done: int = 0
    saved: int = 0
    fault: str | None = None

    @property
    def who(self) -> Attempt:
        return Attempt(self.name, restart=self.restart)

    def take(self, event: _Event) -> str | None:
        """Tell what an event says; give the reason if it may not follow."""
        state = _FOLLOWS[self.state].get(event.kind)
        if state is None:
            return f"{event.kind} where the job {_is(self.state)}"
        if self.state == "trains" and not self._train(event.at):
            return f"job trains for more than {MOST_STEPS:,} steps of ten seconds"
        getattr(self, f"_{event.kind}")(event)
        self.state, self.since, self.line_no = state, event.at, event.line_no
        return None

    def _train(self, until: int) -> bool:
        whole, rest = divmod(until - self.since, STEP_US)
        turn = self.since + whole * STEP_US
        parts = ((whole, self.since, turn), (int(rest > 0), turn, until))
        if not self.told.has_room(whole + 1):
            return False
        for count, began, ended in parts:
            self.told.steps(self.who, self.line_no, self.done + 1, count, began, ended)
            self.done += count
        return True

    def _start(self, event: _Event) -> None:
        self.gpus = event.gpus
        self._instant("job_start", event, note=event.note)

    def _checkpoint_start(self, event: _Event) -> None:
        pass

    def _checkpoint_end(self, event: _Event) -> None:
        self._save(event, is_saved=True)
        self.saved = self.done

    def _interrupt(self, event: _Event) -> None:
        if self.state == "saves":
            self._save(event, is_saved=False)
        self.fault = event.note

    def _detected(self, event: _Event) -> None:
        self._instant("detected", event, note=self.fault)

    def _nodes_ready(self, event: _Event) -> None:
        self.restart += 1
        self.done = self.saved
        self._instant("job_start", event)

    def _running(self, event: _Event) -> None:
        self.told.mark(self.who, self.line_no, "init", self.since, event.at)

    def _end(self, event: _Event) -> None:
        if self.state == "saves":
            self._save(event, is_saved=False)
        if self.state in ("stopped", "known"):
            # It never came back: whoever ended it knew by then, and nothing was finished.
            self._instant("detected", event, note=self.fault)
        elif self.state == "starts":
            self.told.mark(self.who, self.line_no, "init", self.since, event.at)
            self._instant("job_end", event)
        else:
            self._instant("finished", event)

    def _save(self, event: _Event, is_saved: bool) -> None:
        safe = event.at if is_saved else None
        self.told.checkpoint(
            self.who, self.line_no, "save", self.done, self.since, event.at,
            durable_at=safe, ok=is_saved,
        )  # fmt: skip

    def _instant(self, kind: str, event: _Event, note: str | None = None) -> None:
        gpus = self.gpus if kind == "job_start" else None
        self.told.mark(self.who, event.line_no, kind, event.at, event.at, gpus=gpus, note=note)

    def still_saves(self) -> None:
        """At the end of the log a save may still block."""
        if self.state == "saves":
            self.told.checkpoint(self.who, self.line_no, "save", self.done, self.since, None)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, checkpoints and marks; see the module's docstring for the format."""
    told = Told(origin)
    events: list[_Event] = []
    refused: list[tuple[int, str, str]] = []
    records = comments = 0
    for line_no, line in numbered_lines(data).iter_rows():
        bare = line.strip()
        if not bare:
            continue
        records += 1
        if bare.startswith("#"):
            comments += 1
            continue
        event = _read(line_no, bare)
        if isinstance(event, str):
            refused.append((line_no, event, line))
        else:
            events.append(event)
    refused += _lived(events, told)
    return Parsed(
        frames=told.frames(),
        rejects=rejects(sorted(refused)),
        records=records,
        accepted=records - comments - len(refused),
        rejected=len(refused),
        ignored=comments,
    )


def _lived(events: Iterable[_Event], told: Told) -> list[tuple[int, str, str]]:
    """Let each job live its events in the order of time; give those that may not follow."""
    jobs: dict[str, _Job] = {}
    refused = []
    for event in sorted(events, key=lambda event: (event.at, event.line_no)):
        job = jobs.setdefault(event.job, _Job(event.job, told))
        if (trouble := job.take(event)) is not None:
            refused.append((event.line_no, trouble, event.line))
    for job in jobs.values():
        job.still_saves()
    return refused


def _read(line_no: int, line: str) -> _Event | str:
    """One line as an event, or what is wrong with it."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return "not a JSON object"
    if not isinstance(said, dict):
        return "not a JSON object"
    job, kind = said.get("job"), said.get("event")
    if not isinstance(job, str) or not job.strip():
        return "no job, or not a text"
    if kind not in _EVENTS:
        return f"unknown event {str(kind)[:40]}"
    at = _instant_us(said.get("time"))
    if isinstance(at, str):
        return at
    gpus, note = None, None
    if kind == "start":
        sizes = [said.get("nodes"), said.get("gpus_per_node")]
        if not all(type(size) is int and 0 < size <= U32 for size in sizes):
            return "start without its nodes and gpus_per_node as counts"
        if (gpus := sizes[0] * sizes[1]) > U32:  # type: ignore[operator]
            return "start without its nodes and gpus_per_node as counts"
        note = f"{sizes[0]} x {sizes[1]} GPUs"
    elif kind == "interrupt":
        parts = [said.get(name) for name in ("cause", "node")]
        note = " on ".join(_clean(part) for part in parts if isinstance(part, str) and part) or None
    return _Event(line_no, line, at, _clean(job), str(kind), gpus, note)


def _instant_us(text: object) -> int | str:
    """An ISO 8601 time with an offset in microseconds since 1970, or what is wrong with it."""
    if not isinstance(text, str):
        return "no time, or not a text"
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return "time is without an offset"
        since = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return "time is not ISO 8601"
    return since if EARLIEST_US <= since <= LATEST_US else "time is not between 1980 and 2100"


def _clean(text: str) -> str:
    """Half characters, which JSON can spell and no table can hold, are replaced."""
    return text.encode("utf-8", "replace").decode()


def _is(state: str | None) -> str:
    return {
        None: "has not started",
        "stopped": "is interrupted",
        "known": "waits for nodes",
        "starts": "is starting again",
        "over": "is over",
    }.get(state, str(state))


def sniff(head: str, name: str) -> int:
    """Surely, if one of the first lines is an object with job, time and one of our events."""
    for line in [line for line in head.splitlines() if line.lstrip().startswith("{")][:20]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and {"time", "job", "event"} <= said.keys():
            return 2 if said["event"] in _EVENTS else 0
    return 0


SOURCE = Source(
    name="goodput_lab",
    title="Event log of jobs: start, checkpoints, interrupts, recoveries, end",
    example='{"time": "2026-03-02T04:00:00Z", "job": "llm-70b", "event": "interrupt", "cause": "gpu_xid79", "node": "n17"}',
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
