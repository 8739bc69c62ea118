"""Do halls fail more when they are warm (D-9): failures of a hall's day against its temperature then
and up to three days before.

Within each hall, warm days are set against its own cool ones: a hall of older nodes that is also
warmer is no evidence. Errors are clustered by hall and week, for weather and trouble both last
longer than a day. The lags are judged together (Benjamini-Hochberg, one false in ten). A ratio is
the rate a degree warmer over the rate now; it says what goes together, not what causes what.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from scipy import stats

from transforms.node_days import day_sums
from transforms.operating import stood
from transforms.reliability.domains import benjamini_hochberg
from transforms.reliability.regression import pearson_phi, poisson
from transforms.studies.base import (
    Asked,
    RefusalError,
    Study,
    at_risk,
    counted,
    node_days_of,
    watched_enough,
)
from transforms.tables import derived as d
from transforms.tables.hourly import NODE_HOURLY

HALL_DAY = ["cluster", "hall", "day"]
LAGS = range(4)
FEWEST = 10
"""Failures below which nothing is regressed (R-9's minimum for a fit)."""
LEAST_BLOCKS, FEW_BLOCKS = 10, 30
"""Hall-weeks below which cluster-robust errors say nothing, and below which they are too small."""
LEAST_RANGE = 1.0
"""Degrees over which some hall has to vary."""
USUAL = ("board_inlet_temp_c", "gpu_temp_c")
FALSE_SHARE = 0.1


def climate(
    asked: Asked, *, node_hourly: pl.DataFrame, failures: pl.DataFrame, exposure: pl.DataFrame
) -> pl.DataFrame:
    """One row per lag of 0 to 3 days that ten failures tell of: how the rate goes with the warmth.

    Option `metric`: a temperature of node_hourly; by default the air that comes in, else the
    GPUs'. Columns: metric, lag_days, halls, hall_days, failures, node_days, coolest, warmest (C),
    ratio_per_degree with _lo and _hi, p, q, verdict, phi, assumption, clock, definition, counted.
    """
    metric, warmth = _warmth(asked, node_hourly, exposure)
    risk = at_risk(exposure, asked)
    is_at_risk = pl.col("node_days") > 0
    watched_enough(risk.filter(is_at_risk), "the fleet")
    hits = stood(counted(failures, asked), risk, ("hall", "node_days")).filter(is_at_risk)
    seen = hits.group_by(HALL_DAY).agg(pl.col("failures").cast(pl.Int64).sum())
    days = day_sums(risk, ["cluster", "hall"], "node_days").filter(is_at_risk)
    days = days.join(seen, on=HALL_DAY, how="left").with_columns(pl.col("failures").fill_null(0))
    pairs = {lag: _paired(days, warmth, lag) for lag in LAGS}
    enough = {lag: rows for lag, rows in pairs.items() if rows["failures"].sum() >= FEWEST}
    if not enough:
        most = max(int(rows["failures"].sum()) for rows in pairs.values())
        raise RefusalError(
            f"{most} failures on days whose temperature is known, and {FEWEST} are needed: "
            "ask for more days"
        )
    told = pl.DataFrame([_lagged(rows, lag, asked) for lag, rows in enough.items()])
    q = stats.false_discovery_control(told["p"].to_numpy())
    stands_out = pl.Series(benjamini_hochberg(told["p"].to_list(), FALSE_SHARE))
    up, down = pl.col("ratio_per_degree_lo") > 1, pl.col("ratio_per_degree_hi") < 1
    return told.select(
        pl.lit(metric).alias("metric"),
        pl.exclude("phi", "assumption"),
        pl.Series("q", q),
        pl.when(stands_out & up)
        .then(pl.lit("fails more when warm"))
        .when(stands_out & down)
        .then(pl.lit("fails less when warm"))
        .otherwise(pl.lit("no evidence of a difference"))
        .alias("verdict"),
        "phi",
        "assumption",
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _warmth(
    asked: Asked, node_hourly: pl.DataFrame, exposure: pl.DataFrame
) -> tuple[str, pl.DataFrame]:
    """The metric chosen, and its mean of every hall's day: cluster, hall, day, warmth."""
    known = node_hourly.filter(pl.col("metric").str.ends_with("_c"), pl.col("mean").is_not_null())
    there = sorted(known["metric"].unique())
    named = asked.options.get("metric", "")
    chosen = [name for name in ([named] if named else USUAL) if name in there]
    if not chosen:
        raise RefusalError(
            f"no temperature {named or ' or '.join(USUAL)} was sampled: "
            f"there are {', '.join(there) or 'none'}"
        )
    hours = known.filter(pl.col("metric") == chosen[0]).select(
        "cluster", "node", "mean", "samples", day=pl.col("hour_at").dt.date()
    )
    rows = stood(hours, exposure, ("hall",)).drop_nulls("hall").group_by(HALL_DAY)
    weight = pl.col("samples").cast(pl.Float64)
    return chosen[0], rows.agg(warmth=(pl.col("mean") * weight).sum() / weight.sum())


def _paired(days: pl.DataFrame, warmth: pl.DataFrame, lag: int) -> pl.DataFrame:
    """Each hall's day with its warmth `lag` days before, of halls with a failure: others say nothing
    of what goes with failures."""
    earlier = warmth.with_columns(pl.col("day") + timedelta(days=lag))
    rows = days.join(earlier, on=HALL_DAY).sort(HALL_DAY)
    return rows.filter(pl.col("failures").sum().over("cluster", "hall") > 0)


def _lagged(rows: pl.DataFrame, lag: int, asked: Asked) -> dict[str, object]:
    hall = pl.struct("cluster", "hall")
    spread = rows.group_by("cluster", "hall").agg(pl.col("warmth").max() - pl.col("warmth").min())
    if not (spread["warmth"] >= LEAST_RANGE).any():
        raise RefusalError(f"no hall's days differ by {LEAST_RANGE:g} C: nothing to compare")
    number = rows.select(hall.rank("dense") - 1).to_series().to_numpy().astype(int)
    levels = np.eye(number.max() + 1)[number]
    week = rows.select(pl.struct("cluster", "hall", pl.col("day").dt.truncate("1w")).rank("dense"))
    block = week.to_series().to_numpy()
    if (blocks := len(np.unique(block))) < LEAST_BLOCKS:
        raise RefusalError(
            f"temperatures of {blocks} hall-weeks, and {LEAST_BLOCKS} are needed: ask for more days"
        )
    columns = np.column_stack([rows["warmth"].to_numpy() - rows["warmth"].mean(), levels])
    names = ("warmth", *(f"hall {k}" for k in range(levels.shape[1])))
    y, e = rows["failures"].to_numpy().astype(float), rows["node_days"].to_numpy()
    found = poisson(y, e, columns, names, block, asked.level)
    return {
        "lag_days": lag,
        "halls": levels.shape[1],
        "hall_days": rows.height,
        "failures": int(rows["failures"].sum()),
        "node_days": float(e.sum()),
        "coolest": float(rows["warmth"].min()),  # type: ignore[arg-type]
        "warmest": float(rows["warmth"].max()),  # type: ignore[arg-type]
        "ratio_per_degree": float(found.ratio[0]),
        "ratio_per_degree_lo": float(found.ratio_lo[0]),
        "ratio_per_degree_hi": float(found.ratio_hi[0]),
        "p": float(found.p[0]),
        "phi": pearson_phi(y, e, columns, found),
        "assumption": "held" if blocks >= FEW_BLOCKS else f"{blocks} hall-weeks: limits too narrow",
    }


STUDY = Study(
    name="climate",
    title="Whether halls fail more when they are warm, up to three days later",
    reads=(NODE_HOURLY, d.FAILURES, d.EXPOSURE),
    by=climate,
    columns=lambda asked: {
        **node_days_of(asked, "hall", "wall_ms", "unobserved_ms"),
        "node_hourly": {"cluster", "metric", "node", "hour_at", "mean", "samples"},
    },
)
