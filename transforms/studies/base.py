"""What a study is: a question about reliability, put to the lake's tables, answered in rows.

A study is a pure function from frames to a frame. Whatever divides failures by exposure carries
how many failures, how much exposure, on which clock, by which definition, with which interval,
and whether the assumption behind the interval held (methods R-5, R-12, R-15).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from transforms.contract import Table
from transforms.definitions import REGISTRY
from transforms.exposure import CLOCKS
from transforms.mtbf import ALL, DEFAULT_DEFINITION
from transforms.reliability.coverage import ENOUGH


class RefusalError(ValueError):
    """The lake cannot answer this honestly; the message says why, and what would help."""


@dataclass(frozen=True)
class Asked:
    """What every study can be asked: days [since, until), what to count, and on which clock."""

    since: date | None = None
    until: date | None = None
    clock: str = "in_service"
    definition: str = DEFAULT_DEFINITION
    klass: str = ALL
    level: float = 0.95
    seed: int = 1
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise RefusalError(f"no clock {self.clock!r}: there are {', '.join(CLOCKS)}")
        if self.definition not in REGISTRY:
            raise RefusalError(
                f"no definition {self.definition!r}: there are {', '.join(REGISTRY)}"
            )
        if self.since and self.until and self.since >= self.until:
            raise RefusalError(f"no day lies in [{self.since}, {self.until})")
        if not 0.5 <= self.level < 1:
            raise RefusalError(f"a level of {self.level:g}: write 0.95 for 95 %")


@dataclass(frozen=True)
class Study:
    """One question. `by(asked, **frames)` gets each table of `reads` by name, for the days asked.

    needs    lists of the lake's settings (`calendar`), which it gets by their names
    columns  of large tables, by their names: those it will look at when asked this. Of a table
             that is not named it gets all.
    """

    name: str
    title: str
    reads: tuple[Table, ...]
    by: Callable[..., pl.DataFrame]
    needs: tuple[str, ...] = ()
    columns: Callable[[Asked], Mapping[str, Collection[str]]] = lambda asked: {}


def node_days_of(asked: Asked, *more: str) -> Mapping[str, Collection[str]]:
    """Of `exposure`, the largest table: whose day it is, the asked clock, and `more`."""
    return {"exposure": {"day", "cluster", "node", CLOCKS[asked.clock], *more}}


def number(asked: Asked, name: str, usual: float, least: float, most: float) -> float:
    """The option `name` as a number within [least, most]; `usual` where it is not given."""
    said = asked.options.get(name, "")
    try:
        value = float(said) if said else usual
    except ValueError:
        raise RefusalError(f"{name} {said!r} is no number") from None
    if not least <= value <= most:
        raise RefusalError(f"{name} {value:g}: give one from {least:g} to {most:g}")
    return value


def counted(failures: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """The failures that `asked` counts: its definition, its class."""
    rows = failures.filter(pl.col("definition").cast(pl.String) == asked.definition)
    if asked.klass == ALL:
        return rows
    known = sorted(failures["class"].cast(pl.String).unique())
    chosen = rows.filter(pl.col("class").cast(pl.String) == asked.klass)
    if chosen.is_empty() and asked.klass not in known:
        raise RefusalError(f"no failure of class {asked.klass!r}: seen are {', '.join(known)}")
    return chosen


def at_risk(exposure: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """`exposure` with `node_days` on the asked clock, refused where there is none."""
    rows = exposure.with_columns(node_days=pl.col(CLOCKS[asked.clock]) / 86_400_000)
    if not rows["node_days"].sum():
        raise RefusalError(
            f"no exposure on the {asked.clock} clock in the days asked: "
            "derive them, or give an inventory of nodes"
        )
    return rows


def last_known(fleet: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """cluster, node and `columns` of the fleet as each node last stood."""
    spells = fleet.sort("valid_from").group_by("cluster", "node", maintain_order=True)
    return spells.agg(pl.col(columns).last())


def watched_enough(exposure: pl.DataFrame, what: str) -> None:
    """Refuse to compare where too little of the commissioned time was observed (Q-8)."""
    wall, unseen = (float(exposure[name].sum()) for name in ("wall_ms", "unobserved_ms"))
    if (coverage := 1 - unseen / wall) < ENOUGH:
        raise RefusalError(
            f"{what}: {coverage:.1%} of its time was observed and {ENOUGH:.0%} are needed: "
            "`rates` gives bounds"
        )


def signed(answer: pl.DataFrame) -> pl.DataFrame:
    """`answer` with `detectors` beside `definition`: the versions of what classified its failures
    (drain reasons, agents' reports, boards' records), so that two answers can be told apart."""
    if "definition" not in answer.columns:
        return answer
    said = {one.id: one.detectors for one in REGISTRY.values()}
    versions = pl.col("definition").replace_strict(said, default=None, return_dtype=pl.String)
    return answer.with_columns(detectors=versions)
