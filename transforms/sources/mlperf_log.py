"""Logs of MLPerf training runs: their `:::MLLOG` lines, among whatever else the console holds.

    :::MLLOG {"namespace": "", "time_ms": 1772438400000, "event_type": "INTERVAL_START", "key": "run_start", "value": null, "metadata": {"file": "train.py", "lineno": 190}}

Every rank may repeat a line: the first start and the first stop count. The run starts up from
init_start to run_start; a later init_start begins another attempt. GPUs are told by the `:::SYSJSON`
line, if there is one. The run is named after its file.

A block (an epoch where there are no blocks) tells how much was trained in it: as many steps as its
epoch_count holds batches, of samples or of tokens, spread evenly; one where the first block holds
no whole number of batches. Where there are neither, tracked_stats that name a step and a train_step_time
tell them.
"""

import json
from dataclasses import dataclass, field

import polars as pl

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.console import attempt_of, console_lines
from transforms.sources.train_intervals import Interval
from transforms.sources.train_rows import (
    EARLIEST_US,
    LATEST_US,
    SECOND_US,
    U32,
    Attempt,
    Told,
)
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_MARK, _SYSTEM = ":::MLLOG", ":::SYSJSON"
_SPANS = ("block", "epoch", "eval", "checkpoint")
_COUNTS = ("global_batch_size", "max_sequence_length")
_KEYS = (
    *("init_start", "init_stop", "run_start", "run_stop", "cache_clear", "tracked_stats"),
    *(f"{span}_{role}" for span in _SPANS for role in ("start", "stop")),
    *_COUNTS,
)


@dataclass(frozen=True)
class _Event:
    line_no: int
    at: int
    key: str
    value: object
    metadata: dict[str, object]


@dataclass
class _Session:
    """One attempt, from its first event on."""

    who: Attempt
    gpus: int | None
    told: Told
    began: _Event | None = None
    init: _Event | None = None
    started: _Event | None = None
    stopped: bool = False
    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    opened: dict[str, _Event] = field(default_factory=dict)
    spans: dict[str, list[tuple[_Event, int]]] = field(default_factory=dict)
    stats: list[tuple[_Event, int, int]] = field(default_factory=list)

    def take(self, event: _Event) -> bool:
        """Live one event; false if it only repeats what was said, or says nothing to us."""
        key, span = event.key, event.key.removesuffix("_start").removesuffix("_stop")
        if self.began is None:
            self.began = event
            self.told.mark(self.who, event.line_no, "job_start", event.at, event.at, gpus=self.gpus)
        if span in _SPANS:
            return self._span(span, event)
        if key in _COUNTS:
            if type(event.value) is int and 0 < event.value <= U32:
                self.counts.setdefault(key, event.value)
            return False
        if key == "tracked_stats":
            if (stat := _step_time(event)) is None:
                return False
            self.stats.append((event, *stat))
        elif key == "init_start" and self.init is None:
            self.init = event
        elif key == "run_start" and self.started is None:
            self.started = event
        elif key == "run_stop" and self.started is not None and not self.stopped:
            self.stopped = True
            status = event.metadata.get("status")
            kind = "finished" if status in (None, "success") else "job_end"
            note = status if isinstance(status, str) and kind == "job_end" else None
            self.told.mark(self.who, event.line_no, kind, event.at, event.at, note=note)
        else:
            return False
        return True

    def _span(self, span: str, event: _Event) -> bool:
        if event.key.endswith("_start"):
            return self.opened.setdefault(span, event) is event
        begin = self.opened.pop(span, None)
        if begin is not None:
            self.spans.setdefault(span, []).append((begin, event.at))
        return begin is not None

    def tell(self) -> None:
        """Tell what is known only once all of the attempt is read."""
        if self.init is not None:
            ended = self.started.at if self.started else None
            self.told.mark(self.who, self.init.line_no, "init", self.init.at, ended)
        for begin, ended in self.spans.get("eval", []):
            self.told.mark(self.who, begin.line_no, "eval", begin.at, ended)
        if "eval" in self.opened:
            begin = self.opened["eval"]
            self.told.mark(self.who, begin.line_no, "eval", begin.at, None)
        made = self._blocks(self.spans.get("block") or self.spans.get("epoch") or [])
        if not made:
            made = self._tracked()
        for begin, ended in self.spans.get("checkpoint", []):
            held = max([last for last, at in made if at <= begin.at], default=0)
            self.told.checkpoint(
                self.who, begin.line_no, "save", held, begin.at, ended, durable_at=ended
            )

    def _blocks(self, blocks: list[tuple[_Event, int]]) -> list[tuple[int, int]]:
        """Tell the steps of blocks; give each block's last step with its end."""
        made: list[tuple[int, int]] = []
        done = 0
        batch, tokens = self._batch([begin.metadata.get("epoch_count") for begin, _ in blocks])
        for begin, ended in blocks:
            amount = begin.metadata.get("epoch_count")
            # The last batch may be a part of one.
            count = -(-amount // batch) if batch and type(amount) is int and amount > 0 else 1
            count = count if self.told.has_room(count) else 1
            self.told.steps(self.who, begin.line_no, done + 1, count, begin.at, ended, tokens)
            done += count
            made.append((done, ended))
        return made

    def _batch(self, amounts: list[object]) -> tuple[int | None, int | None]:
        """The size of a batch in the unit in which blocks are counted, and its tokens if known."""
        first = amounts[0] if amounts else None
        samples, length = (self.counts.get(name) for name in _COUNTS)
        if type(first) is not int or samples is None:
            return None, None
        if length is not None and samples * length <= U32 and first % (samples * length) == 0:
            return samples * length, samples * length
        return (samples, None) if first % samples == 0 else (None, None)

    def _tracked(self) -> list[tuple[int, int]]:
        made: list[tuple[int, int]] = []
        clock = Interval()
        for event, step, took in self.stats:
            if clock.tell(self.told, self.who, event.line_no, step, event.at, took):
                made.append((step, event.at))
        return made


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves and marks; see the module's docstring for the format."""
    lines = console_lines(data)
    ours = lines.filter(pl.col("line").str.contains(":::MLLOG|:::SYSJSON"))
    told, gpus = Told(origin), None
    refused: list[tuple[int, str, str]] = []
    events: list[_Event] = []
    for line_no, line in ours.iter_rows():
        if (system := line.partition(_SYSTEM)[2]) and _MARK not in line:
            gpus = _gpus(system) or gpus
            continue
        event = _read(line_no, line.partition(_MARK)[2])
        if isinstance(event, str):
            refused.append((line_no, event, line))
        else:
            events.append(event)
    used = _lived(events, told, origin, gpus)
    return Parsed(
        frames=told.frames(),
        rejects=rejects(refused),
        records=len(lines),
        accepted=used,
        rejected=len(refused),
        ignored=len(lines) - used - len(refused),
    )


def _lived(events: list[_Event], told: Told, origin: Origin, gpus: int | None) -> int:
    """Cut the events into attempts and tell each; give how many of them said something."""
    session = _Session(attempt_of(origin), gpus, told)
    used = 0
    for event in sorted(events, key=lambda event: (event.at, event.line_no)):
        if event.key not in _KEYS:
            continue
        if event.key in ("init_start", "cache_clear") and session.started is not None:
            session.tell()
            session = _Session(attempt_of(origin, session.who.restart + 1), gpus, told)
        is_first = session.began is None
        used += session.take(event) or is_first
    session.tell()
    return used


def _read(line_no: int, text: str) -> _Event | str:
    """One line as an event, or what is wrong with it."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return "MLLOG line without a JSON object"
    if not isinstance(said, dict):
        return "MLLOG line without a JSON object"
    key, at, metadata = said.get("key"), said.get("time_ms"), said.get("metadata")
    if not isinstance(key, str):
        return "no key, or not a text"
    if isinstance(at, bool) or not isinstance(at, int | float):
        return "no time_ms, or not a number"
    # Compared before it is reckoned with: a number may be too large for either.
    if not EARLIEST_US <= at * 1000 <= LATEST_US:
        return "time_ms is not between 1980 and 2100"
    return _Event(
        line_no,
        round(at * 1000),
        key,
        said.get("value"),
        metadata if isinstance(metadata, dict) else {},
    )


def _step_time(event: _Event) -> tuple[int, int] | None:
    """The step that tracked stats are of and how long one took (us), where they tell both."""
    took = event.value.get("train_step_time") if isinstance(event.value, dict) else None
    step = event.metadata.get("step")
    if type(step) is not int or not 0 < step < 2**53:
        return None
    if isinstance(took, bool) or not isinstance(took, int | float):
        return None
    return (step, round(took * SECOND_US)) if 0 < took < 1e6 else None


def _gpus(text: str) -> int | None:
    """GPUs of the system: its nodes times the accelerators of each."""
    try:
        said = json.loads(text)
        sizes = [int(said[name]) for name in ("number_of_nodes", "accelerators_per_node")]
    except (ValueError, RecursionError, TypeError, KeyError, OverflowError):
        return None
    gpus = sizes[0] * sizes[1]
    return gpus if min(sizes) > 0 and gpus <= U32 else None


def sniff(head: str, name: str) -> int:
    """Surely, if a line holds the logger's mark and an object with its time."""
    return 2 if any(_MARK in line and '"time_ms"' in line for line in head.splitlines()) else 0


SOURCE = Source(
    name="mlperf_log",
    title="MLPerf training log: :::MLLOG lines of a console",
    example=':::MLLOG {"namespace": "", "time_ms": 1772438400000, "event_type": "INTERVAL_START", "key": "run_start", "value": null, "metadata": {"lineno": 190}}',
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
