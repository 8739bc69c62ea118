"""The loop of `scatter`: failures strewn by chance over cells, compiled by numba on first use."""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Reals = npt.NDArray[np.float64]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def strewn(at: Reals, reach: Reals, expected: Reals) -> Reals:
    """As `scatter.strewn`, draw by draw: to the last bit, since cells are added up in their order.

    Cells are mostly alike in size, so a failure's is sought from where it would be if all were.
    """
    draws, failures = at.shape
    cells = len(reach)
    found = np.zeros(draws)
    count = np.zeros(cells, np.int64)
    for draw in range(draws):
        for failure in range(failures):
            place = at[draw, failure]
            cell = min(int(place * cells), cells - 1)
            if (cell > 0 and reach[cell - 1] > place) or reach[cell] <= place:
                cell = nearby(reach, place, cell)
            count[cell] += 1
        for cell in range(cells):
            if count[cell]:
                found[draw] += count[cell] * count[cell] / expected[cell]
                count[cell] = 0
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def nearby(reach: Reals, place: float, start: int) -> int:
    """The first cell that ends beyond `place`, or the last: some steps from `start`, then halving."""
    last = len(reach) - 1
    cell = start
    for _ in range(4):
        if cell > 0 and reach[cell - 1] > place:
            cell -= 1
        elif reach[cell] <= place and cell < last:
            cell += 1
        else:
            return cell
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        if reach[middle] > place:
            high = middle
        else:
            low = middle + 1
    return low
