"""Lines of a few known shapes read number by number; `step_lines` says what a shape is.

Compiled by numba on first use and kept on disk.
"""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_EARLIEST_S, _LATEST_S = 315_532_800, 4_102_444_800  # as train_fields.instant has it
_LINE_FEED, _RETURN, _DOT, _ZERO, _NINE = 10, 13, 46, 48, 57
_MOST_DIGITS, _MOST_DECIMALS = 18, 6


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
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


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
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


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def read(  # pragma: no cover, compiled
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
