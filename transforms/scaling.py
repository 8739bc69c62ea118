"""Samples as whole numbers: exporters print few digits, and 643.217 W is 643217 parts of 1000.

A column is scaled only where dividing gives back every value bit for bit. A minus zero, an
infinity, a NaN or a number of too many digits leaves the whole column as it is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.metrics import Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
    """value = whole / 10 ** places, exactly; no |whole| has more than `digits` digits."""

    whole: Ints
    places: int
    digits: int


def scaled(values: Floats, metric: Metric | None = None) -> Scaled | None:
    """The values as whole numbers with the fewest places after the point; None if inexact.

    `metric` says how many places and digits its unit has at least.
    """
    places = UNIT_PLACES.get(metric.unit, 0) if metric else 0
    whole = np.empty(len(values), np.int64)
    starts = range(0, len(values), BLOCK)
    done: dict[int, int] = {}
    with np.errstate(all="ignore"):
        while behind := [start for start in starts if done.get(start) != places]:
            for start in behind:
                block = values[start : start + BLOCK]
                while (part := _whole(block, places)) is None:
                    places += 1
                    if places > MOST_PLACES:
                        return None
                whole[start : start + BLOCK] = part
                done[start] = places
    largest = max(abs(int(whole.min())), abs(int(whole.max()))) if len(whole) else 0
    is_long = largest >= 10**SHORT or (metric is not None and metric.unit in LONG_UNITS)
    return Scaled(whole, places, LONG if is_long else SHORT)


def _whole(values: Floats, places: int) -> Floats | None:
    """The whole numbers that give these values back, as floats; None where any does not."""
    power = 10.0**places
    whole = np.rint(values * power) if places else np.rint(values)
    again = whole / power if places else whole
    if not bool((again == values).all()) or bool((values.view(np.int64) == MINUS_ZERO).any()):
        return None
    largest = max(-float(whole.min()), float(whole.max())) if len(whole) else 0.0
    return whole if largest <= EXACT or (not places and largest < 10.0**LONG) else None
