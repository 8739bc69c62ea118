"""Many signs of trouble, few causes: signs of one unit that follow each other closely are one.

A chain ends where its unit stays silent for longer than the gap. A sign can also hold its chain
open for longer than that, until a stated instant (a node that is down has not gone silent).

    seconds   0  3  4  9  60  65  420  1000
    gap 5     [0  3  4  9][60 65][420][1000]      four
    gap 180   [0  3  4  9  60 65][420][1000]      three

Noise may never stop. A chain that only closeness keeps open, and that ran through the whole of a
UTC day, starts anew at the next midnight: without that rule one chattering link would swallow
every later failure of its node, and what one day says would depend on all days before it.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAY_MS = 86_400_000
LONGEST_GAP_MS = 3_600_000
"""Longest gap that anyone may ask for; a chain that shows itself this early in a day came from
the day before, whatever the gap, so that a longer gap never makes more chains."""


MANY = 200_000
"""Rows from which a sweep is worth loading compiled code for."""


def order(unit: Ints, at_ms: Ints) -> Ints:
    """Positions of the rows by unit, then time. One sort of one packed integer where it fits."""
    if len(unit) == 0:
        return np.empty(0, np.int64)
    low, first = int(at_ms.min()), int(unit.min())
    time_bits = (int(at_ms.max()) - low).bit_length()
    if (int(unit.max()) - first).bit_length() + time_bits <= 63:
        return np.argsort(((unit - first) << time_bits) | (at_ms - low), kind="stable")
    return np.lexsort((at_ms, unit))


def chains(unit: Ints, at_ms: Ints, gap_ms: int, hold_ms: Ints | None = None) -> Ints:
    """Number the chain of every row, from 0, in order of unit and time (methods 2.9).

    `unit` are non-negative ids, `at_ms` instants, `hold_ms` the instant up to which a row keeps
    its unit's chain open whatever the silence (below `at_ms`: not at all). Rows may come in any
    order, and equal instants belong together.
    """
    if gap_ms > LONGEST_GAP_MS:
        raise ValueError(f"a gap of {gap_ms} ms; at most {LONGEST_GAP_MS} ms can be told apart")
    if len(unit) == 0:
        return np.empty(0, np.int64)
    if len(unit) >= MANY and _is_dense(unit):
        return _swept(unit, at_ms, gap_ms, hold_ms)
    return chains_by_sorting(unit, at_ms, gap_ms, hold_ms)


def _is_dense(*units: Ints) -> bool:
    """True where ids are so small that a table by id costs no more memory than the rows."""
    rows = sum(map(len, units))
    return all(int(u.min()) >= 0 and int(u.max()) <= 4 * rows for u in units if len(u))


def _in_time(at: Ints) -> bool:
    return bool((at[1:] >= at[:-1]).all())


def _swept(unit: Ints, at_ms: Ints, gap_ms: int, hold_ms: Ints | None) -> Ints:
    from transforms import sweep  # compiled code: loaded where it pays

    hold = np.empty(0, np.int64) if hold_ms is None else hold_ms
    rules = int(unit.max()) + 1, gap_ms, DAY_MS, LONGEST_GAP_MS
    if _in_time(at_ms):
        return sweep.chains(unit, at_ms, hold, *rules)
    low = int(at_ms.min())
    bits = (int(at_ms.max()) - low).bit_length()
    if int(unit.max()).bit_length() + bits <= 63:
        return sweep.shuffled_chains(unit, at_ms, hold, low, bits, *rules)
    by = np.argsort(at_ms, kind="stable")
    numbers = np.empty(len(by), np.int64)
    numbers[by] = sweep.chains(unit[by], at_ms[by], hold[by] if len(hold) else hold, *rules)
    return numbers


def chains_by_sorting(unit: Ints, at_ms: Ints, gap_ms: int, hold_ms: Ints | None = None) -> Ints:
    """`chains` for few rows or wild ids: by sorting, without compiled code."""
    by = order(unit, at_ms)
    starts = _starts(unit[by], at_ms[by], gap_ms, None if hold_ms is None else hold_ms[by])
    numbers = np.empty(len(by), np.int64)
    numbers[by] = np.cumsum(starts) - 1
    return numbers


def _starts(unit: Ints, at: Ints, gap_ms: int, hold: Ints | None) -> Bools:
    """True where a chain begins, for rows sorted by unit and time."""
    new_unit = np.empty(len(unit), bool)
    new_unit[0] = True
    np.not_equal(unit[1:], unit[:-1], out=new_unit[1:])
    near = np.zeros(len(unit), bool)
    near[1:] = (at[1:] - at[:-1]) <= gap_ms
    near &= ~new_unit
    held = np.zeros(len(unit), bool) if hold is None else _held(new_unit, at, hold)
    linked = near | held
    return ~linked | (_endless(new_unit, at, linked, held) & ~held)


def _held(new_unit: Bools, at: Ints, hold: Ints) -> Bools:
    """True where an earlier row of the same unit holds the chain open until this row."""
    held = np.zeros(len(at), bool)
    # Rows that hold nothing are the rule: only units that have a holding row are looked at.
    number = np.cumsum(new_unit) - 1
    rows = np.flatnonzero(np.isin(number, np.unique(number[hold > at])))
    if len(rows) == 0:
        return held
    # One running maximum over all units: each unit's instants are lifted above the unit before.
    low = int(at[rows].min())
    width = int(max(at[rows].max(), hold[rows].max())) - low + 1
    rank = np.unique(number[rows], return_inverse=True)[1]
    if width * (int(rank[-1]) + 2) >= 2**63:
        raise ValueError("instants too far apart to be compared")
    lift = rank * width - low
    reach = np.maximum.accumulate(np.maximum(hold[rows], at[rows]) + lift)
    held[rows[1:]] = (at[rows[1:]] + lift[1:] <= reach[:-1]) & ~new_unit[rows[1:]]
    return held


def _endless(new_unit: Bools, at: Ints, linked: Bools, held: Bools) -> Bools:
    """True at a day's first row if its chain ran unbroken through the whole day before."""
    day = at // DAY_MS
    first = new_unit.copy()
    first[1:] |= day[1:] != day[:-1]
    firsts = np.flatnonzero(first)
    # Was the chain already running when the day began?
    entered = (at[firsts] - day[firsts] * DAY_MS <= LONGEST_GAP_MS) | held[firsts]
    breaks = np.add.reduceat((~linked & ~first).astype(np.int64), firsts)
    cut = np.zeros(len(at), bool)
    cut[firsts[1:]] = entered[:-1] & (breaks[:-1] == 0) & linked[firsts[1:]]
    return cut


def chains_slowly(
    unit: list[int], at_ms: list[int], gap_ms: int, hold_ms: list[int] | None = None
) -> list[int]:
    """`chains` one row at a time: the definition, against which the fast one is tested."""
    holds = hold_ms or [-(2**62)] * len(unit)
    rows = sorted(range(len(unit)), key=lambda i: (unit[i], at_ms[i]))
    numbers = [0] * len(unit)
    number, previous, reach = -1, -1, 0
    day_entered = day_unbroken = False
    for i in rows:
        u, at = unit[i], at_ms[i]
        day, since_midnight = divmod(at, DAY_MS)
        if previous < 0 or unit[previous] != u:
            number, starts, held, new_day = number + 1, False, False, True
            reach = at
        else:
            held = at <= reach
            starts = not (held or at - at_ms[previous] <= gap_ms)
            new_day = day != at_ms[previous] // DAY_MS
            if new_day and not starts and not held and day_entered and day_unbroken:
                number += 1
            number += starts
        if new_day:
            day_entered = since_midnight <= LONGEST_GAP_MS or held
            day_unbroken = True
        elif starts:
            day_unbroken = False
        reach = max(reach, holds[i], at)
        numbers[i], previous = number, i
    return numbers


def latest_before(group: Ints, at: Ints, groups: Ints, ats: Ints) -> Ints:
    """For each (group, at), the position in (groups, ats) of the latest row not after it; else -1.

    Of equal candidates the last one in the given order wins.
    """
    if len(groups) == 0 or len(group) == 0:
        return np.full(len(group), -1, np.int64)
    if len(group) + len(groups) >= MANY and _is_dense(group, groups):
        from transforms import sweep

        size = int(max(group.max(), groups.max())) + 1
        by, bys = (
            np.empty(0, np.int64) if _in_time(times) else np.argsort(times, kind="stable")
            for times in (at, ats)
        )
        return sweep.latest_before(group, at, groups, ats, by, bys, size)
    return latest_by_sorting(group, at, groups, ats)


def latest_by_sorting(group: Ints, at: Ints, groups: Ints, ats: Ints) -> Ints:
    """`latest_before` for few rows or wild ids: by sorting, without compiled code."""
    by = order(groups, ats)
    low = min(int(ats.min()), int(at.min()))
    bits = (max(int(ats.max()), int(at.max())) - low).bit_length()
    if int(max(groups.max(), group.max())).bit_length() + bits > 63:
        raise ValueError("instants too far apart to be compared")
    keys = ((groups << bits) | (ats - low))[by]
    found = np.searchsorted(keys, (group << bits) | (at - low), side="right") - 1
    positions = by[np.maximum(found, 0)]
    return np.where((found >= 0) & (groups[positions] == group), positions, -1)
