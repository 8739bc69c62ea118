"""What a gap in observation may hide: it widens an interval, it never makes a number better (Q-2)."""

from dataclasses import dataclass

UNSEEN_TIMES = 3.0
"""How much worse than the seen time the unseen one may have been: nodes fall silent as they fail."""
ENOUGH = 0.95
"""Coverage below which a headline is printed with bounds only (Q-8)."""


@dataclass(frozen=True)
class Covered:
    """A rate per 1000 node-days of the seen time, and its bounds over all time commissioned."""

    per_1000_node_days: float
    coverage: float
    lo: float
    hi: float

    @property
    def is_enough(self) -> bool:
        return self.coverage >= ENOUGH


def rate_over_gaps(
    failures: int, seen_days: float, commissioned_days: float, times: float = UNSEEN_TIMES
) -> Covered:
    """Bounds when the unseen node-days had no failure, or `times` the seen rate.

    Raises ValueError unless 0 < seen <= commissioned.
    """
    if not 0 < seen_days <= commissioned_days:
        raise ValueError(f"seen {seen_days:g} of {commissioned_days:g} node-days: cannot be")
    rate, coverage = 1000 * failures / seen_days, seen_days / commissioned_days
    return Covered(
        per_1000_node_days=rate,
        coverage=coverage,
        lo=rate * coverage,
        hi=rate * (coverage + times * (1 - coverage)),
    )
