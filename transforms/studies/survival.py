"""How long do they last (R-9)? Kaplan-Meier, Nelson-Aalen and Weibull of nodes, GPUs and repairs.

Units that were there before the records enter at their age; units that left or still run are
censored. A first failure is the first one seen: what befell a unit before its watch is unknown.
Times between failures of something repaired are lives only where there is no trend, so Laplace's
test comes first, on each unit's own operation, and a Weibull's shape is read only if it is quiet.
"""

import numpy as np
import polars as pl

from transforms.reliability import survival as km
from transforms.reliability import trends, weibull
from transforms.studies.base import Asked, RefusalError, Study
from transforms.studies.living import FRAMES, OF, Question, lives_of

FEWEST_ENDS = 4
"""Ends below which a curve shows next to nothing."""
FEWEST_AT_RISK = 5
"""Units at risk from which on a curve begins: one of two that ends at once would halve it for good."""
TREND_P = 0.05

Rows = dict[tuple, pl.DataFrame]


def survival(asked: Asked, **frames: pl.DataFrame) -> pl.DataFrame:
    """One row per group of `by`, or with `at` ("7,30,90" or "all") one per group and age.

    Ages are days, of repairs hours. Reads incidents, exposure, fleet, repairs, nodes, gpus.
    """
    asking = Question.of_options(asked)
    lives, clock, strays = lives_of(asked, asking, frames)
    groups: Rows = (
        lives.partition_by(asking.by, as_dict=True, maintain_order=True)
        if asking.by
        else {(): lives}
    )
    most = max((int(g["is_end"].sum()) for g in groups.values()), default=0)
    if most < FEWEST_ENDS:
        raise RefusalError(
            f"too few ends of {asking.of} lives: {most} in the largest group, "
            f"at least {FEWEST_ENDS} are needed; group by less, or ask for more days"
        )
    schema = {name: lives.schema[name] for name in asking.by}
    if asking.at not in ("", "all"):
        ages_of(asking.at)
    if asking.at:
        answered = pl.concat(_curve_rows(k, g, asked, asking, schema) for k, g in groups.items())
    else:
        answered = _summaries(groups, asked, asking, schema)
    is_counted = asking.of in OF[:2]
    answered = answered.with_columns(
        pl.lit(strays if is_counted else None, pl.Int64).alias("failures_elsewhere"),
        clock=pl.lit(clock),
        definition=pl.lit(asked.definition if is_counted else None, pl.String),
        counted=pl.lit(asked.klass),
    ).sort(*asking.by, *(["age_days"] if asking.at else []), nulls_last=True)
    if asking.of == "repair":
        return answered.rename(lambda name: name.replace("_days", "_hours"))
    return answered


def stretch(entries: np.ndarray, exits: np.ndarray, is_end: np.ndarray) -> tuple[float, float]:
    """The ages (from, until] over which a curve can be drawn.

    Of the stretches without an age that nobody was watched at, the one with the most ends, of
    equals the one with the most time under watch; from where FEWEST_AT_RISK are at risk, or half of what it ever has if that is less.
    """
    ages = np.concatenate([entries, exits])
    order = np.lexsort((np.repeat([0, 1], len(entries)), ages))
    ages = ages[order]
    watched = np.cumsum(np.repeat([1, -1], len(entries))[order])
    lengths = np.diff(ages, append=ages[-1]) * watched
    number = np.cumsum(np.append(0, watched[:-1] == 0))
    lasted = np.bincount(number, lengths)
    came_out = np.concatenate([np.zeros(len(is_end)), is_end])[order]
    ends = np.bincount(number, came_out)
    best = int(np.lexsort((lasted, ends))[-1])
    mine = np.flatnonzero(number == best)
    enough = min(FEWEST_AT_RISK, int(np.ceil(watched[mine].max() / 2)))
    first = mine[np.flatnonzero(watched[mine] >= enough)[0]]
    return float(ages[first]), float(ages[mine[-1]])


def _curve(lives: pl.DataFrame, level: float) -> tuple[km.Curve, float, float]:
    entries, exits = lives["entry"].to_numpy(), lives["exit"].to_numpy()
    ends = lives["is_end"].to_numpy()
    young, old = stretch(entries, exits, ends)
    mine = (exits > young) & (entries < old)
    found = km.curve(exits[mine], ends[mine], np.maximum(entries[mine], young), level)
    return found, young, old


def _curve_rows(
    key: tuple, lives: pl.DataFrame, asked: Asked, asking: Question, schema: dict
) -> pl.DataFrame:
    """The curve at the ages asked for; beyond what was watched, nothing."""
    ends = int(lives["is_end"].sum())
    shape = schema | CURVE
    found, young, old = _curve(lives, asked.level)
    if found.ended.sum() < FEWEST_ENDS:
        return pl.DataFrame(schema=shape)
    ages = found.times if asking.at == "all" else ages_of(asking.at)
    ages = ages[(ages >= young) & (ages <= old)]
    place = np.searchsorted(found.times, ages, "right")

    def at(values: np.ndarray, before: float) -> np.ndarray:
        return np.append(before, values)[place]

    entries, exits = np.sort(lives["entry"].to_numpy()), np.sort(lives["exit"].to_numpy())
    low, high = found.hazard_limits(asked.level)
    rows = {name: [value] * len(ages) for name, value in zip(asking.by, key, strict=True)} | {
        "age_days": ages,
        "at_risk": np.searchsorted(entries, ages, "left") - np.searchsorted(exits, ages, "left"),
        "ended": at(np.cumsum(found.ended), 0).astype(np.int64),
        "survival": at(found.survival, 1.0),
        "survival_lo": at(found.lo, 1.0),
        "survival_hi": at(found.hi, 1.0),
        "cumulative_hazard": at(found.cumulative_hazard, 0.0),
        "cumulative_hazard_lo": at(low, 0.0),
        "cumulative_hazard_hi": at(high, 0.0),
        "from_days": [young] * len(ages),
        "assumption": [_assumption(lives, ends, asking)[0]] * len(ages),
    }
    return pl.DataFrame(rows, schema=shape).with_columns(pl.col(pl.Float64).fill_nan(None))


CURVE = {
    "age_days": pl.Float64,
    "at_risk": pl.Int64,
    "ended": pl.Int64,
    "survival": pl.Float64,
    "survival_lo": pl.Float64,
    "survival_hi": pl.Float64,
    "cumulative_hazard": pl.Float64,
    "cumulative_hazard_lo": pl.Float64,
    "cumulative_hazard_hi": pl.Float64,
    "from_days": pl.Float64,
    "assumption": pl.String,
}


def ages_of(text: str) -> np.ndarray:
    try:
        ages = np.unique([float(part) for part in text.replace(",", " ").split()])
    except ValueError as error:
        raise RefusalError(f"cannot read the ages {text!r}: write 7,30,90 or all") from error
    if not len(ages) or not np.isfinite(ages).all() or ages[0] < 0:
        raise RefusalError(f"cannot read the ages {text!r}: write 7,30,90 or all")
    return ages


SUMMARY = {
    "lives": pl.Int64,
    "ended": pl.Int64,
    "watched_days": pl.Float64,
    "entered_late": pl.Int64,
    "of_unknown_age": pl.Int64,
    "left_unexplained": pl.Int64,
    "zero_length": pl.Int64,
    "from_days": pl.Float64,
    "tenth_days": pl.Float64,
    "median_days": pl.Float64,
    "median_days_lo": pl.Float64,
    "median_days_hi": pl.Float64,
    "ninetieth_days": pl.Float64,
    "weibull_shape": pl.Float64,
    "weibull_shape_lo": pl.Float64,
    "weibull_shape_hi": pl.Float64,
    "weibull_scale_days": pl.Float64,
    "memoryless_p": pl.Float64,
    "reading": pl.String,
    "trend_p": pl.Float64,
    "assumption": pl.String,
}


def _summaries(groups: Rows, asked: Asked, asking: Question, schema: dict) -> pl.DataFrame:
    rows = [(*key, *_summary(lives, asked, asking)) for key, lives in groups.items()]
    square, freedom, p = _log_rank(groups, asking)
    return pl.DataFrame(rows, schema=schema | SUMMARY, orient="row").with_columns(
        pl.lit(square, pl.Float64).alias("log_rank_chi_square"),
        pl.lit(freedom, pl.Int64).alias("log_rank_freedom"),
        pl.lit(p, pl.Float64).alias("log_rank_p"),
        pl.col(pl.Float64).fill_nan(None),
    )


def _summary(lives: pl.DataFrame, asked: Asked, asking: Question) -> tuple:
    ends = int(lives["is_end"].sum())
    lasted = float((lives["exit"] - lives["entry"]).sum())
    silent = int(lives["is_silent"].sum()) if "is_silent" in lives.columns else 0
    facts = (
        lives.height,
        ends,
        lasted,
        int((lives["entry"] > 0).sum()),
        int((~lives["is_dated"].fill_null(False)).sum()),
        silent,
        int(lives["is_zero"].sum()),
    )
    assumption, p = _assumption(lives, ends, asking)
    found, young, old = _curve(lives, asked.level)
    if (seen := int(found.ended.sum())) < FEWEST_ENDS:
        told = (
            f"too few ends ({seen} at ages {young:g} to {old:g}, at least {FEWEST_ENDS} are needed)"
        )
        return (*facts, *[None] * 11, told, p, assumption)
    half = _median_limits(found)
    law = _weibull(lives, ends, asked.level, assumption)
    return (
        *facts,
        young,
        found.quantile(0.1),
        found.quantile(0.5),
        *half,
        found.quantile(0.9),
        *law,
        p,
        assumption,
    )


def _weibull(lives: pl.DataFrame, ends: int, level: float, assumption: str) -> tuple:
    """Shape, limits, scale, p of memorylessness and what that says; zero-length lives stay out."""
    measured = lives.filter(~pl.col("is_zero"))
    left = int(measured["is_end"].sum())
    if left < weibull.FEWEST_ENDS:
        return (*[None] * 5, f"too few ends for a Weibull ({left}, at least {weibull.FEWEST_ENDS})")
    exits, entries = measured["exit"].to_numpy(), measured["entry"].to_numpy()
    try:
        found = weibull.fit(exits, measured["is_end"].to_numpy(), entries, level)
    except ValueError as error:
        return (*[None] * 5, f"no Weibull: {error}")
    numbers = (found.shape, found.shape_lo, found.shape_hi, found.scale, found.p_memoryless)
    if assumption.startswith("not held"):
        return (*numbers, "no reading: the failures show a trend")
    if ends < weibull.FEWEST_FOR_LIMITS:
        return (*numbers, f"indicative, below {weibull.FEWEST_FOR_LIMITS} ends: {found.reading}")
    return (*numbers, found.reading)


def _assumption(lives: pl.DataFrame, ends: int, asking: Question) -> tuple[str, float | None]:
    """Whether gaps may be taken as lives: Laplace on each unit's own time, all units together."""
    if asking.of != "between-failures":
        return "units independent", None
    if lives.height < trends.FEWEST:
        return "trend not tested: too few failures", None
    tested = trends.pooled(lives["share"].to_numpy(), 1.0)
    told = f"Laplace U {tested.laplace_u:.2f}, p {tested.laplace_p:.3f}"
    if tested.laplace_p < TREND_P:
        return f"not held: gaps are no lives, failures show a trend ({told})", tested.laplace_p
    return f"held: no evidence of a trend ({told})", tested.laplace_p


def _median_limits(found: km.Curve) -> tuple[float, float]:
    """Ages at which the limits of the curve come down to one half (Brookmeyer and Crowley)."""

    def first(limit: np.ndarray) -> float:
        below = np.flatnonzero(np.nan_to_num(limit, nan=0.0) <= 0.5)
        return float(found.times[below[0]]) if len(below) else np.nan

    return first(found.lo), first(found.hi)


def _log_rank(groups: Rows, asking: Question) -> tuple[float | None, int | None, float | None]:
    """Between groups of different units; classes share their units, so nothing is tested there."""
    is_shared = bool(asking.kinds) and asking.of != "repair"
    if len(groups) < 2 or is_shared:
        return None, None, None
    lives = pl.concat(
        part.select("entry", "exit", "is_end").with_columns(group=pl.lit(number))
        for number, part in enumerate(groups.values())
    )
    columns = (lives[name].to_numpy() for name in ("exit", "is_end", "group", "entry"))
    return km.log_rank(*columns)


STUDY = Study(
    name="survival",
    title="How long nodes, GPUs and repairs last: Kaplan-Meier, Weibull, log-rank",
    reads=FRAMES,
    by=survival,
)
