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
from numba import njit

from transforms.sources.text import numbered_lines

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

SAMPLES, MOST_SHAPES = 64, 8
ODD_LINES = 1 << 16
"""So many lines that are no shape are noted before they are taken away."""
LEAST_BYTES = 1 << 20
"""Below this much loading compiled code takes longer than the slow way."""
_EARLIEST_S, _LATEST_S = 315_532_800, 4_102_444_800  # as train_fields.instant has it
_LINE_FEED, _RETURN, _DOT, _ZERO, _NINE = 10, 13, 46, 48, 57
_MOST_DIGITS, _MOST_DECIMALS = 18, 6


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
        found, rest, place, number = _read(
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


@njit(cache=True)  # type: ignore[untyped-decorator]
def _number(data: Bytes, at: int) -> tuple[int, int, int]:  # pragma: no cover, compiled
    """The whole part and the millionths of the number at a place, and where it ends; -1 if none.

    The millionths are -1 where it has no point.
    """
    begin, whole = at, 0
    while at < len(data) and _ZERO <= data[at] <= _NINE and at - begin < _MOST_DIGITS:
        whole = whole * 10 + (data[at] - _ZERO)
        at += 1
    if at == begin or (data[begin] == _ZERO and at - begin > 1):
        return 0, -1, -1
    if at >= len(data) or data[at] != _DOT:
        return whole, -1, at
    at += 1
    begin, millionths = at, 0
    while at < len(data) and _ZERO <= data[at] <= _NINE and at - begin < _MOST_DECIMALS:
        millionths = millionths * 10 + (data[at] - _ZERO)
        at += 1
    if at == begin:
        return 0, -1, -1
    for _ in range(_MOST_DECIMALS - (at - begin)):
        millionths *= 10
    return whole, millionths, at


@njit(cache=True)  # type: ignore[untyped-decorator]
def _after(data: Bytes, at: int, parts: Bytes, first: int, last: int) -> int:  # pragma: no cover
    """Where the data goes on after a part; -1 if it does not say it."""
    if at + last - first > len(data):
        return -1
    # No early way out, and no place that could be negative: so many bytes are compared at once.
    said, wanted = data[at : at + last - first], parts[first:last]
    differs = np.uint8(0)
    for i in range(len(wanted)):
        differs |= said[i] ^ wanted[i]
    return -1 if differs else at + last - first


@njit(cache=True)  # type: ignore[untyped-decorator]
def _read(  # pragma: no cover, compiled
    data: Bytes,
    parts: Bytes,
    bounds: Ints,
    is_time_first: npt.NDArray[np.bool_],
    step: Ints,
    at: Ints,
    line_no: Ints,
    which: Ints,
    odd: Ints,
    found: int,
    place: int,
    number: int,
) -> tuple[int, int, int, int]:
    """Read lines until `odd` is full: steps in all, rows of `odd`, the place and line reached."""
    shapes = len(is_time_first)
    rest, likely = 0, 0
    while place < len(data) and rest < len(odd):
        number += 1
        end = -1
        for turn in range(shapes):
            shape = (likely + turn) % shapes
            b = shape * 3
            end = _after(data, place, parts, bounds[b], bounds[b + 1])
            if end < 0:
                continue
            whole, millionths, end = _number(data, end)
            if end < 0:
                continue
            end = _after(data, end, parts, bounds[b + 1], bounds[b + 2])
            if end < 0:
                continue
            whole_2, millionths_2, end = _number(data, end)
            if end < 0:
                continue
            end = _after(data, end, parts, bounds[b + 2], bounds[b + 3])
            if end < 0:
                continue
            if end < len(data) and data[end] == _RETURN:
                end += 1
            if is_time_first[shape]:
                whole, whole_2, millionths, millionths_2 = whole_2, whole, millionths_2, millionths
            is_time = _EARLIEST_S <= whole_2 < _LATEST_S
            if (end < len(data) and data[end] != _LINE_FEED) or millionths >= 0 or not is_time:
                end = -1
                continue
            step[found], line_no[found], which[found] = whole, number, shape
            at[found] = whole_2 * 1_000_000 + max(millionths_2, 0)
            found += 1
            likely = shape
            place = end + 1
            break
        if end < 0:
            end = place
            while end < len(data) and data[end] != _LINE_FEED:
                end += 1
            odd[rest, 0], odd[rest, 1], odd[rest, 2] = place, end, number
            rest += 1
            place = end + 1
    return found, rest, place, number
