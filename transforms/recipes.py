"""How each derived table is made: the whole derivation on one page, in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from transforms import (
    exposure,
    failures,
    fleet,
    heard,
    idleness,
    incidents,
    ledger,
    repairs,
    rollups,
    runs,
    silences,
    verdicts,
)
from transforms.contract import Table
from transforms.ledger import in_use, paces
from transforms.ledger.lines import REACH_DAYS
from transforms.tables import derived as d
from transforms.tables import hourly as h
from transforms.tables import observed as o
from transforms.tables import samples as s

EVER = 36_500
"""Days around the window that amount to all there is."""


@dataclass(frozen=True)
class Window:
    """Whole UTC days (of hourly recipes: hours) [since, until) to derive, and the last instant
    anything was observed."""

    since: datetime
    until: datetime
    horizon: datetime


@dataclass(frozen=True)
class Recipe:
    """`by(window, **tables)` gives every table of `makes` by name, for the window's days.

    It reads `before` days ahead of the window and `after` days behind it; interval tables give
    every row that overlaps that stretch. The rows of one day never depend on which other days
    are in the window. Reading a derived table needs its recipe to stand earlier in RECIPES.
    """

    makes: tuple[Table, ...]
    reads: tuple[Table, ...]
    by: Callable[..., Mapping[str, pl.DataFrame]]
    before: int = 0
    after: int = 0
    is_hourly: bool = False
    is_by_metric: bool = False
    metrics: tuple[str, ...] = ()


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        makes=h.OF_SAMPLES,
        reads=s.ALL,
        by=rollups.hourly,
        is_hourly=True,
        is_by_metric=True,
        metrics=("boot_time_s",),
    ),
    Recipe(
        makes=(h.HEARD_HOURLY,),
        reads=s.ALL,
        by=heard.heard,
        is_hourly=True,
        metrics=("boot_time_s",),
    ),
    Recipe(
        makes=(h.SILENCES,),
        reads=(h.HEARD_HOURLY,),
        by=silences.silences,
        before=1,
        after=silences.LOOK_AHEAD_DAYS,
    ),
    Recipe(
        makes=(h.IDLE_HOURLY,),
        reads=(s.GPU_SAMPLES,),
        by=idleness.idle_hours,
        is_hourly=True,
        metrics=idleness.METRICS,
    ),
    Recipe(
        makes=(h.IDLE_SPELLS,),
        reads=(h.IDLE_HOURLY,),
        by=idleness.idle_spells,
    ),
    Recipe(
        makes=(d.FLEET,),
        reads=(o.NODES, o.NODE_STATES, o.JOB_ATTEMPTS),
        by=fleet.fleet,
        before=EVER,
        after=EVER,
    ),
    Recipe(
        makes=(d.RUN_ATTEMPTS,),
        reads=(o.JOB_ATTEMPTS, o.RUN_MARKS, o.STEPS, o.CHECKPOINTS),
        by=runs.link,
        before=runs.REACH_DAYS,
        after=runs.REACH_DAYS,
    ),
    Recipe(
        makes=(d.GPU_USE,),
        reads=(d.RUN_ATTEMPTS, o.RUN_MARKS),
        by=in_use.gpu_use,
        before=in_use.LOOK_BACK_DAYS,
    ),
    Recipe(
        makes=(d.FIRST_STEPS,),
        reads=(d.RUN_ATTEMPTS, d.GPU_USE, o.STEPS),
        by=paces.first_steps,
        before=REACH_DAYS,
        after=1,
    ),
    Recipe(
        makes=(d.IDEAL_STEPS,),
        reads=(d.FIRST_STEPS,),
        by=paces.ideal_steps,
        before=EVER,
        after=REACH_DAYS,
    ),
    Recipe(
        makes=(d.INCIDENTS, d.INCIDENT_MEMBERS, d.INTERRUPTIONS, d.SENSITIVITY),
        reads=(
            o.KERNEL_EVENTS,
            o.BMC_EVENTS,
            o.CLUSTER_EVENTS,
            o.NODE_STATES,
            o.OUTAGES,
            h.SAMPLE_SIGNALS,
            h.SILENCES,
            d.RUN_ATTEMPTS,
            d.FLEET,
            o.GPUS,
            o.STEPS,
            o.CHECKPOINTS,
            o.RUN_MARKS,
        ),
        by=incidents.derive,
        before=incidents.CONTEXT_DAYS,
        after=incidents.CONTEXT_DAYS,
    ),
    Recipe(
        makes=(d.REPORT_VERDICTS,),
        reads=(o.CLUSTER_EVENTS, o.NODE_STATES),
        by=verdicts.verdicts,
    ),
    Recipe(
        makes=(d.EXPOSURE,),
        reads=(d.FLEET, o.NODE_STATES, o.OUTAGES, d.RUN_ATTEMPTS),
        by=exposure.exposure,
    ),
    Recipe(
        makes=(d.REPAIRS,),
        reads=(d.FLEET, o.NODE_STATES, o.OUTAGES, d.INCIDENTS),
        by=repairs.repairs,
        before=repairs.LOOK_BACK_DAYS,
        after=repairs.LOOK_AHEAD_DAYS,
    ),
    Recipe(
        makes=(d.FAILURES,),
        reads=(d.INCIDENTS, d.FLEET),
        by=failures.failures,
    ),
    Recipe(
        makes=(d.GPU_TIME, d.RUN_TIME, d.RUN_HOURS, d.RUN_TOKENS),
        reads=(
            d.FLEET,
            d.RUN_ATTEMPTS,
            d.GPU_USE,
            d.IDEAL_STEPS,
            o.NODE_STATES,
            o.STEPS,
            o.CHECKPOINTS,
            o.RUN_MARKS,
            d.INCIDENTS,
            d.INTERRUPTIONS,
            o.OUTAGES,
            h.IDLE_SPELLS,
        ),
        by=ledger.gpu_accounts,
        before=REACH_DAYS,
        after=REACH_DAYS,
    ),
)
