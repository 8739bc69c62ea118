"""Drawing whole nodes again, compiled by numba on first use and kept on disk.

A fleet's months by hall are hundreds of bootstraps of a thousand nodes and two thousand draws
each: half a billion nodes drawn, one after the other, and none of them kept. `availability` holds
the exact twin.
"""

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba
from transforms.reliability.draws import FIRST, GOLDEN, SECOND

Floats = npt.NDArray[np.float64]


@numba.njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def redrawn(times: Floats, draws: int, seed: int) -> Floats:
    """Sums of as many rows of `times` (three columns) as there are, drawn again: draws by 3.

    The k-th row of all is drawn by the k-th number of a splitmix64, so that draws can be made in
    any order; its upper half times the rows, cut down, is the row.
    """
    nodes = len(times)
    sums = np.empty((draws, 3))
    for d in numba.prange(draws):
        z0 = np.uint64(seed) + np.uint64(d) * np.uint64(nodes) * np.uint64(GOLDEN)
        up, down, planned = 0.0, 0.0, 0.0
        for _ in range(nodes):
            z0 += np.uint64(GOLDEN)
            z = (z0 ^ (z0 >> np.uint64(30))) * np.uint64(FIRST)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
            top = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
            row = np.int64((top * np.uint64(nodes)) >> np.uint64(32))
            up += times[row, 0]
            down += times[row, 1]
            planned += times[row, 2]
        sums[d, 0], sums[d, 1], sums[d, 2] = up, down, planned
    return sums
