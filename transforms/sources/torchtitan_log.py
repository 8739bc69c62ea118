"""Console logs of torchtitan: steps, saves, loads, start-up.

    [rank0]:[titan] 2026-03-02 08:51:58,557 - root - INFO - step: 10  loss: 10.7069  memory: 30.99GiB(32.62%)  tps: 7,034  tflops: 407.35  mfu: 41.19%

A line tells that a step is over, not how long one took: the steps since the line before share the
time between the two evenly, saves left out. The first line after a cut-off beginning only sets the
clock. A save holds the step that was over when it began. Whether a save is safe when its message
ends is told only by releases that do not say `or staging`. Stamps are local times.
"""

import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.console import colourless
from transforms.sources.console_run import ConsoleRun, read_console
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_WORDS = (
    r"step:\s*\d|Starting job|Building .{0,20}device mesh|Training starts at step"
    r"|Saving (?:the checkpoint|a full checkpoint|a model)|Finished saving the checkpoint"
    r"|Loading the checkpoint|Finished loading the checkpoint|Training completed"
)
_LOGGER = r" - \S+ - [A-Z]+ - "
_PATTERNS = {
    "step": re.compile(rf"{_LOGGER}step:\s*(\d{{1,15}})\s+loss:"),
    "start": re.compile(rf"{_LOGGER}Starting job"),
    "mesh": re.compile(rf"{_LOGGER}Building .{{0,20}}device mesh with (.*)$"),
    "trains": re.compile(rf"{_LOGGER}Training starts at step (\d{{1,15}})\b"),
    "save": re.compile(
        rf"{_LOGGER}Saving (?:the checkpoint|a full checkpoint|a model)(?:.*\bstep (\d{{1,15}})\b)?"
    ),
    "saved": re.compile(rf"{_LOGGER}Finished saving the checkpoint(.*?)\s?in \d"),
    "load": re.compile(rf"{_LOGGER}Loading the checkpoint (?:from .*step-|at step )(\d{{1,15}})\b"),
    "loaded": re.compile(rf"{_LOGGER}Finished loading the checkpoint"),
    "done": re.compile(rf"{_LOGGER}Training completed"),
}
_TORN = re.compile(rf"{_LOGGER}step:\s*\d+\s*(?:l|lo|los|loss)?$")


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves, loads and marks; see the module's docstring for the format."""
    return read_console(data, origin, _WORDS, _PATTERNS, _take, is_torn=_torn)


def _torn(line: str) -> str | None:
    return "step line without its loss" if _TORN.search(line) else None


def _take(run: ConsoleRun, line_no: int, kind: str, found: re.Match[str], at: int) -> bool | str:
    if kind == "step":
        return _step(run, line_no, int(found[1]), at)
    if kind == "start":
        run.begin()
        run.seen(line_no, at)
    elif kind == "mesh":
        run.has_gpus(_devices(found[1]))
    elif kind == "trains":
        run.starts_training(line_no, max(int(found[1]) - 1, 0), at)
    elif kind == "save":
        # The step that it holds is known from the time once the next line is read.
        run.saves(line_no, int(found[1]) if found[1] else -1, at)
    elif kind == "saved":
        return _saved(run, at, is_plain="staging" not in found[1])
    elif kind == "load":
        run.loads(line_no, at, int(found[1]))
    elif kind == "loaded":
        run.has_loaded(at)
    elif kind == "done":
        _place(run, None)
        run.ends(line_no, "finished", at)
    return True


def _step(run: ConsoleRun, line_no: int, step: int, at: int) -> bool | str:
    clock = run.interval
    if clock.step is None or clock.at is None or step < clock.step:
        clock.start(step, at)
        return False
    if step == clock.step or at < clock.at:
        return False
    paused = sum(pause.took or 0 for pause in clock.pauses)
    each = max(at - clock.at - paused, 0) // (step - clock.step)
    _place(run, each)
    return run.step(line_no, step, at, each)


def _place(run: ConsoleRun, each: int | None) -> None:
    """Find the step that was over when each save began; `each` is how long one takes."""
    clock = run.interval
    each = clock.took if each is None else each
    before = 0
    for pause in clock.pauses:
        since = (pause.at or 0) - (clock.at or 0) - before
        made = round(since / each) if each > 0 and since > 0 else 0
        pause.step = pause.step if pause.step >= 0 else (clock.step or 0) + made
        before += pause.took or 0


def _saved(run: ConsoleRun, at: int, *, is_plain: bool) -> bool:
    saves = [pause for pause in run.interval.pauses if pause.took is None]
    for save in saves[:1]:
        save.took, save.is_done = max(at - (save.at or at), 0), is_plain
    return bool(saves)


def _devices(mesh: str) -> int:
    """Devices of a mesh: `['dp_shard'], [8]`, or `pp=1, dp_replicate=1, dp_shard=8, cp=1, tp=1`."""
    listed = re.search(r"\[([\d, ]{1,60})\]\s*$", mesh)
    sizes = re.findall(r"\d{1,6}", listed[1]) if listed else []
    named = re.findall(r"\b(?:pp|dp_replicate|dp_shard|cp|tp)=(\d{1,6})\b", mesh)
    count = 1
    for size in (sizes or named)[:8]:
        count *= int(size)
    return count if sizes or named else 0


def sniff(head: str, name: str) -> int:
    """Surely, if a step line is there, or the logger's own name."""
    head = colourless(head)
    if _PATTERNS["step"].search(head):
        return 2
    return int("[titan] " in head)


SOURCE = Source(
    name="torchtitan_log",
    title="Console log of torchtitan: steps, saves, loads, start-up",
    example="[rank0]:[titan] 2026-03-02 08:51:58,557 - root - INFO - step: 10  loss: 10.7069  memory: 30.99GiB(32.62%)  tps: 7,034  mfu: 41.19%",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
