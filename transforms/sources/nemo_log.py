"""Console logs of NeMo: steps of its progress printer, its bar and its DLLogger, saves and loads.

    2026-03-02T08:14:00.120Z 0: Training epoch 0, iteration 99/999 | lr: 1.9e-06 | global_batch_size: 256 | global_step: 99 | reduced_train_loss: 1.315 | train_step_timing in s: 7.126 | consumed_samples: 25600
    Epoch 0: :  10%|█         | 100/1000 [10:48<1:37:12, reduced_train_loss=2.31, global_step=99.00, train_step_timing in s=3.130]
    DLLL {"timestamp": "1772439240.12", "type": "LOG", "step": 99, "data": {"global_step": 99.0, "train_step_timing in s": 7.126}}

The printer and the bar write no times: their lines count only where the launcher writes one before
each, and are refused otherwise. DLLogger's entries have their own. Steps are numbered from 0; a
line tells the steps since the line before it where they fit in between at its timing.
`Global Checkpoint Save` and `Load` tell when they began and how long rank 0 blocked; what is loaded
is the step that training goes on from. A save is safe once NeMo says that it was saved.
"""

import json
import math
import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.console import colourless
from transforms.sources.console_run import ConsoleRun, read_console
from transforms.sources.train_rows import EARLIEST_US, LATEST_US, SECOND_US
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_WORDS = (
    r"DLLL \{|train_step_timing in s|Global Checkpoint (?:Save|Load)|Successfully saved checkpoint"
    r"|All distributed processes registered|Experiments will be logged at"
)
_TIMING = r"train_step_timing in s[=:]\s*(\d{1,7}(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\b"
_SECONDS = r"(\d{1,7}(?:\.\d+)?)"
_RANK, _START = r"Rank ?: 0 : ", r"Start time ?: (\d{9,10}(?:\.\d+)?)s : "
_PATTERNS = {
    "entry": re.compile(r"^.*?DLLL (\{.*\})\s*$"),
    "step": re.compile(rf"\bglobal_step[=:]\s*(\d{{1,15}})(?:\.0*)?\b.*{_TIMING}"),
    "save": re.compile(
        rf"Global Checkpoint Save : {_RANK}Iteration: (\d{{1,15}}) : {_START}Save duration: {_SECONDS}s"
    ),
    "load": re.compile(rf"Global Checkpoint Load : {_RANK}{_START}Time spent in \w+: {_SECONDS}s"),
    "safe": re.compile(r"Successfully saved checkpoint from iteration\s+(\d{1,15})\b"),
    "start": re.compile(r"Experiments will be logged at|All distributed processes registered"),
}


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves and marks; see the module's docstring for the format."""
    own_time = ("entry", "save", "load")
    return read_console(
        data, origin, _WORDS, _PATTERNS, _take, is_torn=_torn, needs_no_stamp=own_time
    )


def _torn(line: str) -> str | None:
    if "DLLL {" in line:
        return "DLLogger entry cut short"
    return "step line without its global_step" if re.search(_TIMING, line) else None


def _take(run: ConsoleRun, line_no: int, kind: str, found: re.Match[str], at: int) -> bool | str:
    if kind == "entry":
        return _entry(run, line_no, found[1])
    if kind == "step":
        return run.step(line_no, int(found[1]), at, round(float(found[2]) * SECOND_US))
    if kind == "start":
        if not run.is_headed or run.trains:
            run.begin()
            run.seen(line_no, at)
    elif kind in ("save", "load"):
        return _record(run, line_no, kind, found)
    elif kind == "safe":
        run.interval.saved(int(found[1]), at, is_async=True)
        run.interval.saved(int(found[1]), at, is_async=False)
    return True


def _record(run: ConsoleRun, line_no: int, kind: str, found: re.Match[str]) -> bool:
    began, took = (round(float(text) * SECOND_US) for text in found.groups()[-2:])
    if not EARLIEST_US <= began <= LATEST_US:
        return False
    if kind == "load":
        run.loads(line_no, began, None, began + took)
    else:
        run.saves(line_no, int(found[1]), began)
        run.interval.timed("save", took)
    return True


def _entry(run: ConsoleRun, line_no: int, text: str) -> bool | str:
    """A step from an entry of DLLogger; other entries are none of ours."""
    try:
        said = json.loads(text)
        at, data = float(said["timestamp"]), said["data"]
        step, took = data.get("global_step", said.get("step")), data["train_step_timing in s"]
        if not all(math.isfinite(float(value)) for value in (at, step, took)):
            return False
        step, at_us, took_us = int(step), round(at * SECOND_US), round(float(took) * SECOND_US)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return False
    if not (0 <= step < 2**53 and EARLIEST_US <= at_us <= LATEST_US and 0 <= took_us < 10**13):
        return False
    run.seen(line_no, at_us)
    return run.step(line_no, step, at_us, took_us)


def sniff(head: str, name: str) -> int:
    """Surely, if a line tells the timing of a step as NeMo words it."""
    head = colourless(head)
    return 2 if re.search(_TIMING, head) or '"train_step_timing in s"' in head else 0


SOURCE = Source(
    name="nemo_log",
    title="Console log of NeMo (with a time stamp before each line) or its DLLogger's entries",
    example="2026-03-02T08:14:00.120Z 0: Training epoch 0, iteration 99/999 | global_step: 99 | reduced_train_loss: 1.315 | train_step_timing in s: 7.126 | consumed_samples: 25600",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
