"""The hot loops: one pass over rows in order of time, with a little memory for each unit.

Sorting by unit is what grouping costs. Rows that already come in order of time (logs do) need no
sort at all: a sweep keeps each unit's last instant and its open chain beside it. Compiled by
numba on first use and kept on disk; `coalesce` says what the results mean, holds the exact
twins, and sweeps only where rows are many and unit ids are dense.
"""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]

FIRST = 11
"""Bits of the first pass, which alone writes all over memory: its parts then lie in the cache."""
DIGIT = 8
FEW = 32


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def order(keys: Ints, low: int) -> tuple[Ints, Ints]:
    """Non-negative `keys` in rising order of all but their `low` lowest bits, and where each was.

    Equal ones stay as they came. What rides in the low bits saves its own scattered gathering.
    """
    rows = len(keys)
    top = np.int64(0)
    for i in range(rows):
        top = max(top, keys[i])
    high = low
    while high < 63 and (top >> high) > 0:
        high += 1
    high = max(high - FIRST, low)
    ends = np.zeros((top >> high) + 2, np.int64)
    for i in range(rows):
        ends[(keys[i] >> high) + 1] += 1
    longest = np.int64(0)
    for part in range(len(ends) - 1):
        longest = max(longest, ends[part + 1])
        ends[part + 1] += ends[part]
    here, by = np.empty(rows, np.int64), np.empty(rows, np.int64)
    for i in range(rows):
        part = keys[i] >> high
        here[ends[part]], by[ends[part]] = keys[i], i
        ends[part] += 1
    there, to = np.empty(longest, np.int64), np.empty(longest, np.int64)
    began = 0
    for part in range(len(ends) - 1):
        _order_part(here[began : ends[part]], by[began : ends[part]], there, to, low, high)
        began = ends[part]
    return here, by


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _order_part(keys: Ints, by: Ints, there: Ints, to: Ints, low: int, high: int) -> None:
    """Order in place by the bits from `low` to `high`; `there` and `to` are room to work in."""
    rows = len(keys)
    if rows <= FEW:
        for i in range(1, rows):
            key, was, j = keys[i], by[i], i - 1
            while j >= 0 and (keys[j] >> low) > (key >> low):
                keys[j + 1], by[j + 1] = keys[j], by[j]
                j -= 1
            keys[j + 1], by[j + 1] = key, was
        return
    size = 1 << DIGIT
    here, at, moved = keys, by, False
    for shift in range(low, high, DIGIT):
        starts = np.zeros(size + 1, np.int64)
        for i in range(rows):
            starts[((here[i] >> shift) & (size - 1)) + 1] += 1
        for digit in range(size):
            starts[digit + 1] += starts[digit]
        for i in range(rows):
            digit = (here[i] >> shift) & (size - 1)
            there[starts[digit]], to[starts[digit]] = here[i], at[i]
            starts[digit] += 1
        here, there = there, here
        at, to = to, at
        moved = not moved
    if moved:
        keys[:], by[:] = here[:rows], at[:rows]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spread(keys: Keys, ages: Floats, low: float, scale: float, patience: int) -> tuple[Keys, bool]:
    """`keys` in rising order, given `ages` that rise with them, by one pass over even steps of age.

    Each age falls on the step (age - low) * scale, from 0 up to the number of keys. Ages that crowd
    on few steps cost the square of the crowd: after `patience` moves a row the answer is False.
    """
    rows = len(keys)
    ends = np.zeros(rows + 2, np.int64)
    for i in range(rows):
        ends[int((ages[i] - low) * scale) + 1] += 1
    for step in range(rows + 1):
        ends[step + 1] += ends[step]
    here = np.empty_like(keys)
    for i in range(rows):
        step = int((ages[i] - low) * scale)
        here[ends[step]] = keys[i]
        ends[step] += 1
    left = patience * rows
    for i in range(1, rows):
        key, j = here[i], i - 1
        while j >= 0 and here[j] > key:
            here[j + 1] = here[j]
            j -= 1
        here[j + 1] = key
        left -= i - 1 - j
        if left < 0:
            return here, False
    return here, True


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def chains(
    unit: Ints, at: Ints, hold: Ints, units: int, gap: int, day_length: int, early: int
) -> Ints:
    """Chain of every row, numbered by unit and then time; each unit's rows in order of time.

    `hold` may be empty. The rules are those of `coalesce.chains_slowly`, state by state.
    """
    rows = len(unit)
    last = np.full(units, np.int64(-1) << 62)
    reach = np.empty(units, np.int64)
    count = np.zeros(units, np.int64)
    entered = np.zeros(units, np.bool_)
    unbroken = np.zeros(units, np.bool_)
    number = np.empty(rows, np.int64)
    holds = len(hold) > 0
    for i in range(rows):
        u, now = unit[i], at[i]
        day = now // day_length
        if count[u] == 0:
            count[u] = 1
            starts = held = False
            new_day = True
            reach[u] = now
        else:
            held = holds and now <= reach[u]
            starts = not (held or now - last[u] <= gap)
            new_day = day != last[u] // day_length
            if new_day and not starts and not held and entered[u] and unbroken[u]:
                count[u] += 1
            if starts:
                count[u] += 1
        if new_day:
            entered[u] = now - day * day_length <= early or held
            unbroken[u] = True
        elif starts:
            unbroken[u] = False
        reach[u] = max(reach[u], now)
        if holds:
            reach[u] = max(reach[u], hold[i])
        last[u] = now
        number[i] = count[u] - 1
    offset = np.int64(0)
    for u in range(units):
        here = count[u]
        count[u] = offset
        offset += here
    for i in range(rows):
        number[i] += count[unit[i]]
    return number


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def shuffled_chains(
    unit: Ints,
    at: Ints,
    hold: Ints,
    low: int,
    bits: int,
    units: int,
    gap: int,
    day_length: int,
    early: int,
) -> Ints:
    """`chains` of rows in any order, of which unit and `at` above `low` share a key: `at` its `bits`.

    Unit comes before time, so that what the sweep keeps of a unit stays in the cache; memory is used
    again, since fresh pages cost as much as sorting does.
    """
    rows, time = len(unit), (np.int64(1) << bits) - 1
    keys = np.empty(rows, np.int64)
    for i in range(rows):
        keys[i] = (unit[i] << bits) | (at[i] - low)
    here, by = order(keys, 0)
    for i in range(rows):
        keys[i], here[i] = here[i] >> bits, (here[i] & time) + low
    held = hold[by] if len(hold) > 0 else hold
    number = chains(keys, here, held, units, gap, day_length, early)
    for i in range(rows):
        keys[by[i]] = number[i]
    return keys


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def latest_before(
    group: Ints, at: Ints, groups: Ints, ats: Ints, by: Ints, bys: Ints, size: int
) -> Ints:
    """Position of the latest candidate of each row's group that is not after it, else -1.

    `by` and `bys` are positions in order of time, or empty where the rows are already.
    """
    rows, candidates = len(group), len(groups)
    latest = np.full(size, np.int64(-1))
    found = np.empty(rows, np.int64)
    sorted_rows, sorted_candidates = len(by) == 0, len(bys) == 0
    j = 0
    for i in range(rows):
        row = i if sorted_rows else by[i]
        now = at[row]
        while j < candidates:
            candidate = j if sorted_candidates else bys[j]
            if ats[candidate] > now:
                break
            latest[groups[candidate]] = candidate
            j += 1
        found[row] = latest[group[row]]
    return found
