"""Console logs of MaxText: steps with their seconds and tokens, saves and loads.

    I0302 08:14:00.120000 1 metric_logger.py:196] completed step: 10, seconds: 1.182, TFLOP/s/device: 167.154, Tokens/s/device: 3464.384, total_weights: 262144, loss: 10.187

MaxText prints no times of its own: a line counts only where its logger (glog, as here) or its
launcher writes one before it, and is refused otherwise. A step ends at its line, which comes at
most a step late, and the weights are its tokens. Saves are asynchronous and say only when they
were begun.
"""

import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.console import colourless
from transforms.sources.console_run import ConsoleRun, read_console
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_WORDS = (
    r"completed step:|checkpoint save for step|saved a checkpoint at step|Num_devices:"
    r"|System Information: Jax Version|restoring from .* step"
)
_PATTERNS = {
    "step": re.compile(
        r"completed step: (\d{1,15}), seconds: (\d{1,7}(?:\.\d+)?), TFLOP/s/device: "
        r"(?:.*\btotal_weights: (\d{1,15})\b)?"
    ),
    "start": re.compile(r"System Information: Jax Version"),
    "devices": re.compile(r"Num_devices: (\d{1,9})\b"),
    "save": re.compile(r"(?:checkpoint save for|saved a checkpoint at) step (\d{1,15})\b", re.I),
    "load": re.compile(r"restoring from .* step[ _:]?(\d{1,15})\b", re.I),
}


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves, loads and marks; see the module's docstring for the format."""
    return read_console(
        data, origin, _WORDS, _PATTERNS, _take, is_torn=_torn, needs_no_stamp=("devices", "start")
    )


def _torn(line: str) -> str | None:
    return "step line without its step, seconds and speed" if "completed step:" in line else None


def _take(run: ConsoleRun, line_no: int, kind: str, found: re.Match[str], at: int) -> bool:
    if kind == "step":
        tokens = int(found[3]) if found[3] else None
        return run.step(line_no, int(found[1]), at, round(float(found[2]) * 1e6), tokens)
    if kind == "start":
        run.begin()
        if at:
            run.seen(line_no, at)
    elif kind == "devices":
        run.has_gpus(int(found[1]))
    elif kind == "save":
        run.saves(line_no, int(found[1]), at)
    elif kind == "load":
        run.loads(line_no, at, int(found[1]))
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
