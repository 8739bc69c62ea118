"""Which nodes are really worse than their fleet, and is taking one out worth it (R-11, D-1)?

Each unit's failures over the last 90 days that it was at risk are weighed against the spread of
the whole fleet (gamma-Poisson). Counted are incidents rooted on the unit, so a node does not look
bad for having stood in a job that another one stopped. The prior is fitted to all units, leaving
out the incident that a unit is out of service for just now. A unit that was taken out has no
exposure, so its window ends where it went: its score freezes and does not improve.

    p_lemon       P(its rate > 3 x the fleet's), the rank; `surely` is its 5 % quantile
    p_chance      as many failures or more on an ordinary node (Poisson); over many units only
                  Benjamini-Hochberg at 10 % makes that evidence
    p_signals     the same with what `signals` names beside it, by Fisher's combination
    tier          suspects whose intervals overlap share one: do not rank them 1st, 2nd, 3rd
    net_gpu_hours P(lemon) x failures beyond an ordinary unit's in the next 28 days x GPU-hours
                  lost per failure of its classes, less a drain and test

Where the fleet shows no spread beyond chance the rows say so, and nobody is flagged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from transforms.node_days import NodeDays, dates
from transforms.studies.base import (
    Asked,
    RefusalError,
    Study,
    at_risk,
    counted,
    last_known,
    number,
)
from transforms.studies.gpu_spells import NODE, days_at_risk, hits, spells
from transforms.studies.lemons import judged
from transforms.studies.signals import COUNTS, signals
from transforms.tables import derived as d
from transforms.tables import observed as o

UNITS = ("node", "gpu", "rack", "leaf_switch")
DAYS = 90
FEWEST_OF_A_CLASS = 5


def suspects(
    asked: Asked,
    *,
    failures: pl.DataFrame,
    exposure: pl.DataFrame,
    incidents: pl.DataFrame,
    repairs: pl.DataFrame,
    interruptions: pl.DataFrame,
    gpu_time: pl.DataFrame,
    run_attempts: pl.DataFrame,
    fleet: pl.DataFrame,
    gpus: pl.DataFrame,
) -> pl.DataFrame:
    """One row per unit still in the fleet, likeliest lemon first.

    Options: unit (one of UNITS), days (90), times (3), test_hours (8), top (rows; 0 for all).
    """
    unit = asked.options.get("unit", "node")
    if unit not in UNITS:
        raise RefusalError(f"no unit {unit!r}: there are {', '.join(UNITS)}")
    days = int(number(asked, "days", DAYS, 1, 10_000))
    window = _Window.of(at_risk(exposure, asked), fleet, days)
    risk, first, final = window.risk, window.first, window.final
    seen = window.placed(window.met(counted(failures, asked)))
    wanted = window.met(incidents.filter(pl.col("node") != ""))
    ours = wanted.filter(pl.col("counts"), pl.col("definition").cast(pl.String) == asked.definition)
    if asked.klass != "all":
        ours = ours.filter(pl.col("class").cast(pl.String) == asked.klass)
    going_on = repairs.filter(pl.col("up_again").is_null() & ~pl.col("planned"))
    others = wanted.filter(~pl.col("counts"))
    lately = repairs.filter(pl.col("day").is_between(first, final))
    shown = signals(
        ours,
        others,
        lately,
        interruptions.filter(pl.col("day").is_between(first, final)),
        run_attempts.filter(pl.col("ended").dt.date().is_between(first, final)),
    )
    lost = _losses(ours, gpu_time)
    open_now = ours.filter(pl.col("incident").is_in(going_on["incident"].drop_nulls().implode()))
    if unit == "gpu":
        rows = _of_gpus(risk, ours, open_now, lost, gpus)
    else:
        rows = _of_places(unit, risk, seen, open_now, ours, lost, shown)
    out = going_on.select(*NODE).unique().with_columns(is_open=pl.lit(True))
    return judged(asked, rows, unit, out, final)


@dataclass(frozen=True)
class _Window:
    """Each node's last days up to the last one in service.

    risk    its rows of exposure, with last (that day), has_left, is_in and leaf_switch
    is_met  by row of `grid`, whether it is one of them and at risk: a failure on a day without
            exposure has nothing to be divided by (on the allocated clock, of an idle node)
    homes   leaf_switch by number of node, as last known
    """

    risk: pl.DataFrame
    first: date
    final: date
    grid: NodeDays
    is_met: np.ndarray
    homes: pl.Series

    @staticmethod
    def of(risk: pl.DataFrame, fleet: pl.DataFrame, days: int) -> "_Window":
        grid = NodeDays.of(risk)
        _, last = grid.span(grid.rows["in_service_ms"].to_numpy() > 0)
        final = int(grid.span()[1].max())
        is_inside, numbers = np.zeros(grid.rows.height, bool), [np.zeros(0, np.int64)]
        for one in grid.stretches:
            until, here = last[one.nodes], one.grid(is_inside)
            here[:] = (until >= 0) & (one.days[:, None] > until - days)
            numbers.append(np.broadcast_to(one.nodes, here.shape)[here])
        mine = np.concatenate(numbers)
        known = last_known(fleet, "leaf_switch")
        homes = grid.nodes.join(known, on=NODE, how="left", maintain_order="left")["leaf_switch"]
        rows = grid.rows.filter(pl.Series(is_inside)).with_columns(
            last=dates(last[mine]),
            has_left=pl.Series((grid.span()[1] < final)[mine]),
            is_in=pl.Series((last == final)[mine]),
            leaf_switch=homes.gather(mine),
        )
        is_met = is_inside & (grid.rows["node_days"].to_numpy() > 0)
        if not isinstance(first := rows["day"].min(), date):
            raise RefusalError("no node was in service on the days asked: there is none to judge")
        return _Window(rows, first, dates(np.array([final]))[0], grid, is_met, homes)

    def met(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of `rows` (cluster, node, day) that fell into the window."""
        some = rows.filter(pl.col("day").is_between(self.first, self.final))
        row = self.grid.of_rows(some)
        return some.filter(pl.Series((row >= 0) & self.is_met[row]))

    def placed(self, met: pl.DataFrame) -> pl.DataFrame:
        """`met` rows with the rack of their node on the day, and its leaf_switch."""
        rack = self.grid.at(self.grid.of_rows(met), ["rack"])["rack"]
        return met.with_columns(rack, self.homes.gather(self.grid.numbers(met)))


def _losses(ours: pl.DataFrame, gpu_time: pl.DataFrame) -> pl.DataFrame:
    """GPU-hours that each class's failures took on average; a rare class takes the mean of all."""
    if gpu_time.is_empty():
        return pl.DataFrame(schema={"class": pl.String, "hours_lost": pl.Float64})
    spent = (
        gpu_time.join(ours.select("incident"), on="incident", how="semi")
        .group_by("incident")
        .agg(hours=pl.col("gpu_ms").sum() / 3_600_000)
    )
    each = ours.join(spent, on="incident", how="left").select(
        pl.col("class").cast(pl.String), pl.col("hours").fill_null(0.0)
    )
    mean = each["hours"].mean() if each.height else 0.0
    return each.group_by("class").agg(
        hours_lost=pl.when(pl.len() >= FEWEST_OF_A_CLASS)
        .then(pl.col("hours").mean())
        .otherwise(pl.lit(mean))
    )


def _hours_lost(keys: Sequence[str], placed: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """Mean GPU-hours per failure over the classes of each unit's own failures."""
    told = placed.with_columns(pl.col("class").cast(pl.String)).join(lost, on="class", how="left")
    return told.group_by(keys).agg(pl.col("hours_lost").mean())


def _exposed(keys: Sequence[str], risk: pl.DataFrame, final: date) -> pl.DataFrame:
    now = risk.filter(pl.col("day") == pl.col("last"))
    size = now.group_by(keys).agg(nodes=pl.len(), gpus=pl.col("gpus").cast(pl.Int64).sum())
    return (
        risk.group_by(keys)
        .agg(
            pl.col("node_days").sum(),
            *([] if "rack" in keys else [pl.col("rack").last()]),
            wall=pl.col("wall_ms").sum(),
            unobserved=pl.col("unobserved_ms").sum(),
            has_left=pl.col("has_left").all(),
            is_in=pl.col("is_in").any(),
        )
        .join(size, on=keys, how="left")
    )


def _of_places(
    unit: str,
    risk: pl.DataFrame,
    seen: pl.DataFrame,
    open_now: pl.DataFrame,
    ours: pl.DataFrame,
    lost: pl.DataFrame,
    shown: pl.DataFrame,
) -> pl.DataFrame:
    keys = ["cluster", unit]
    homes = risk.select(*NODE, "rack", "leaf_switch").unique(NODE, keep="last")
    rows = _exposed(keys, risk.filter(pl.col(unit).is_not_null()), risk["day"].max())  # type: ignore[arg-type]
    if rows.is_empty():
        raise RefusalError(f"no node's {unit} is known: ingest an inventory that names it")
    parts = (
        seen.group_by(keys).agg(failures=pl.col("failures").cast(pl.Int64).sum()),
        open_now.join(homes, on=NODE).group_by(keys).agg(open=pl.len().cast(pl.Int64)),
        _hours_lost(keys, ours.join(homes, on=NODE), lost),
        shown.join(homes, on=NODE).group_by(keys).agg(pl.col(COUNTS).sum()),
    )
    for part in parts:
        rows = rows.join(part, on=keys, how="left")
    return rows


def _of_gpus(
    risk: pl.DataFrame,
    ours: pl.DataFrame,
    open_now: pl.DataFrame,
    lost: pl.DataFrame,
    gpus: pl.DataFrame,
) -> pl.DataFrame:
    """Units are serials where they sit now; a serial keeps its failures when it moves."""
    first = risk["day"].min()
    found = spells(gpus).filter(
        pl.col("valid_to").is_null() | (pl.col("valid_to").dt.date() > first)
    )
    key = ["cluster", "serial"]
    on = hits(found, ours).join(ours.select("incident", "class"), on="incident")
    there = found.sort("valid_from").group_by(key, maintain_order=True).agg(
        pl.col("node", "place", "valid_to").last()
    )  # fmt: skip
    state = _exposed(NODE, risk, risk["day"].max())  # type: ignore[arg-type]
    rows = (
        days_at_risk(found, risk)
        .group_by(key)
        .agg(pl.col("node_days").sum())
        .join(there, on=key)
        .join(state.drop("node_days"), on=NODE)
        .with_columns(has_left=pl.col("has_left") | pl.col("valid_to").is_not_null())
        .drop("valid_to")
    )
    parts = (
        on.group_by(key).agg(failures=pl.len().cast(pl.Int64)),
        on.join(open_now.select("incident"), on="incident", how="semi")
        .group_by(key)
        .agg(open=pl.len().cast(pl.Int64)),
        _hours_lost(key, on, lost),
    )
    for part in parts:
        rows = rows.join(part, on=key, how="left")
    return rows.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTS)


STUDY = Study(
    name="suspects",
    title="The units that are really worse than their fleet, and what pulling one would save",
    reads=(
        *(d.FAILURES, d.EXPOSURE, d.INCIDENTS, d.REPAIRS, d.INTERRUPTIONS, d.GPU_TIME),
        *(d.RUN_ATTEMPTS, d.FLEET, o.GPUS),
    ),
    by=suspects,
)
