"""The hot loops over samples: one pass over rows that lie together by device, in order of time.

Compiled by numba on first use and kept on disk. `counters` and `rollups` say what the results
mean; their tests hold the exact twins, row by row in plain Python.
"""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]

FIRST, RESET, WRAP, FULL, OTHER_BOARD, TWICE = 1, 2, 4, 8, 16, 32
SAME_BOOT_S = 60.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def rises_of(
    at: Ints,
    value: Floats,
    device: Ints,
    boot: Floats,
    is_kept_on_board: bool,
    sticks_at: float,
    wraps_at: float,
    fastest: float,
    period: int,
) -> tuple[Floats, Ints, Marks]:
    """Rise, instant of the predecessor and marks of every row; the rules are those of `counters`."""
    rows = len(at)
    rise = np.full(rows, np.nan)
    since = np.full(rows, -1, np.int64)
    marks = np.zeros(rows, np.uint8)
    has_boot = len(boot) > 0
    before = -1  # row of the last value of this device
    booted = np.nan  # the boot last told of this device
    for i in range(rows):
        if i == 0 or device[i] != device[i - 1]:
            before = -1
            booted = np.nan
        v = value[i]
        if np.isnan(v):
            continue
        epoch = booted
        if has_boot and not np.isnan(boot[i]):
            epoch = boot[i]
        p = before
        if p >= 0 and period > 0 and at[p] < at[i] - at[i] % period - period:
            p = -1
        if p < 0:
            marks[i] = FIRST
        elif at[p] == at[i]:
            marks[i] = TWICE
            if v <= value[p]:
                rise[i] = 0.0
                since[i] = at[p]
                continue  # the larger stays the one to compare with
            rise[i] = v - value[p]
            since[i] = at[p]
        else:
            since[i] = at[p]
            was = value[p]
            is_new = not np.isnan(booted) and abs(epoch - booted) > SAME_BOOT_S
            if is_kept_on_board:
                if v < was:
                    marks[i] = OTHER_BOARD
                    since[i] = -1
                else:
                    rise[i] = v - was
            elif is_new:
                rise[i] = v
                marks[i] = RESET
            elif v >= was:
                rise[i] = v - was
                if v == sticks_at:
                    marks[i] = FULL
            elif wraps_at < np.inf and v + wraps_at - was <= fastest * (at[i] - at[p]):
                rise[i] = v + wraps_at - was
                marks[i] = WRAP
            else:
                rise[i] = v
                marks[i] = RESET
        before = i
        booted = epoch
    return rise, since, marks


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def spread_of(value: Floats, starts: Ints, orders: Floats) -> tuple[Ints, Floats]:
    """Count, then smallest, mean, largest and quantiles of each group of rows.

    Group g is the rows [starts[g], starts[g + 1]). NaN is no value; a group without any has NaN
    throughout. Quantiles are interpolated between neighbours, as numpy's default does.
    """
    groups = len(starts) - 1
    counts = np.zeros(groups, np.int64)
    found = np.full((3 + len(orders), groups), np.nan)
    widest = 0
    for g in range(groups):
        widest = max(widest, starts[g + 1] - starts[g])
    kept = np.empty(widest)
    for g in range(groups):
        n = 0
        total = 0.0
        is_even = True
        low_value = np.inf
        high_value = -np.inf
        for i in range(starts[g], starts[g + 1]):
            v = value[i]
            if not np.isnan(v):
                is_even = is_even and (n == 0 or v == kept[0])
                kept[n] = v
                total += v
                n += 1
                low_value = min(low_value, v)
                high_value = max(high_value, v)
        counts[g] = n
        if n == 0:
            continue
        if is_even:
            found[:, g] = kept[0]
            continue
        found[0, g] = low_value
        found[1, g] = total / n
        found[2, g] = high_value
        if len(orders) == 0:
            continue
        some = kept[:n]
        some.sort()
        for q in range(len(orders)):
            place = orders[q] * (n - 1)
            low = int(place)
            high = min(low + 1, n - 1)
            found[3 + q, g] = some[low] + (some[high] - some[low]) * (place - low)
    return counts, found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def ends_of(value: Floats, starts: Ints) -> tuple[Floats, Floats, Ints]:
    """First and last value of each group, and how often its value changed in between."""
    groups = len(starts) - 1
    first = np.full(groups, np.nan)
    last = np.full(groups, np.nan)
    changes = np.zeros(groups, np.int64)
    for g in range(groups):
        for i in range(starts[g], starts[g + 1]):
            v = value[i]
            if np.isnan(v):
                continue
            if np.isnan(first[g]):
                first[g] = v
            elif v != last[g]:
                changes[g] += 1
            last[g] = v
    return first, last, changes


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def sums_of(
    rise: Floats, at: Ints, since: Ints, marks: Marks, starts: Ints
) -> tuple[Floats, Ints, Ints, Ints]:
    """Of each group: the sum of rises (NaN without any), the time they were seen over (us),
    resets, and all marks together."""
    groups = len(starts) - 1
    total = np.full(groups, np.nan)
    covered = np.zeros(groups, np.int64)
    resets = np.zeros(groups, np.int64)
    union = np.zeros(groups, np.int64)
    for g in range(groups):
        for i in range(starts[g], starts[g + 1]):
            union[g] |= marks[i]
            if np.isnan(rise[i]):
                continue
            total[g] = rise[i] if np.isnan(total[g]) else total[g] + rise[i]
            covered[g] += at[i] - since[i]
            if marks[i] & RESET:
                resets[g] += 1
    return total, covered, resets, union
