"""Exact quantiles of very many whole numbers, without sorting them.

What exporters print is a whole number of parts (see `scaling`), and those of an hour span few: they
are counted in two sweeps, first by their high bits, then what shares them with a wanted one. The
slow twin is `sorted(values)[rank]`.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from transforms.compiled import numba

Wholes = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
BINS = 4096
"""So many counters stay in the processor's nearest memory."""


def rank(order: float, count: int) -> int:
    """Which of `count` sorted values is the quantile of this order (0 to 1): the first that at least
    that share of them does not exceed, as SQL's percentile_disc has it. The order is the decimal
    that it is written as: 0.07 of 100 values are 7, which the double next to it would make 8."""
    if not 0 <= order <= 1:
        raise ValueError(f"a quantile's order is from 0 to 1, not {order:g}")
    return max(1, math.ceil(Fraction(repr(float(order))) * count)) - 1


def order_statistics(parts: Sequence[Wholes], ranks: Sequence[int]) -> list[int]:
    """The values of these ranks (from 0) among all numbers of the parts, which are not empty.

    ValueError where the least and the largest are 2^63 apart: those of 18 digits never are.
    """
    low = min(int(part.min()) for part in parts)
    span = max(int(part.max()) for part in parts) - low
    if span >= 2**63:
        raise ValueError(f"numbers {span} apart cannot be counted")
    shift = max(0, span.bit_length() - (BINS - 1).bit_length())
    counts = np.zeros(BINS, np.int64)
    for part in parts:
        count(part, low, shift, counts)
    ends = np.cumsum(counts)
    bins = np.searchsorted(ends, np.asarray(ranks), side="right")
    if shift == 0:
        return [low + int(one) for one in bins]
    found: dict[int, int] = {}
    for one in np.unique(bins):
        kept = np.empty(counts[one], np.int64)
        at = 0
        for part in parts:
            at = keep(part, low, shift, one, kept, at)
        before = int(ends[one] - counts[one])
        wanted = [rank - before for rank, of in zip(ranks, bins, strict=True) if of == one]
        kept.partition(sorted(set(wanted)))
        found |= {before + n: int(kept[n]) for n in wanted}
    return [found[rank] for rank in ranks]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count(values: Wholes, low: int, shift: int, counts: Ints) -> None:
    """Count values by what is left of their distance to `low` without its lowest `shift` bits."""
    for value in values:
        counts[(np.int64(value) - low) >> shift] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def keep(values: Wholes, low: int, shift: int, wanted: int, kept: Ints, at: int) -> int:
    """Put the values that `count` has counted as `wanted` into `kept` from `at` on; where it ends."""
    for value in values:
        if (np.int64(value) - low) >> shift == wanted:
            kept[at] = value
            at += 1
    return at
