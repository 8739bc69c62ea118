"""Scrapes matched against what is known of their target, and values brought to the tables' units.

A known scrape is literal bytes, label texts and numbers in turn. Bytes and labels are compared in
one sweep and only the numbers are parsed: whole numbers and decimals whose correctly rounded
double is one exact operation away (Clinger 1990). Any other number is noted for the slow way.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Int = int | np.int64
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_DIGITS = 19  # fit 64 bits
EXACT = 2**53  # whole numbers up to here are doubles, and so are powers of ten up to 10^22
POWERS = np.array([10.0**n for n in range(23)])
MARK = np.frombuffer(b"# scraped_at: ", np.uint8)
NO_TIME = np.int64(-(2**63))
DAY_US = 86_400_000_000
compared: Any = numba.types.ExternalFunction(
    "memcmp", numba.core.typing.signature(numba.types.int32, *(numba.types.uintp,) * 3)
)
"""The C library's, which compares four times as fast as a loop of ours."""
STAMPS_MS = (946_684_800_000, 4_102_444_800_000)  # 2000 to 2100


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _same(a: int, i: int, end: int, b: int, count: int) -> bool:
    """Whether `count` bytes from `i` on of what lies at address `a`, up to `end`, are those at `b`.

    Addresses, for an array that is handed on in a loop is counted in and out each time, by locked
    operations that take twice as long as all the rest.
    """
    return i + count <= end and compared(a + i, b, count) == 0


def _load(typing: Any, address: Any) -> Any:
    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], numba.core.cgutils.voidptr_t))

    return numba.types.uint8(numba.types.uintp), load


_byte: Any = numba.extending.intrinsic(_load)
"""The byte at an address, which must be within an array that lives."""


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _number(text: int, at: int, end: int) -> tuple[int, float]:
    """(where the number ends, its value); -1 where it is none of the simple ones."""
    is_negative = False
    if at < end and (_byte(text + at) == 45 or _byte(text + at) == 43):
        is_negative = _byte(text + at) == 45
        at += 1
    whole = np.uint64(0)
    begin, point = at, -1
    while at < end:
        digit = _byte(text + at) - np.uint8(48)
        if digit <= 9:
            whole = whole * np.uint64(10) + np.uint64(digit)
        elif _byte(text + at) == 46 and point < 0:
            point = at
        else:
            break
        at += 1
    digits = at - begin - (point >= 0)
    places = at - point - 1 if point >= 0 else 0
    if digits == 0 or digits > 19:
        return -1, 0.0
    if places > 0:
        if whole > np.uint64(9007199254740992):
            return -1, 0.0
        value = np.float64(whole) / POWERS[places]
    else:
        value = np.float64(whole)
    return at, -value if is_negative else value


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _digits(data: Bytes, at: int, count: int) -> int:
    """The whole number of `count` digits; -1 where there is anything else."""
    if at + count > len(data):
        return -1
    whole = 0
    for k in range(at, at + count):
        digit = data[k] - np.uint8(48)
        if digit > 9:
            return -1
        whole = whole * 10 + digit
    return whole


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def marked(data: Bytes, at: int) -> tuple[Int, int]:
    """(microseconds since 1970, where the next line begins) of `# scraped_at: 2026-03-02T07:00:00Z`.

    (NO_TIME, `at`) where no such line begins at `at`.
    """
    none = (np.int64(-9223372036854775808), at)
    end, size = len(data), len(MARK)
    if at + size + 21 > end or not _same(data.ctypes.data, at, end, MARK.ctypes.data, size):
        return none
    i = at + size
    year, month, day = _digits(data, i, 4), _digits(data, i + 5, 2), _digits(data, i + 8, 2)
    hour, minute, second = (
        _digits(data, i + 11, 2),
        _digits(data, i + 14, 2),
        _digits(data, i + 17, 2),
    )
    is_formed = data[i + 4] == 45 and data[i + 7] == 45 and data[i + 10] == 84
    is_formed &= data[i + 13] == 58 and data[i + 16] == 58
    is_formed &= year >= 1970 and 1 <= month <= 12 and 1 <= day <= 28 + 3 * (month != 2)
    is_formed &= day <= 30 or month in (1, 3, 5, 7, 8, 10, 12)
    if not is_formed or not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return none
    i += 19
    micros: Int = 0
    unit = 1_000_000
    if data[i] == 46:
        i += 1
        while i < len(data) and data[i] - np.uint8(48) <= 9 and unit > 1:
            unit //= 10
            micros += unit * np.int64(data[i] - np.uint8(48))
            i += 1
        if unit != 1 and unit != 1000:  # as many digits as Python has always read
            return none
    if i + 1 >= len(data) or data[i] != 90 or data[i + 1] != 10:
        return none
    # Days since 1970 by counting years from March (H. Hinnant, chrono-compatible calendars).
    y = year - (month <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    return np.int64(seconds * 1_000_000 + micros), i + 2


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fit(
    data: Bytes, at: int, fixed: Bytes, cuts: Ints, label_of: Ints, is_stamped: bool, spans: Ints
) -> bool:
    """Whether a scrape of this shape begins at `at`; `spans` gets where its label texts lie.

    fixed, cuts   literal bytes before slot i are fixed[cuts[i]:cuts[i + 1]], then those at the end
    label_of      which label text slot i has, -1 for none
    spans         (begin, end) of each label text
    """
    spans[:] = -1
    end = len(data)
    text, literal = data.ctypes.data, fixed.ctypes.data
    for i in range(len(label_of)):
        length = cuts[i + 1] - cuts[i]
        if not _same(text, at, end, literal + cuts[i], length):
            return False
        at += length
        k = label_of[i]
        if k >= 0:
            if spans[k, 0] >= 0:
                length = spans[k, 1] - spans[k, 0]
                if not _same(text, at, end, text + spans[k, 0], length):
                    return False
                spans_end = at + length
            else:
                spans_end = at
                is_quoted = False
                while spans_end < end and data[spans_end] != 10:
                    byte = data[spans_end]
                    if byte == 34:
                        is_quoted = not is_quoted
                    elif byte == 92 and is_quoted:
                        spans_end += 1
                    elif byte == 125 and not is_quoted:
                        break
                    spans_end += 1
                spans[k, 0], spans[k, 1] = at, spans_end
            at = spans_end
            if at + 2 > end or data[at] != 125 or data[at + 1] != 32:
                return False
            at += 2
        while at < end and data[at] > 32:
            at += 1
        if is_stamped:
            at += 1
            while at < end and data[at] > 32:
                at += 1
    return _same(text, at, end, literal + cuts[-2], cuts[-1] - cuts[-2])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk(
    data: Bytes,
    at: int,
    fixed: Bytes,
    cuts: Ints,
    label_of: Ints,
    labels: Bytes,
    label_cuts: Ints,
    is_stamped: bool,
    may_repeat: bool,
    values: Floats,
    places: Ints,
    odd: Ints,
) -> tuple[int, int, int]:
    """Read scrapes of one target from `at` on: (scrapes, odd numbers, where the first other begins).

    values  (scrapes, slots) gets the numbers as they stand, NaN where one is odd
    places  gets of each scrape its instant (its stamps', else its mark's, else NO_TIME), where it
            begins and where it ends
    odd     (scrape, slot, begin, end) of the numbers that must be read the slow way
    """
    done, odds, end = 0, 0, len(data)
    text, literal, label = data.ctypes.data, fixed.ctypes.data, labels.ctypes.data
    mark = MARK.ctypes.data
    slots = len(label_of)
    while at < end and done < len(values) and odds + slots <= len(odd):
        marked_at, i = marked(data, at)
        if marked_at == -9223372036854775808 and done > 0 and not may_repeat:
            break
        first_odd = odds
        stamp: Int = np.int64(-1)
        is_ours = True
        for slot in range(slots):
            length = cuts[slot + 1] - cuts[slot]
            if not _same(text, i, end, literal + cuts[slot], length):
                is_ours = False
                break
            i += length
            k = label_of[slot]
            if k >= 0:
                length = label_cuts[k + 1] - label_cuts[k]
                if not _same(text, i, end, label + label_cuts[k], length):
                    is_ours = False
                    break
                i += length
            j, value = _number(text, i, end)
            if j < 0 or (j < end and data[j] > 32):
                j = i
                while j < end and data[j] > 32:
                    j += 1
                odd[odds, 0], odd[odds, 1], odd[odds, 2], odd[odds, 3] = done, slot, i, j
                odds += 1
                value = np.nan
            values[done, slot] = value
            i = j
            if is_stamped:
                own, i = _stamp(text, i, end)
                if own < 0 or (stamp >= 0 and own != stamp):
                    is_ours = False
                    break
                stamp = own
        last = cuts[slots + 1] - cuts[slots]
        if not is_ours or not _same(text, i, end, literal + cuts[slots], last):
            odds = first_odd
            break
        i += last
        if not may_repeat and i < end and not _same(text, i, end, mark, len(MARK)):
            odds = first_odd  # more of the same scrape follows
            break
        places[done, 0] = stamp if stamp >= 0 else marked_at
        places[done, 1], places[done, 2] = at, i
        done += 1
        at = i
    return done, odds, at


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _stamp(text: int, at: int, end: int) -> tuple[Int, int]:
    """(microseconds, end) of a blank and a whole number of milliseconds or seconds; -1 if none."""
    if at >= end or _byte(text + at) != 32:
        return np.int64(-1), at
    at += 1
    begin, whole = at, np.int64(0)
    while at < end and _byte(text + at) - np.uint8(48) <= 9 and at - begin < 16:
        whole = whole * 10 + np.int64(_byte(text + at) - np.uint8(48))
        at += 1
    if 946_684_800_000 <= whole < 4_102_444_800_000:
        return whole * 1000, at
    if 946_684_800 <= whole < 4_102_444_800:
        return whole * 1_000_000, at
    return np.int64(-1), at
