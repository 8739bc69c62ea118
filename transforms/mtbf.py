"""How often things break: rates, their exact intervals, and what they say in other units.

A rate is failures over exposure, and neither can be averaged: the mean of two racks' MTBFs is
not the MTBF of two racks. So the lake keeps both parts, day by day, and divides last. Rates are
per 1000 node-days (methods R-1); intervals are exact for a Poisson count (R-2), 95 % two-sided
unless told otherwise. Where nothing failed, the rate is 0, its upper limit is what the silence
shows, and there is no MTBF: only its lower limit, which is the bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from transforms.exposure import CLOCKS
from transforms.poisson import count_limits
from transforms.reliability.availability import f_limits

DAY_MS = 86_400_000
DAYS_PER_YEAR = 365.25
DEFAULT_DEFINITION = "coalesced-180s"
ALL = "all"


@dataclass(frozen=True)
class Rate:
    """Failures over node-days, with limits; `mtbf_*` in node-days, nan without a failure."""

    failures: int
    node_days: float
    per_1000_node_days: float
    lo: float
    hi: float

    @property
    def mtbf_node_days(self) -> float:
        return self.node_days / self.failures if self.failures else math.nan

    @property
    def mtbf_lo(self) -> float:
        return 1000 / self.hi if self.hi else math.nan

    @property
    def mtbf_hi(self) -> float:
        return 1000 / self.lo if self.lo else math.nan


def rate(
    failures: int,
    node_days: float,
    level: float = 0.95,
    stopped_by: Literal["time", "failure"] = "time",
) -> Rate:
    """Failures per 1000 node-days with exact limits; `node_days` > 0 (R-1, R-2)."""
    if node_days <= 0:
        raise ValueError(f"a rate needs exposure, got {node_days} node-days")
    lower, upper = count_limits(failures, level, stopped_by)
    scale = 1000 / node_days
    return Rate(failures, node_days, failures * scale, float(lower) * scale, float(upper) * scale)


@dataclass(frozen=True)
class Units:
    """One rate in the units people use (R-4). `per_gpu_*` holds only for what scales with GPUs."""

    per_node_hour: float
    fit_per_node: float
    mtbf_node_days: float
    per_node_year: float
    annual_probability: float
    per_gpu_day: float
    fit_per_gpu: float


def units(per_node_day: float, gpus_per_node: int = 8) -> Units:
    """Convert a rate; FIT is per 1e9 hours, a year 365.25 days."""
    hourly = per_node_day / 24
    return Units(
        per_node_hour=hourly,
        fit_per_node=hourly * 1e9,
        mtbf_node_days=1 / per_node_day,
        per_node_year=per_node_day * DAYS_PER_YEAR,
        annual_probability=failure_probability(per_node_day, 1, DAYS_PER_YEAR),
        per_gpu_day=per_node_day / gpus_per_node,
        fit_per_gpu=hourly / gpus_per_node * 1e9,
    )


def failure_probability(per_node_day: float, nodes: int, days: float) -> float:
    """Probability that a job of `nodes` for `days` meets at least one failure (R-4)."""
    return -math.expm1(-per_node_day * nodes * days)


def mean_time_between(
    failures: int, time: float, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean and limits of the time between failures, in the unit of `time` (R-1).

    With a run's wall time this is its MTBI; with node-days a node's MTBF. Without a failure the
    mean and the upper limit are nan; the lower limit is the bound.
    """
    lower, upper = count_limits(failures, level)
    if not failures:
        return math.nan, time / float(upper), math.nan
    return time / failures, time / float(upper), time / float(lower)


@dataclass(frozen=True)
class Availability:
    """Share of the time up, with limits; mtbf and mttr in the unit given."""

    availability: float
    lo: float
    hi: float
    mtbf: float
    mttr: float


def availability(repairs: int, up: float, down: float, level: float = 0.95) -> Availability:
    """Interval availability from up and down time in one unit (R-6).

    The limits (F distribution) suppose roughly exponential up and repair times; without a
    repair they are nan.
    """
    share = up / (up + down)
    if not repairs:
        return Availability(share, math.nan, math.nan, math.nan, math.nan)
    low, high = f_limits(repairs, up, down, level)
    return Availability(
        availability=share,
        lo=float(low),
        hi=float(high),
        mtbf=up / repairs,
        mttr=down / repairs,
    )


def effective_share(between: float, recovery: float) -> dict[str, float]:
    """Share of useful time if `between` failures is meant on each clock (methods 0.3).

    wall: `between` includes the recovery; memoryless: failures can hit recovery too; uptime:
    `between` counts productive time alone. The three differ, so a report names its clock.
    """
    return {
        "wall": 1 - recovery / between,
        "memoryless": math.exp(-recovery / between),
        "uptime": between / (between + recovery),
    }


def down_bounds(last_ok_ms: int, first_ok_ms: int, period_ms: int) -> tuple[int, int, int]:
    """Shortest, middle and longest time (ms) a node can have been down between heartbeats (Q-3).

    It was lost within a period after the last good beat and back within one before the next.
    """
    longest = first_ok_ms - last_ok_ms
    shortest = max(0, longest - 2 * period_ms)
    return shortest, (shortest + longest) // 2, longest


def rates(
    failures: pl.DataFrame,
    exposure: pl.DataFrame,
    by: Sequence[str] = ("cluster",),
    clock: str | None = None,
    definition: str | None = None,
) -> pl.DataFrame:
    """Divide `failures` by `exposure` within each unit of `by`: the rate views of SQL, in Polars.

    `by` names columns of both tables, or `week` (the Monday). Gives by, class, clock,
    definition, failures, node_days, per_1000_node_days, _lo, _hi, mtbf_hours, _lo, _hi.
    Class 'all' is the total; node_days is the unit's whole exposure on every row, so never sum
    it over classes. A clock or definition given keeps that one alone. Failures of a unit
    without exposure stay, with nulls for rates.
    """
    by = list(by)
    scope = [name for name in by if name == "cluster"]
    counts = failures.select(
        *_units(failures, by), "class", "definition", pl.col("failures").cast(pl.UInt64)
    ).cast({"class": pl.String, "definition": pl.String})
    hours = exposure.select(*_units(exposure, by), *CLOCKS.values())
    units_seen = pl.concat([counts.select(by), hours.select(by)]).unique()
    # A definition is answered for a whole cluster, or not at all: no recorded outage means
    # that nobody recorded outages there, not that none happened.
    answered = pl.concat(
        [
            units_seen.select(*scope, pl.lit(DEFAULT_DEFINITION).alias("definition")),
            counts.select(*scope, "definition"),
        ]
    ).unique()
    total = counts.group_by(*by, "definition").agg(pl.col("failures").sum())
    every = units_seen.join(answered, on=scope) if scope else units_seen.join(answered, how="cross")
    totals = every.join(total, on=[*by, "definition"], how="left").with_columns(
        pl.lit(ALL).alias("class"), pl.col("failures").fill_null(0)
    )
    classes = counts.group_by(*by, "definition", "class").agg(pl.col("failures").sum())
    exposed = (
        hours.group_by(by)
        .agg(pl.col(column).sum().alias(name) for name, column in CLOCKS.items())
        .unpivot(on=list(CLOCKS), index=by, variable_name="clock", value_name="ms")
        .with_columns((pl.col("ms") / DAY_MS).alias("node_days"))
    )
    rows = (
        pl.concat([totals, classes], how="diagonal")
        .join(pl.DataFrame({"clock": list(CLOCKS)}), how="cross")
        .join(exposed.drop("ms"), on=[*by, "clock"], how="left")
        .with_columns(pl.col("node_days").fill_null(0.0))
    )
    if clock is not None:
        rows = rows.filter(pl.col("clock") == clock)
    if definition is not None:
        rows = rows.filter(pl.col("definition") == definition)
    order = [*by, "definition", "clock", pl.col("class") != ALL, "class"]
    return _divided(rows).select(*by, *RATE_COLUMNS).sort(order)


RATE_COLUMNS = (
    *("class", "clock", "definition", "failures", "node_days"),
    *("per_1000_node_days", "per_1000_node_days_lo", "per_1000_node_days_hi"),
    *("mtbf_hours", "mtbf_hours_lo", "mtbf_hours_hi"),
)


def _units(frame: pl.DataFrame, by: Sequence[str]) -> list[pl.Expr]:
    monday = pl.col("day").dt.truncate("1w").alias("week")
    return [monday if name == "week" else pl.col(name) for name in by]


def _divided(rows: pl.DataFrame) -> pl.DataFrame:
    """Add rates, MTBFs and their limits to rows with failures and node_days; null over nothing."""
    lower, upper = count_limits(rows["failures"].to_numpy())
    parts = rows.with_columns(pl.Series("lo", lower), pl.Series("hi", upper))
    at_risk = pl.when(pl.col("node_days") > 0)
    failed = pl.when((pl.col("node_days") > 0) & (pl.col("failures") > 0))

    def per_1000(count: str) -> pl.Expr:
        return at_risk.then(1000.0 * pl.col(count) / pl.col("node_days"))

    node_hours = pl.col("node_days") * 24.0
    return parts.with_columns(
        per_1000("failures").alias("per_1000_node_days"),
        per_1000("lo").alias("per_1000_node_days_lo"),
        per_1000("hi").alias("per_1000_node_days_hi"),
        failed.then(node_hours / pl.col("failures")).alias("mtbf_hours"),
        at_risk.then(node_hours / pl.col("hi")).alias("mtbf_hours_lo"),
        failed.then(node_hours / pl.col("lo")).alias("mtbf_hours_hi"),
    )
