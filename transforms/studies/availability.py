"""How much of the time is it up, and is that what was promised (R-6, S-6)?

Unplanned downtime counts against the inherent availability, all downtime against the operational
one. Unknown time is nobody's: two readings give it to either side, and where more than 5 % of the
time was not observed they are the answer, as bounds. Limits follow the F law where repairs look
exponential, and drawing whole nodes again where they do not.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import polars.selectors as cs

from transforms.fleet import ID
from transforms.node_days import NodeDays, dates
from transforms.operating import stood
from transforms.reliability.availability import (
    all_up,
    f_limits,
    looks_exponential,
    readings,
    redrawn_limits,
    short_points,
)
from transforms.reliability.coverage import ENOUGH
from transforms.studies.base import Asked, RefusalError, Study
from transforms.studies.rates import PERIODS, PLACES, by_columns, with_periods
from transforms.tables import derived as d

DAY_MS = 86_400_000
FEWEST_REPAIRS = 10
"""Below, nothing can be said of the law of repairs, and F is the wider choice."""
TIMES = {
    "up": "in_service_ms",
    "down": "down_ms",
    "planned": "planned_down_ms",
    "unknown": "unobserved_ms",
}

ANSWER: dict[str, type[pl.DataType]] = {
    "repairs": pl.Int64,
    "planned_repairs": pl.Int64,
    "node_days": pl.Float64,
    "up_days": pl.Float64,
    "down_days": pl.Float64,
    "planned_days": pl.Float64,
    "unknown_days": pl.Float64,
    "coverage": pl.Float64,
    "inherent": pl.Float64,
    "inherent_lo": pl.Float64,
    "inherent_hi": pl.Float64,
    "operational": pl.Float64,
    "operational_lo": pl.Float64,
    "operational_hi": pl.Float64,
    "unknown_as_up": pl.Float64,
    "unknown_as_down": pl.Float64,
    "mtbf_hours": pl.Float64,
    "mttr_hours": pl.Float64,
    "limits": pl.String,
    "assumption": pl.String,
}
PROMISE: dict[str, type[pl.DataType]] = {
    "promised": pl.Float64,
    "short_points": pl.Float64,
    "short_points_least": pl.Float64,
    "short_points_most": pl.Float64,
    "promise": pl.String,
}
JOB: dict[str, type[pl.DataType]] = {
    "job_nodes": pl.Int64,
    "all_up": pl.Float64,
    "all_up_lo": pl.Float64,
    "all_up_hi": pl.Float64,
}


def availability(asked: Asked, *, exposure: pl.DataFrame, repairs: pl.DataFrame) -> pl.DataFrame:
    """Availability by the places and periods of `asked.options["by"]`.

    Options: promised (a share) adds by how many points the promise was missed, in the reading
    that is kindest to the provider and the one that is harshest; nodes adds the share of the time
    that a job of so many has them all, if they fail independently. A repair belongs to the day on
    which it began; without one there are no limits, and `limits` says so.
    """
    by = by_columns(asked, (*PLACES, *PERIODS))
    promised, nodes = _promised(asked), _job_nodes(asked)
    if not exposure["wall_ms"].sum():
        raise RefusalError(
            "no commissioned time in the days asked: derive them, or give an inventory of nodes"
        )
    ended = _placed(repairs, exposure, by)
    spans = _spans(exposure, by)
    units = _summed(spans, ended, by)
    limits = _limits(units, spans, ended, by, asked)
    rows = []
    for unit, (law, assumption, *edges) in zip(units.iter_rows(named=True), limits, strict=True):
        times = [unit[name] for name in TIMES]
        read = readings(*times)
        whole = sum(times)
        coverage = 1 - unit["unknown"] / whole if whole else math.nan
        inherent, operational = [read.inherent, *edges[:2]], [read.operational, *edges[2:]]
        if is_bound := not coverage >= ENOUGH:
            inherent, operational = [math.nan] * 3, [math.nan] * 3
            assumption = f"{coverage:.1%} of the time observed: bounds only"
        r = unit["repairs"]
        row = [r, unit["planned_repairs"], whole, *times, coverage, *inherent, *operational]
        row += [read.unknown_as_up, read.unknown_as_down]
        row += [24 * unit["up"] / r, 24 * unit["down"] / r] if r else [None, None]
        row += ["none" if is_bound else law, assumption]
        if promised is not None:
            row += _kept(promised, times, operational[0])
        if nodes is not None:
            row += [nodes, *(all_up(share, nodes) for share in operational)]
        rows.append((*(unit[name] for name in by), *row))
    more = [*(PROMISE.items() if promised is not None else ())]
    more += [*(JOB.items() if nodes is not None else ())]
    schema = pl.Schema([*((name, units.schema[name]) for name in by), *ANSWER.items(), *more])
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return found.with_columns(
        cs.float().fill_nan(None), clock=pl.lit("wall"), definition=pl.lit(asked.definition)
    )


def _promised(asked: Asked) -> float | None:
    if not (text := asked.options.get("promised", "")):
        return None
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise RefusalError(f"a promise of {text}: write 0.994 for 99.4 %")
    return share


def _job_nodes(asked: Asked) -> int | None:
    if not (text := asked.options.get("nodes", "")):
        return None
    if not text.isdecimal() or not int(text):
        raise RefusalError(f"a job of {text} nodes: give a whole number above 0")
    return int(text)


def _placed(repairs: pl.DataFrame, exposure: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Repairs with the places of their node on the day they began; `hours` is null while open."""
    lasted = (pl.col("up_again") - pl.col("down_from")).dt.total_milliseconds() / 3.6e6
    placed = stood(repairs, exposure.with_columns(is_there=True), ("is_there", *PLACES[1:4]))
    return with_periods(placed.filter("is_there"), by).with_columns(hours=lasted)


def _spans(exposure: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Each node's times in each unit, in node-days."""
    keys = list(dict.fromkeys([*by, *ID]))
    names, periods = (
        list(filter(kind, keys)) for kind in (PLACES.__contains__, PERIODS.__contains__)
    )
    grid = NodeDays.of(exposure.select("day", *names, *TIMES.values()), names)
    days = np.unique(np.concatenate([one.days for one in grid.stretches]))
    calendar = with_periods(pl.DataFrame({"day": dates(days)}), by).select(periods)
    # A period's number is the place of its first day.
    begins = (
        np.flatnonzero(calendar.to_struct().is_first_distinct())
        if periods
        else np.zeros(1, np.int64)
    )
    sums = grid.sums_by_period(
        list(TIMES.values()),
        lambda some: begins[np.searchsorted(begins, np.searchsorted(days, some), "right") - 1],
    )
    where = [grid.nodes[sums["number"].to_numpy()]]
    where += [calendar[sums["period"].to_numpy()]] if periods else []
    told = {name: sums[column] / DAY_MS for name, column in TIMES.items()}
    return pl.concat(where, how="horizontal").select(*keys, **told).sort(keys)


def _summed(spans: pl.DataFrame, ended: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """One row per unit, in a fixed order: the times in node-days, and how many repairs began."""
    sums = [pl.col(name).sum() for name in TIMES]
    counts = [
        (~pl.col("planned")).sum().cast(pl.Int64).alias("repairs"),
        pl.col("planned").sum().cast(pl.Int64).alias("planned_repairs"),
    ]
    if not by:
        return pl.concat([spans.select(sums), ended.select(counts)], how="horizontal")
    return (
        spans.group_by(by)
        .agg(sums)
        .join(ended.group_by(by).agg(counts), on=by, how="left", nulls_equal=True)
        .with_columns(pl.col("repairs", "planned_repairs").fill_null(0))
        .sort(by, nulls_last=True)
    )


def _limits(
    units: pl.DataFrame,
    spans: pl.DataFrame,
    ended: pl.DataFrame,
    by: Sequence[str],
    asked: Asked,
) -> list[tuple]:
    """Per unit: law, assumption, then the limits of the inherent and operational availability."""
    up, down, out = (units[name].to_numpy() for name in ("up", "down", "planned"))
    r, all_r = units["repairs"].to_numpy(), (units["repairs"] + units["planned_repairs"]).to_numpy()
    inherent = f_limits(r, up, down, asked.level)
    operational = f_limits(all_r, up, down + out, asked.level)
    many = units.with_row_index("unit").filter(pl.col("repairs") >= FEWEST_REPAIRS)
    times = _by_unit(ended.filter(~pl.col("planned"), pl.col("hours") > 0), many, by)
    heavy = {unit for unit, rows in times.items() if not looks_exponential(rows["hours"])}
    per_node = _by_unit(spans, many.filter(pl.col("unit").is_in(sorted(heavy))), by)
    found: list[tuple] = []
    for unit in range(units.height):
        edges = [float(edge[unit]) for edge in (*inherent, *operational)]
        if not all_r[unit]:
            found.append(("none", "no repair: no limits", *edges))
        elif r[unit] < FEWEST_REPAIRS:
            found.append(("F", "too few repairs to tell", *edges))
        elif unit not in heavy:
            found.append(("F", "held", *edges))
        else:
            lives = per_node[unit]
            if lives.height < 2:
                found.append(("F", "not held: limits too narrow", *edges))
                continue
            up, down, planned = (lives[name].to_numpy() for name in ("up", "down", "planned"))
            rng = np.random.default_rng(asked.seed)
            edges = list(redrawn_limits(up, down, planned, rng, level=asked.level))
            found.append(("nodes drawn again", "not held", *edges))
    return found


def _by_unit(rows: pl.DataFrame, units: pl.DataFrame, by: Sequence[str]) -> dict[int, pl.DataFrame]:
    """The rows of each unit, by its number."""
    mine = units.select("unit", *by)
    joined = rows.join(mine, on=list(by), nulls_equal=True) if by else rows.join(mine, how="cross")
    return {key[0]: part for key, part in joined.partition_by("unit", as_dict=True).items()}


def _kept(promised: float, times: Sequence[float], measured: float) -> list[object]:
    """The promise against the operational availability, and in the two extreme readings."""
    up, down, planned, unknown = times
    kindest = readings(up + unknown, down, planned, 0.0).inherent
    harshest = readings(up, down, planned, unknown).unknown_as_down
    least, most = short_points(promised, kindest), short_points(promised, harshest)
    if math.isnan(kindest) or math.isnan(harshest):
        verdict = "unknown"
    elif least > 0:
        verdict = "missed in every reading"
    else:
        verdict = "depends on the reading" if most > 0 else "kept in every reading"
    short = math.nan if math.isnan(measured) else short_points(promised, measured)
    return [promised, short, least, most, verdict]


STUDY = Study(
    name="availability",
    title="Share of the time up, in every reading, with limits, against a promise and for a job",
    reads=(d.EXPOSURE, d.REPAIRS),
    by=availability,
)
