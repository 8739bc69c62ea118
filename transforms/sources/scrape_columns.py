"""Values of scrapes brought to the units of their tables, column by column, and judged on the way."""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def columns(
    values: Floats,
    begins: Ints,
    ranks: Ints,
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
    """Cells of one table out of the scrapes of one layout, those of a thing together.

    begins   where the scrapes of each walk begin in `values`, and after the last where they end
    ranks    (walks, rows): which of the walk's things, in the order of their keys, row r is
    slots    (columns, rows): which slot of the scrape fills the cell, -1 for none
    times, over, low, high  of each slot, `blanks` (slot, n) its raw values that say nothing
    into     (columns, cells): of each walk in turn, of each thing in turn, scrape by scrape
    is_bad   is set for each scrape that holds a value the quantity cannot have
    has_gap  is set for each column that has a cell without a value
    """
    rows = slots.shape[1]
    for w in range(len(begins) - 1):
        first, count = begins[w], begins[w + 1] - begins[w]
        for c in range(len(slots)):
            for r in range(rows):
                cell = first * rows + ranks[w, r] * count
                slot = slots[c, r]
                if slot < 0:
                    into[c, cell : cell + count] = np.nan
                    has_gap[c] = True
                    continue
                factor, part, least, most = times[slot], over[slot], low[slot], high[slot]
                for n in range(first, first + count):
                    raw = values[n, slot]
                    value = raw * factor / part
                    for b in range(blanks.shape[1]):
                        if raw == blanks[slot, b]:
                            value = np.nan
                    if np.isnan(value):
                        has_gap[c] = True
                    elif not (least <= value <= most and np.isfinite(value)):
                        is_bad[n] = True
                    into[c, cell + n - first] = value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def laid_out(begins: Ints, ranks: Ints, things: Ints, scrapes: Ints) -> None:
    """Of each cell of a column of `columns` its thing (walk * rows + r) and its scrape."""
    rows = ranks.shape[1]
    for w in range(len(begins) - 1):
        first, count = begins[w], begins[w + 1] - begins[w]
        for r in range(rows):
            cell = first * rows + ranks[w, r] * count
            for n in range(count):
                things[cell + n] = w * rows + r
                scrapes[cell + n] = first + n
