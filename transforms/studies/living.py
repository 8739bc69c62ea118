"""What studies of age and time are asked, and the lives or units that answer them."""

from dataclasses import dataclass

import polars as pl

from transforms.lifetimes import (
    KINDS,
    first_failures,
    gpu_gaps,
    node_gaps,
    removals,
    repair_spells,
)
from transforms.lives import LABELS, Watched, gpus_watched, nodes_watched
from transforms.mtbf import ALL
from transforms.operating import instants, observed_since, observed_until
from transforms.studies.base import Asked, RefusalError, at_risk
from transforms.tables import derived as d
from transforms.tables import observed as o

FRAMES = (d.INCIDENTS, d.EXPOSURE, d.FLEET, d.REPAIRS, o.NODES, o.GPUS)
OF = ("first-failure", "between-failures", "repair", "removal")


@dataclass(frozen=True)
class Question:
    """What the options ask, checked."""

    unit: str
    of: str
    by: tuple[str, ...]
    at: str

    @staticmethod
    def of_options(asked: Asked) -> "Question":
        get = asked.options.get
        by = tuple(filter(None, get("by", "cluster").replace(",", " ").split()))
        asking = Question(get("unit", "node"), get("of", "first-failure"), by, get("at", ""))
        if asking.unit not in ("node", "gpu"):
            raise RefusalError(f"no unit {asking.unit!r}: there are node, gpu")
        if asking.of not in OF:
            raise RefusalError(f"no life {asking.of!r}: there are {', '.join(OF)}")
        if asking.unit == "gpu" and asking.of == "repair":
            raise RefusalError("repairs are known of nodes alone: leave out --unit gpu")
        if asked.clock == "allocated" and (asking.unit, asking.of) != ("node", "between-failures"):
            raise RefusalError(
                f"ages run on the wall clock; allocated is for {OF[1]} of nodes, not {asking.of}"
            )
        known = [*LABELS]
        known += KINDS if asking.of != "removal" else ()
        known += ["planned"] if asking.of == "repair" else []
        if strange := [name for name in by if name not in known]:
            raise RefusalError(
                f"cannot group by {', '.join(strange)}: there are {', '.join(known)}"
            )
        if asking.of == "removal" and asked.klass != ALL:
            raise RefusalError("a removal has no class: leave out --class")
        return asking

    @property
    def kinds(self) -> list[str]:
        return [name for name in self.by if name in KINDS]


def watch(asked: Asked, unit: str, frames: dict[str, pl.DataFrame]) -> Watched:
    """The units of a lake under watch from its first to its last instant asked for."""
    exposure = frames["exposure"]
    at_risk(exposure, asked)
    since, until = observed_since(exposure), observed_until(exposure)
    klass = None if asked.klass == ALL else asked.klass
    events = instants(frames["incidents"], exposure, asked.definition, klass)
    if klass and events.is_empty():
        raise RefusalError(f"no failure of class {klass!r} counts in the days asked")
    if unit == "node":
        return nodes_watched(frames["fleet"], frames["nodes"], events, since, until)
    if frames["gpus"].is_empty():
        raise RefusalError(
            "no GPU is known by serial: ingest an inventory of GPUs, or nvidia-smi -q -x"
        )
    return gpus_watched(frames["gpus"], frames["fleet"], events, since, until)


def lives_of(
    asked: Asked, asking: Question, frames: dict[str, pl.DataFrame]
) -> tuple[pl.DataFrame, str, int]:
    watched = watch(asked, asking.unit, frames)
    until = observed_until(frames["exposure"])
    match asking.of:
        case "first-failure":
            return first_failures(watched, asking.kinds), "wall", watched.strays
        case "removal":
            return removals(watched), "wall", 0
        case "repair":
            spells = repair_spells(
                frames["repairs"], frames["incidents"], watched, until, "planned" in asking.by
            )
            if asked.klass != ALL:
                spells = spells.filter(pl.col("class") == asked.klass)
            return spells, "wall", 0
        case _ if asking.unit == "gpu":
            return gpu_gaps(watched, asking.kinds), "wall", watched.strays
        case _:
            gaps = node_gaps(watched, at_risk(frames["exposure"], asked), asking.kinds, until)
            return gaps, asked.clock, watched.strays + watched.hits.height - gaps.height
