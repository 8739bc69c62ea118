"""metrics.csv of PyTorch Lightning's CSVLogger, where a column holds times.

    epoch,step,created_at,train_loss
    0,49,2026-03-02T08:05:00Z,2.31

CSVLogger itself writes no times: a callback that logs `created_at`, `time`, `timestamp` or
`_timestamp` (ISO 8601, or seconds since 1970) makes the file readable. A row says that its step was
over by then; the steps since the row before share the time evenly. Rows of one step (validation)
move its end. A step below the one before begins another attempt.
"""

import csv
import re

import polars as pl

from transforms.sources.base import Origin, Parsed, rejects
from transforms.sources.console_run import IMPOSSIBLE, ConsoleRun
from transforms.sources.text import instants, numbered_lines
from transforms.sources.train_intervals import LONGEST_US
from transforms.sources.train_rows import EARLIEST_US, LATEST_US, Told

TIMES = ("created_at", "time", "timestamp", "_timestamp")
NO_TIMES = (
    "metrics.csv without a column of times: log `created_at` (seconds since 1970) beside the "
    "metrics, or give the console log with time stamps"
)
_NAME = re.compile(r"^[\w/.@ -]+$")
_STEP = re.compile(r"^(\d{1,12})(?:\.0*)?$")


def is_metrics(head: str) -> bool:
    """Whether the first line is a header of CSVLogger: `epoch`, `step` and what was logged."""
    names = [name.strip() for name in head.partition("\n")[0].strip().split(",")]
    return len(names) >= 3 and {"epoch", "step"} <= set(names) and all(map(_NAME.match, names))


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps; the header is no record, but the one that is refused where times are missing."""
    lines = numbered_lines(data)
    header = [name.strip() for name in lines["line"][0].split(",")]
    column = next((name for name in TIMES if name in header), None)
    if column is None:
        return Parsed({}, rejects([(1, NO_TIMES, lines["line"][0])]), records=1, rejected=1)
    rows = lines[1:].filter(pl.col("line").str.contains(r"\S"))
    cells = [_cells(line, len(header)) for line in rows["line"]]
    nth_step, nth_time = header.index("step"), header.index(column)
    times = pl.Series([c[nth_time] or None for c in cells], dtype=pl.String)
    read = instants(times, origin.zone)
    run = ConsoleRun(Told(origin), origin)
    refused: list[tuple[int, str, str]] = []
    line_nos, lines_, ats = rows["line_no"], rows["line"], read["at"].dt.epoch("us")
    for line_no, line, row, at, fault in zip(
        line_nos, lines_, cells, ats, read["fault"], strict=True
    ):
        step = _STEP.match(row[nth_step].strip())
        reason = _take(run, line_no, int(step[1]) if step else None, at, fault)
        if reason is not None:
            refused.append((line_no, reason, line))
    return Parsed(
        frames=run.told.frames(),
        rejects=rejects(refused),
        records=len(rows),
        accepted=len(rows) - len(refused),
        rejected=len(refused),
    )


def _cells(line: str, width: int) -> list[str]:
    try:
        cells = next(csv.reader([line]), [])
    except csv.Error:
        cells = []
    return cells if len(cells) == width else [""] * width


def _take(
    run: ConsoleRun, line_no: int, step: int | None, at: int | None, fault: str | None
) -> str | None:
    """One row; a reason if it is refused."""
    if step is None:
        return "row without its step, or with more or fewer cells than the header"
    if at is None or not EARLIEST_US <= at <= LATEST_US:
        return "row without its time" if fault is None and at is None else "time is unreadable"
    last = run.interval
    if last.step is None or last.at is None or step < last.step:
        run.begin()
        run.trains = True
    elif at < last.at:
        return "time before that of the row before"
    elif count := step - last.step:
        if not run.told.has_room(count) or at - last.at > count * LONGEST_US:
            return IMPOSSIBLE
        run.told.steps(run.who, line_no, last.step + 1, count, last.at, at)
    run.interval.step, run.interval.at = step, at
    return None
