"""The scrapes of one target, taken one after the other out of the bytes as they come."""

import re

import numpy as np
import numpy.typing as npt

from transforms.sources import scrape_loops
from transforms.sources.scrape_cells import Walked
from transforms.sources.scrape_targets import Target

MOST_AT_ONCE = 4096
NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INFINITE = re.compile(rb"(?i:[+-]?inf(?:inity)?)")
NAN = re.compile(rb"(?i:[+-]?nan)")


def most_at_once(target: Target) -> int:
    """Scrapes whose values are held in one piece."""
    return max(1, MOST_AT_ONCE * 64 // len(target.shape.names))


class Walk:
    """Room for the values of up to `most` scrapes, and how many it holds."""

    def __init__(self, target: Target, most: int) -> None:
        slots = len(target.shape.names)
        self._target = target
        self._values = np.empty((most, slots))
        self._places = np.empty((most, 3), np.int64)
        self._is_bad = np.zeros(most, np.bool_)
        self._odd = np.empty((slots + 64, 4), np.int64)
        self._done, self._before = 0, 0
        self.is_full = False

    @classmethod
    def begun(cls, target: Target, most: int) -> "Walk | None":
        """None where there may be more scrapes than are held in one piece."""
        return cls(target, most) if most <= most_at_once(target) else None

    def go_on(self, data: npt.NDArray[np.uint8], at: int = 0) -> tuple[int, int]:
        """Take the scrapes that begin at `at`: how many, and where in `data` the first other begins.

        Where a scrape lies is counted from the end of what was taken before.
        """
        target, shape, first = self._target, self._target.shape, self._done
        done, odds, end = scrape_loops.walk(
            data,
            at,
            shape.fixed,
            shape.cuts,
            shape.label_of,
            target.labels,
            target.label_cuts,
            shape.is_stamped,
            target.may_repeat,
            self._values[first:],
            self._places[first:],
            self._odd,
        )
        for scrape, slot, begin, stop in self._odd[:odds].tolist():
            value = _odd(data[begin:stop].tobytes())
            self._is_bad[first + scrape] |= value is None
            self._values[first + scrape, slot] = np.nan if value is None else value
        self._places[first : first + done, 1:] += self._before
        self._before += end - at
        self._done += done
        slots = len(shape.names)
        self.is_full = self._done == len(self._values) or odds + slots > len(self._odd)
        return done, end

    def walked(self) -> Walked:
        """What was taken."""
        done = self._done
        values, places, is_bad = self._values[:done], self._places[:done], self._is_bad[:done]
        if done < len(self._values) // 2:
            values, places = values.copy(), places.copy()
        return Walked(self._target, places, values, is_bad)


def _odd(token: bytes) -> float | None:
    """A value by the exact reader's rules: NaN for none, None where it cannot be read."""
    if NUMBER.fullmatch(token):
        return float(token)
    if INFINITE.fullmatch(token):
        return float("-inf" if token.startswith(b"-") else "inf")
    return float("nan") if NAN.fullmatch(token) else None
