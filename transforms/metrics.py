"""The one table of metrics: canonical name, unit, kind, range, and every name sources give it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "code"]


@dataclass(frozen=True)
class Metric:
    """One column of a sample table.

    names maps each source's metric name to the factor that brings its value to `unit`.
    low..high is the physically possible range in `unit`: a value outside is a reject.
    """

    name: str
    table: str
    unit: str
    kind: Kind
    meaning: str
    names: tuple[tuple[str, float], ...]
    low: float = float("-inf")
    high: float = float("inf")


METRICS: Sequence[Metric] = ()
