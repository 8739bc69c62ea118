"""Values of scrapes brought to the units of their tables, column by column, and judged on the way."""

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def columns(
    values: Floats,
    slots: Ints,
    times: Floats,
    over: Floats,
    low: Floats,
    high: Floats,
    blanks: Floats,
    into: Floats,
    is_bad: npt.NDArray[np.bool_],
    has_gap: npt.NDArray[np.bool_],
) -> None:
    """Cells of one table out of the scrapes of one layout: into[c, scrape * rows + r].

    slots    (columns, rows): which slot of the scrape fills the cell, -1 for none
    times, over, low, high  of each slot, `blanks` (slot, n) its raw values that say nothing
    is_bad   is set for each scrape that holds a value the quantity cannot have
    has_gap  is set for each column that has a cell without a value
    """
    rows = slots.shape[1]
    for c in range(len(slots)):
        for r in range(rows):
            slot = slots[c, r]
            if slot < 0:
                for n in range(len(values)):
                    into[c, n * rows + r] = np.nan
                has_gap[c] = True
                continue
            factor, part, least, most = times[slot], over[slot], low[slot], high[slot]
            for n in range(len(values)):
                raw = values[n, slot]
                value = raw * factor / part
                for b in range(blanks.shape[1]):
                    if raw == blanks[slot, b]:
                        value = np.nan
                if np.isnan(value):
                    has_gap[c] = True
                elif not (least <= value <= most and np.isfinite(value)):
                    is_bad[n] = True
                into[c, n * rows + r] = value
