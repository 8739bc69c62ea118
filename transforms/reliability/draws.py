"""Random numbers that plain and compiled code draw alike: splitmix64 (Steele, Lea and Flood 2014).

Half a billion numbers of a bootstrap or of a shuffle are drawn in a compiled loop, few of them
without: a test on few holds both to the same rows only if both draw the same numbers. The k-th
number needs none of those before it, so they may be drawn in any order, on any core.
"""

import numpy as np
import numpy.typing as npt

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The steps of splitmix64; compiled code has them as well."""

UInts = npt.NDArray[np.uint64]


def seed_of(rng: np.random.Generator) -> int:
    """A seed that leaves room to count on from it."""
    return int(rng.integers(0, 1 << 63))


def upper_halves(seed: int, count: int) -> UInts:
    """The upper 32 bits of the first `count` numbers of `seed`."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(32)


def below(halves: UInts, limit: UInts | int) -> npt.NDArray[np.int64]:
    """Whole numbers of [0, limit), as even as 32 bits make them, for limits below 2**32.

    Of two numbers one is likelier by no more than limit / 2**32: far below what draws can show.
    """
    return ((halves * np.asarray(limit, np.uint64)) >> np.uint64(32)).astype(np.int64)
