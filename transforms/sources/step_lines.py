"""Lines that differ in two numbers alone, read at the speed of comparing bytes.

    {"job_name": "llm-70b", "step_count": 1200, "step_start_time": 1772446504.12}

Nearly all lines of a log of step starts are so. A shape is what such a line holds around its two
numbers, learned from lines that JSON reads; a line that is a shape with two plain numbers is read
here, every other line goes the slow way. Both say the same of it.
"""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.sources.text import numbered_lines

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

SAMPLES, MOST_SHAPES = 64, 8
ODD_LINES = 1 << 16
"""So many lines that are no shape are noted before they are taken away."""
LEAST_BYTES = 1 << 20
"""Below this much loading compiled code takes longer than the slow way."""


@dataclass(frozen=True)
class Shape:
    """What stands before, between and after the numbers, and the job that it names."""

    parts: tuple[bytes, bytes, bytes]
    is_time_first: bool
    job: str


def read(
    data: bytes, fields: tuple[str, str, str], least: int = LEAST_BYTES
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Steps (line_no, job, step, at in us since 1970) and the lines (line_no, line) that are left.

    `fields` name the text of the job, the number of the step and its time. Of less than `least`
    bytes all lines are left.
    """
    shapes = _shapes(data, fields) if len(data) >= least else []
    if not shapes:
        return _steps(shapes, *(np.empty(0, np.int64) for _ in range(4))), numbered_lines(data)
    from transforms.sources import step_loops  # compiled code: loaded where it pays

    parts = [part for shape in shapes for part in shape.parts]
    bounds = np.cumsum([0, *map(len, parts)])
    held = np.frombuffer(data, np.uint8)
    # No step's line is shorter than the shortest shape around a digit each, and a line feed.
    shortest = min(sum(map(len, shape.parts)) for shape in shapes) + 3
    most = len(data) // shortest + 1
    step, at, line_no = (np.empty(most, np.int64) for _ in range(3))
    which = np.empty(most, np.int64)
    odd, others = np.empty((ODD_LINES, 3), np.int64), []
    found, place, number = 0, 0, 0
    while place < len(data):
        found, rest, place, number = step_loops.read(
            held, np.frombuffer(b"".join(parts), np.uint8), bounds,
            np.array([shape.is_time_first for shape in shapes]), step, at, line_no, which, odd,
            found, place, number,
        )  # fmt: skip
        others.append(odd[:rest].copy())
    steps = _steps(shapes, which[:found], line_no[:found], step[:found], at[:found])
    return steps, _left(data, np.concatenate(others))


def _steps(shapes: list[Shape], which: Ints, line_no: Ints, step: Ints, at: Ints) -> pl.DataFrame:
    jobs = sorted({shape.job for shape in shapes})
    of_shape = np.array([jobs.index(shape.job) for shape in shapes], np.uint32)
    job = pl.Series(of_shape[which] if shapes else [], dtype=pl.UInt32)
    return pl.DataFrame(
        {
            "line_no": pl.Series(line_no, dtype=pl.UInt32),
            "job": pl.Series(jobs, dtype=pl.String).gather(job) if jobs else pl.Series([], dtype=pl.String),
            "step": step,
            "at": at,
        }
    )  # fmt: skip


def _left(data: bytes, odd: Ints) -> pl.DataFrame:
    """The lines that are no shape and not empty: start, end and number of each in `odd`."""
    odd = odd[odd[:, 1] > odd[:, 0]]
    if not len(odd):
        return numbered_lines(b"").clear()
    text = b"\n".join(data[start:end] for start, end, _ in odd.tolist())
    lines = numbered_lines(text, int(odd[0, 2]))
    return lines.with_columns(line_no=pl.Series(odd[:, 2], dtype=pl.UInt32))


def _shapes(data: bytes, fields: tuple[str, str, str]) -> list[Shape]:
    """The shapes of some lines from all over the text."""
    shapes: dict[Shape, None] = {}
    for place in range(SAMPLES):
        start = data.find(b"\n", len(data) * place // SAMPLES) + 1 if place else 0
        for _ in range(4):
            end = data.find(b"\n", start)
            line = data[start : end if end >= 0 else len(data)]
            if shape := _shape(line.rstrip(b"\r"), fields):
                shapes.setdefault(shape)
            if end < 0:
                break
            start = end + 1
    return list(shapes)[:MOST_SHAPES]


def _shape(line: bytes, fields: tuple[str, str, str]) -> Shape | None:
    job, count, time = fields
    try:
        said = json.loads(line.decode(), object_pairs_hook=list, parse_int=str, parse_float=str)
        told = dict(said)
        where = [line.index(b'"' + name.encode() + b'"') for name in (count, time)]
    except (ValueError, TypeError, RecursionError):
        return None
    if b"\\" in line or len(said) != 3 or told.keys() != set(fields) or not told[job]:
        return None
    if not all(isinstance(value, str) for value in told.values()):
        return None
    first, second = (
        told[name] for name in ((count, time) if where[0] < where[1] else (time, count))
    )
    begin = line.find(first.encode(), line.index(b":", min(where)))
    between = line.find(second.encode(), line.index(b":", max(where)))
    parts = (
        line[:begin],
        line[begin + len(first) : between],
        line[between + len(second) :],
    )
    quoted = json.dumps(told[job], ensure_ascii=False).encode()
    is_whole = first.encode().join(parts[:2]) + second.encode() + parts[2] == line
    is_quoted = parts[0].endswith(b'"') or parts[1].endswith(b'"')
    if quoted not in line or is_quoted or not is_whole:
        return None
    return Shape(parts, where[1] < where[0], told[job])
