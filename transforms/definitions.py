"""What a failure is, by name: rates of different definitions refuse to be divided (methods R-15).

Two papers of one cluster imply 21 to 24 and 6.5 failures per 1000 node-days. Each is right under
its own definition; one over the other is wrong by 3.6 times. So a rate carries its definition,
clock and classes, and only a rate of the same three can be compared with it.
"""

from dataclasses import dataclass

from transforms.boards import BOARDS_VERSION
from transforms.catalogue import REASONS_VERSION
from transforms.cluster_reasons import CLUSTER_REASONS_VERSION
from transforms.comparison import RateRatio, rate_ratio
from transforms.exposure import CLOCKS


@dataclass(frozen=True)
class Definition:
    """One way to count failures. Periods differ between rates; these do not."""

    id: str
    meaning: str
    coalescing_gap_s: int | None
    attributed_from_s: int
    attributed_until_s: int
    exposure: str
    detectors: str


REGISTRY = {
    definition.id: definition
    for definition in (
        Definition(
            id="coalesced-180s",
            meaning="bursts of one node with at most 180 s of silence inside are one failure, "
            "bursts of one domain or job joined (methods 2.9)",
            coalescing_gap_s=180,
            attributed_from_s=-600,
            attributed_until_s=300,
            exposure="fleet inventory less the states in node_states and outages",
            detectors=f"reasons {REASONS_VERSION}, reports {CLUSTER_REASONS_VERSION}, "
            f"boards {BOARDS_VERSION}",
        ),
        Definition(
            id="as-recorded",
            meaning="each recorded outage is one failure",
            coalescing_gap_s=None,
            attributed_from_s=-600,
            attributed_until_s=300,
            exposure="fleet inventory less the states in node_states and outages",
            detectors="whoever recorded the outages",
        ),
    )
}


class DefinitionMismatchError(ValueError):
    """Two rates do not count the same thing."""


@dataclass(frozen=True)
class DefinedRate:
    """A rate that knows what it counts; `classes` is 'all' or the classes that were counted."""

    failures: int
    node_days: float
    definition: str
    clock: str
    classes: str | frozenset[str] = "all"

    def __post_init__(self) -> None:
        if self.definition not in REGISTRY:
            raise ValueError(
                f"no definition {self.definition!r}; known are {', '.join(REGISTRY)} "
                "(transforms/definitions.py)"
            )
        if self.clock not in CLOCKS:
            raise ValueError(f"no clock {self.clock!r}: there are {', '.join(CLOCKS)}")

    def __truediv__(self, other: "DefinedRate") -> RateRatio:
        """Exact ratio of the two rates, or a refusal that names all that differs."""
        return self.over(other)

    def over(self, other: "DefinedRate", level: float = 0.95) -> RateRatio:
        """The same with limits of `level`."""
        if not isinstance(other, DefinedRate):
            raise TypeError(
                f"{other!r} does not say what it counts: only a rate with its definition can be "
                "divided by"
            )
        differences = [
            f"{name} {ours!r} against {theirs!r}"
            for name in ("definition", "clock", "classes")
            if (ours := getattr(self, name)) != (theirs := getattr(other, name))
        ]
        gap, other_gap = (REGISTRY[rate.definition].coalescing_gap_s for rate in (self, other))
        if gap != other_gap:
            differences.append(f"coalescing gap {_seconds(gap)} against {_seconds(other_gap)}")
        if differences:
            raise DefinitionMismatchError(
                f"these rates do not count the same thing: {'; '.join(differences)}. "
                "Definitions are in transforms/definitions.py."
            )
        return rate_ratio(self.failures, self.node_days, other.failures, other.node_days, level)


def _seconds(gap: int | None) -> str:
    return "none" if gap is None else f"{gap} s"
