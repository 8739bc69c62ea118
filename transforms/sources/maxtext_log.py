"""Console logs of MaxText: steps with their seconds and tokens, saves and loads.

    I0302 08:14:00.120000 1 metric_logger.py:196] completed step: 10, seconds: 1.182, TFLOP/s/device: 167.154, Tokens/s/device: 3464.384, total_weights: 262144, loss: 10.187

MaxText prints no times of its own: a line counts only where its logger (glog, as here) or its
launcher writes one before it, and is refused otherwise. A step ends at its line, which comes at
most a step late, and the weights are its tokens. Checkpoints are told by the records that their
library prints as Python dictionaries, with times of their own; a save without one tells only that
it was begun. A synchronous save is safe when it lets go.
"""

import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.console import colourless
from transforms.sources.console_run import ConsoleRun, read_console
from transforms.sources.train_intervals import LONGEST_US
from transforms.sources.train_rows import EARLIEST_US, LATEST_US, SECOND_US
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_SECONDS = r"(\d{1,10}(?:\.\d+)?(?:e-\d{1,2})?)"
_WORDS = (
    r"'event_type': '|completed step:|checkpoint save for step|saved a checkpoint at step|Num_devices:"
    r"|System Information: Jax Version|restoring from .* step"
)
_PATTERNS = {
    "step": re.compile(
        r"completed step: (\d{1,15}), seconds: (\d{1,7}(?:\.\d+)?), TFLOP/s/device: "
        r"(?:.*\btotal_weights: (\d{1,15})\b)?"
    ),
    "record": re.compile(
        r"\{'step': (\d{1,15}), 'event_type': '(save|restore|emergency_restore)', .*\}"
    ),
    "start": re.compile(r"System Information: Jax Version"),
    "devices": re.compile(r"Num_devices: (\d{1,9})\b"),
    "save": re.compile(r"(?:checkpoint save for|saved a checkpoint at) step (\d{1,15})\b", re.I),
    "load": re.compile(r"restoring from .* step[ _:]?(\d{1,15})\b", re.I),
}


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves, loads and marks; see the module's docstring for the format."""
    return read_console(
        data,
        origin,
        _WORDS,
        _PATTERNS,
        _take,
        is_torn=_torn,
        needs_no_stamp=("devices", "start", "record"),
    )


def _torn(line: str) -> str | None:
    if "'event_type': '" in line:
        return "checkpoint record cut short" if not line.rstrip().endswith("}") else None
    return "step line without its step, seconds and speed" if "completed step:" in line else None


def _take(run: ConsoleRun, line_no: int, kind: str, found: re.Match[str], at: int) -> bool | str:
    if kind == "step":
        tokens = int(found[3]) if found[3] else None
        return run.step(line_no, int(found[1]), at, round(float(found[2]) * SECOND_US), tokens)
    if kind == "start":
        run.begin()
        if at:
            run.seen(line_no, at)
    elif kind == "devices":
        run.has_gpus(int(found[1]))
    elif kind == "record":
        return _record(run, line_no, int(found[1]), found[2], found[0])
    elif kind == "save":
        run.saves(line_no, int(found[1]), at)
    elif kind == "load":
        run.loads(line_no, at, int(found[1]))
    return True


def _record(run: ConsoleRun, line_no: int, step: int, event: str, text: str) -> bool:
    """A save or a restore with its own times; false if it tells none of its whole."""
    parts = (
        "checkpoint_manager_blocking",
        "checkpointer_blocking",
        "checkpoint_manager",
        "checkpointer",
    )
    for part in parts:
        told = re.search(
            rf"'{part}_start_time': {_SECONDS}, '{part}_duration_secs': {_SECONDS}[,}}]", text
        )
        if told is not None:
            break
    else:
        return False
    began, took = round(float(told[1]) * SECOND_US), round(float(told[2]) * SECOND_US)
    if not (EARLIEST_US <= began <= LATEST_US and took <= LONGEST_US):
        return False
    if event != "save":
        run.loads(line_no, began, step, began + took)
        return True
    run.saves(line_no, step, began)
    run.interval.timed("save", took)
    if "'synchronous': True" in text:
        run.interval.saved(step, None, is_async=False)
    return True


def sniff(head: str, name: str) -> int:
    """Surely, if a whole step line is there."""
    head = colourless(head)
    return 2 if _PATTERNS["step"].search(head) else 0


SOURCE = Source(
    name="maxtext_log",
    title="Console log of MaxText, with a time stamp before each line",
    example="I0302 08:14:00.120000 1 metric_logger.py:196] completed step: 10, seconds: 1.182, TFLOP/s/device: 167.154, Tokens/s/device: 3464.384, total_weights: 262144, loss: 10.187",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
