"""Samples as whole numbers: exporters print few digits, and 643.217 W is 643217 parts of 1000.

A column is scaled only where dividing gives back every value bit for bit. A minus zero, an
infinity, a NaN or a number of too many digits leaves the whole column as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.metrics import Metric

Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int32] | npt.NDArray[np.int64]

MOST_PLACES = 9
SHORT, LONG = 9, 18
"""Digits that fit into 32 and into 64 bits."""
EXACT = 2**53
"""Up to here a whole number is a double; quotients of two such are rounded right everywhere."""
BLOCK = 16_384
MINUS_ZERO = np.iinfo(np.int64).min
UNIT_PLACES = {"W": 3, "J": 3, "ratio": 2, "s": 3}
LONG_UNITS = ("bytes", "bytes/s", "J", "s")
"""What their columns nearly always need: an idle hour then has the same types as a busy one."""


@dataclass(frozen=True)
class Scaled:
    """value = whole / 10 ** places, exactly; no |whole| has more than `digits` digits.

    whole  of 32 bits where `digits` is SHORT, else of 64
    """

    whole: Wholes
    places: int
    digits: int


def scaled(values: Floats, metric: Metric | None = None) -> Scaled | None:
    """`scaled_parts` of values that lie in one piece."""
    return scaled_parts([values], metric)


def scaled_parts(parts: Sequence[Floats], metric: Metric | None = None) -> Scaled | None:
    """The values as whole numbers with the fewest places after the point; None if inexact.

    `metric` says how many places and digits its unit has at least.
    """
    blocks = [part[i : i + BLOCK] for part in parts for i in range(0, len(part), BLOCK)]
    starts = np.cumsum([0, *map(len, blocks)])
    places = UNIT_PLACES.get(metric.unit, 0) if metric else 0
    is_long = metric is not None and metric.unit in LONG_UNITS
    whole: Wholes = np.empty(starts[-1], np.int64 if is_long else np.int32)
    done: dict[int, int] = {}
    rooms = np.empty((2, BLOCK))
    with np.errstate(all="ignore"):
        while behind := [n for n in range(len(blocks)) if done.get(n) != places]:
            for n in behind:
                part, again = rooms[:, : len(blocks[n])]
                while (largest := _whole(blocks[n], places, part, again)) is None:
                    places += 1
                    if places > MOST_PLACES:
                        return None
                if not is_long and largest >= 10**SHORT:
                    is_long, whole = True, whole.astype(np.int64)
                whole[starts[n] : starts[n + 1]] = part
                done[n] = places
    return Scaled(whole, places, LONG if is_long else SHORT)


def _whole(values: Floats, places: int, whole: Floats, again: Floats) -> float | None:
    """Fill `whole` with whole numbers that give these values back: the largest by size; or None.

    again  room for as many
    """
    power = 10.0**places
    if places:
        np.rint(np.multiply(values, power, out=whole), out=whole)
        np.divide(whole, power, out=again)
    else:
        again = np.rint(values, out=whole)  # what is whole already
    if not bool((again == values).all()):
        return None
    least, most = float(whole.min()), float(whole.max())
    if least <= 0 <= most and bool((values.view(np.int64) == MINUS_ZERO).any()):
        return None
    largest = max(-least, most)
    is_exact = largest <= EXACT or (not places and largest < 10.0**LONG)
    return largest if is_exact else None
