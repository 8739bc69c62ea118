"""Is the new hall worse (R-13)? The mean number of failures of a node by its age, hall by hall.

The mean cumulative function counts repeated failures, needs no law for the gaps, and lets nodes
enter and leave at any age. Its limits resample whole nodes, so weak ones among strong widen them.
Two groups are compared over the ages at which both were watched, and judged once, at the last of
those: a verdict sought at every age would be found by chance.
"""

import math

import numpy as np
import polars as pl
from scipy import stats

from transforms.lives import LABELS, Watched
from transforms.reliability.recurrence import MeanCumulative, mean_cumulative
from transforms.studies.base import Asked, RefusalError, Study
from transforms.studies.living import FRAMES, watch
from transforms.studies.survival import ages_of, stretch

FEWEST = 10
"""Failures of a group below which limits that lean on many nodes are no more than indicative."""
ANSWER = {
    "what": pl.String,
    "age_days": pl.Float64,
    "from_days": pl.Float64,
    "nodes": pl.Int64,
    "at_risk": pl.Int64,
    "failures": pl.Int64,
    "watched_days": pl.Float64,
    "value": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "p": pl.Float64,
    "verdict": pl.String,
    "assumption": pl.String,
}


def recurrence(asked: Asked, **frames: pl.DataFrame) -> pl.DataFrame:
    """Mean failures per unit from `from_days` up to each age, per group of `by`.

    `at` chooses ages in days ("7,30,90"; "all" gives each step; default eighths of what there is).
    Exactly two groups, or the two of `against` ("H1,H2"), are compared in further rows: `ratio` of
    the second over the first. Reads incidents, exposure, fleet, nodes, gpus.
    """
    by = _by(asked)
    unit = asked.options.get("unit", "node")
    if unit not in ("node", "gpu"):
        raise RefusalError(f"no unit {unit!r}: there are node, gpu")
    if asked.clock == "allocated":
        raise RefusalError("ages run on the wall clock; leave out --clock allocated")
    watched = watch(asked, unit, dict(frames))
    groups = _groups(watched, by)
    if not sum(group.hits.height for group in groups.values()):
        raise RefusalError("no failure of a watched unit counts in the days asked")
    rows = [row for name, group in groups.items() for row in _rows(name, group, asked)]
    pair = _pair(asked, list(groups))
    if pair:
        rows += _comparison(*pair, groups[pair[0]], groups[pair[1]], asked)
    answered = pl.DataFrame(rows, schema={"group": pl.String, **ANSWER}, orient="row")
    return answered.with_columns(
        pl.col(pl.Float64).fill_nan(None),
        clock=pl.lit("wall"),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _by(asked: Asked) -> str:
    by = asked.options.get("by", "hall").strip()
    if by not in LABELS:
        raise RefusalError(f"cannot group by {by}: there are {', '.join(LABELS)}")
    return by


def _groups(watched: Watched, by: str) -> dict[str, Watched]:
    parts = watched.units.sort(by, nulls_last=True).partition_by(
        by, as_dict=True, maintain_order=True
    )
    return {
        "" if key is None else str(key): Watched(
            units, watched.hits.join(units.select("unit"), on="unit", how="semi"), 0
        )
        for (key,), units in parts.items()
    }


def _pair(asked: Asked, names: list[str]) -> tuple[str, str] | None:
    said = tuple(part.strip() for part in asked.options.get("against", "").split(",") if part)
    if not said:
        return (names[0], names[1]) if len(names) == 2 else None
    if len(said) != 2 or (strange := [name for name in said if name not in names]):
        told = f"no {', '.join(strange)}" if len(said) == 2 else "name two"
        raise RefusalError(f"cannot compare {','.join(said)}: {told}; there are {', '.join(names)}")
    return said[0], said[1]


def _function(group: Watched, young: float, old: float, level: float) -> MeanCumulative:
    """The mean cumulative function over the ages (young, old] alone."""
    units = group.units.filter(pl.col("exit") > young, pl.col("entry") < old)
    units = units.drop("node").with_row_index("place")
    hits = group.hits.filter(pl.col("age") > young, pl.col("age") <= old)
    place = hits.join(units.select("unit", "place"), on="unit", how="inner")
    entries = np.maximum(units["entry"].to_numpy(), young)
    exits = np.minimum(units["exit"].to_numpy(), old)
    return mean_cumulative(
        place["place"].to_numpy(), place["age"].to_numpy(), entries, exits, level
    )


def _ages(group: Watched) -> tuple[float, float]:
    """Ages over which the group's curve can be drawn: where it had the most failures."""
    entries, exits = group.units["entry"].to_numpy(), group.units["exit"].to_numpy()
    return stretch(
        entries, exits, group.units["unit"].is_in(group.hits["unit"].implode()).to_numpy()
    )


def _rows(name: str, group: Watched, asked: Asked) -> list[tuple]:
    young, old = _ages(group)
    found = _function(group, young, old, asked.level)
    entries, exits = (np.sort(group.units[edge].to_numpy()) for edge in ("entry", "exit"))
    ages = _chosen(asked, young, old, found.ages)
    rows = []
    for age in ages:
        place = int(np.searchsorted(found.ages, age, "right"))
        days = float((np.clip(exits, young, age) - np.clip(entries, young, age)).sum())
        r = int(found.failures[:place].sum())
        if r:
            mean, lo, hi = (float(v[place - 1]) for v in (found.mean, found.lo, found.hi))
        else:
            # As many nodes as the time under watch makes, each for the whole span of ages.
            most = -math.log((1 - asked.level) / 2)
            mean, lo, hi = 0.0, 0.0, most * (age - young) / days if days else math.nan
        watched = np.searchsorted(entries, age, "left") - np.searchsorted(exits, age, "left")
        assumption = "units independent" if r >= FEWEST else f"indicative, below {FEWEST} failures"
        seen = (group.units.height, int(watched), r, days)
        rows.append(
            (name, "mean failures", age, young, *seen, mean, lo, hi, None, None, assumption)
        )
    return rows


def _chosen(asked: Asked, young: float, old: float, steps: np.ndarray) -> np.ndarray:
    said = asked.options.get("at", "")
    if said == "all":
        return steps
    if not said:
        return young + (old - young) * np.arange(1, 9) / 8
    ages = ages_of(said)
    return ages[(ages > young) & (ages <= old)]


def _comparison(one: str, other: str, first: Watched, second: Watched, asked: Asked) -> list[tuple]:
    """Second over first at common ages; one verdict, from the last of them."""
    (a, b), (c, d) = _ages(first), _ages(second)
    young, old = max(a, c), min(b, d)
    name = f"{other} over {one}"
    empty: tuple = (None,) * 9
    if young >= old:
        told = f"no common ages: {one} was watched from {a:g} to {b:g} days, {other} {c:g} to {d:g}"
        return [(name, "ratio", None, *empty, told, "not compared")]
    found = [_function(group, young, old, asked.level) for group in (first, second)]
    z = float(stats.norm.ppf((1 + asked.level) / 2))
    said = _chosen(asked, young, old, np.array([old]))
    rows: list[tuple] = []
    for age in sorted({*said.tolist(), old}):
        places = [int(np.searchsorted(one.ages, age, "right")) for one in found]
        counts = [int(one.failures[:k].sum()) for one, k in zip(found, places, strict=True)]
        r = sum(counts)
        head = (name, "ratio", age, young, first.units.height + second.units.height, None, r, None)
        if min(counts) == 0:
            said_so = f"too few failures ({counts[1]} against {counts[0]})" if age == old else None
            rows.append((*head, None, None, None, None, said_so, "not compared"))
            continue
        means = [float(one.mean[k - 1]) for one, k in zip(found, places, strict=True)]
        errors = [(float(one.hi[k - 1]) - m) / z for one, k, m in zip(found, places, means, strict=True)]  # fmt: skip
        ratio = means[1] / means[0]
        spread = math.hypot(*(e / m for e, m in zip(errors, means, strict=True)))
        lo, hi = ratio * math.exp(-z * spread), ratio * math.exp(z * spread)
        p = float(2 * stats.norm.sf(abs(math.log(ratio)) / spread)) if spread else None
        verdict: str | None = None
        if age == old:
            verdict = f"{other} fails more" if lo > 1 else f"{other} fails less" if hi < 1 else "no evidence of a difference"  # fmt: skip
        assumption = "units independent" if min(counts) >= FEWEST else f"indicative, below {FEWEST} failures on a side"  # fmt: skip
        rows.append((*head, ratio, lo, hi, p, verdict, assumption))
    return rows


STUDY = Study(
    name="recurrence",
    title="Mean failures per node by age, and whether one hall, provider or model is worse",
    reads=FRAMES,
    by=recurrence,
)
