"""Do nodes fail more when young or old (D-7)? The rate by age, and a bathtub only by three facts.

Early above plateau, plateau without a trend, late above plateau: each is a row with its own
interval, and none of them makes a bathtub alone. Ages are whole days since commissioning; days
before the records are no exposure, so late entry needs nothing more. Age and calendar run
together in a fleet that was bought at once: what changed in a month looks like age here.
"""

import math
from itertools import pairwise

import numpy as np
import polars as pl

from transforms.comparison import rate_ratio
from transforms.fleet import ID
from transforms.lives import ALWAYS
from transforms.mtbf import ALL
from transforms.operating import instants
from transforms.reliability import trends
from transforms.reliability.dispersion import rate_limits
from transforms.studies.base import Asked, RefusalError, Study, at_risk
from transforms.studies.rates import FEWEST_FOR_PHI, scatter_of
from transforms.tables import derived as d

WEEKS = (0, 1, 2, 4, 8, 13, 26, 39, 52, 78, 104, 156, 208)
"""Where the bands begin."""
ANSWER = {
    "what": pl.String,
    "weeks_from": pl.Float64,
    "weeks_to": pl.Float64,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "value": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "p": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
    "verdict": pl.String,
}


def ageing(
    asked: Asked,
    *,
    incidents: pl.DataFrame,
    exposure: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """Failures per 1000 node-days by age, then the three facts and what they make together.

    `early` and `late` (weeks, default 4 and 52) bound the plateau. Nodes of unknown age are left
    out, and their node-days told in the last row.
    """
    early, late = (_weeks(asked, *edge) for edge in (("early", 4.0), ("late", 52.0)))
    if early >= late:
        raise RefusalError(f"no plateau lies between {early:g} and {late:g} weeks")
    cells, unknown = _by_age(asked, incidents, exposure, fleet)
    edges = sorted({*WEEKS, early, late, math.inf})
    rows = [
        ("per 1000 node-days", lo, hi, *_rate(_between(cells, lo, hi), asked), None)
        for lo, hi in pairwise(edges)
        if not _between(cells, lo, hi).is_empty()
    ]
    young, flat, old = (
        _between(cells, lo, hi) for lo, hi in ((0.0, early), (early, late), (late, math.inf))
    )
    above_early = _above("early over plateau", young, flat, (0.0, early), asked)
    steady = _steady(flat, early, late, asked)
    above_late = _above("late over plateau", old, flat, (late, None), asked)
    facts = [above_early, steady, above_late]
    said = [fact[-1] for fact in facts]
    if said == ["above", "no evidence of a trend", "above"]:
        verdict = "bathtub"
    elif any(word.startswith(("not seen", "too few")) for word in said):
        verdict = "no bathtub can be told: a part of it was not seen"
    else:
        verdict = "no evidence of a bathtub"
    unaged = ("node-days of unknown age", None, None, 0, unknown, *[None] * 6, None)
    rows += [*facts, ("together", None, None, *[None] * 8, verdict), unaged]
    return pl.DataFrame(rows, schema=ANSWER, orient="row").with_columns(
        pl.when(pl.col("weeks_to").is_infinite())
        .then(None)
        .otherwise("weeks_to")
        .alias("weeks_to"),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _weeks(asked: Asked, name: str, default: float) -> float:
    said = asked.options.get(name, "")
    try:
        weeks = float(said) if said else default
    except ValueError as error:
        raise RefusalError(f"{name} weeks {said!r}: write a number") from error
    if not 0 < weeks < 5000:
        raise RefusalError(f"{name} weeks {weeks:g}: write a number above 0")
    return weeks


def _by_age(
    asked: Asked, incidents: pl.DataFrame, exposure: pl.DataFrame, fleet: pl.DataFrame
) -> tuple[pl.DataFrame, float]:
    """Per `unit` (node) and day of age: age_days, node_days, failures; and node-days of unknown age.

    Days and failures stand in rows of their own: every use adds them up.
    """
    served = at_risk(exposure, asked).filter(pl.col("node_days") > 0)
    served = served.select("day", *ID, "node_days")
    klass = None if asked.klass == ALL else asked.klass
    events = instants(incidents, exposure, asked.definition, klass)
    if klass and events.is_empty():
        raise RefusalError(f"no failure of class {klass!r} counts in the days asked")
    seen = events.group_by("day", *ID).agg(failures=pl.len().cast(pl.Int64))
    hits = served.drop("node_days").join(seen, on=["day", *ID])
    born = _born(fleet)
    days, failed = (_aged(rows, born) for rows in (served, hits))
    unknown = float(days.filter(pl.col("age_days").is_null())["node_days"].sum())
    cells = pl.concat([days, failed], how="diagonal").filter(pl.col("age_days").is_not_null())
    if cells.is_empty():
        raise RefusalError("no node's age is known: give an inventory with valid_from")
    return cells.with_columns(pl.col("node_days", "failures").fill_null(0)), unknown


def _born(fleet: pl.DataFrame) -> pl.DataFrame:
    """One row per node and life: unit (a number per node), born_on, is_dated, lives of the node."""
    is_new = (pl.col("valid_from") > pl.col("valid_to").shift(1)).over(ID).fill_null(True)
    return (
        fleet.sort(*ID, "valid_from")
        .with_columns(is_new=is_new)
        .filter("is_new")
        .select(
            *ID,
            born_on=pl.col("valid_from").dt.date(),
            is_dated=pl.col("valid_from") > ALWAYS,
            lives=pl.len().over(ID),
            unit=pl.struct(ID).rank("dense"),
        )
    )


def _aged(rows: pl.DataFrame, born: pl.DataFrame) -> pl.DataFrame:
    """`rows` (day, node) with `unit` and `age_days` in place of them; null where nobody knows."""
    once, again = (born.filter(pl.col("lives") == 1), born.filter(pl.col("lives") > 1))
    settled = rows.join(once, on=ID, how="left")
    if again.height:
        settled = rows.join(again, on=ID, how="anti").join(once, on=ID, how="left")
        reborn = rows.join(again, on=ID, how="semi").sort("day").join_asof(
            again.with_columns(day="born_on").sort("day"), on="day", by=list(ID), check_sortedness=False
        )  # fmt: skip
        settled = pl.concat([settled, reborn.select(settled.columns)])
    is_known = pl.col("is_dated") & (pl.col("born_on") <= pl.col("day"))
    age = (pl.col("day") - pl.col("born_on")).dt.total_days()
    return settled.with_columns(age_days=pl.when(is_known).then(age)).drop(
        "day", *ID, "born_on", "is_dated", "lives"
    )


def _between(cells: pl.DataFrame, lo: float, hi: float) -> pl.DataFrame:
    """Cells of ages [lo, hi) weeks."""
    return cells.filter(pl.col("age_days") >= 7 * lo, pl.col("age_days") < 7 * hi)


def _total(cells: pl.DataFrame) -> tuple[int, float]:
    return int(cells["failures"].sum()), float(cells["node_days"].sum())


def _phi(cells: pl.DataFrame, asked: Asked) -> tuple[float | None, str]:
    """Variation between nodes about their common rate."""
    if cells["failures"].sum() < FEWEST_FOR_PHI:
        return None, "too few to tell"
    nodes = cells.group_by("unit").agg(pl.col("failures", "node_days").sum()).sort("unit")
    nodes = nodes.filter(pl.col("node_days") > 0)
    counts, days = nodes["failures"].to_numpy(), nodes["node_days"].to_numpy()
    found = scatter_of(counts, days, np.random.default_rng(asked.seed))
    if math.isnan(found.phi):
        return None, "too few to tell"
    return found.phi, "held" if found.is_poisson else "not held"


def _rate(cells: pl.DataFrame, asked: Asked) -> tuple:
    r, days = _total(cells)
    phi, assumption = _phi(cells, asked)
    wide = phi if phi and assumption == "not held" else 1.0
    lo, hi = rate_limits(r, days, wide, asked.level)
    return (r, days, 1000 * r / days, 1000 * lo, 1000 * hi, None, phi, assumption)


def _above(
    what: str,
    cells: pl.DataFrame,
    plateau: pl.DataFrame,
    weeks: tuple[float, float | None],
    asked: Asked,
) -> tuple:
    """The rate of `cells` over the plateau's: exact, and wider where nodes differ beyond chance."""
    (r, days), (base, base_days) = _total(cells), _total(plateau)
    if not days or not base_days:
        where = "at those ages" if not days else "on the plateau"
        return (what, *weeks, r, days, *[None] * 6, f"not seen: no exposure {where}")
    phis = [_phi(part, asked) for part in (cells, plateau)]
    phi = max((one for one, held in phis if one and held == "not held"), default=1.0)
    if not r + base:
        return (what, *weeks, r, days, *[None] * 6, "too few failures: none on either side")
    found = rate_ratio(r, days, base, base_days, asked.level)
    low, high = found.low, found.high
    if phi > 1 and min(r, base):
        low, high = (found.ratio * (edge / found.ratio) ** phi**0.5 for edge in (low, high))
    verdict = "above" if low > 1 else "below" if high < 1 else "no evidence of a difference"
    assumption = "not held" if phi > 1 else "held" if phis[0][0] and phis[1][0] else "too few to tell"  # fmt: skip
    return (what, *weeks, r, days, found.ratio, low, high, found.p, phi, assumption, verdict)


def _steady(cells: pl.DataFrame, early: float, late: float, asked: Asked) -> tuple:
    """Trend of the plateau's failures over the node-days spent at each age, the younger first."""
    what, (r, days) = "growth slope of the plateau", _total(cells)
    if not days:
        return (what, early, late, r, days, *[None] * 6, "not seen: no exposure at those ages")
    if r < trends.FEWEST:
        told = f"too few failures ({r}, at least {trends.FEWEST} are needed)"
        return (what, early, late, r, days, *[None] * 6, told)
    ages = cells.group_by("age_days").agg(pl.col("failures", "node_days").sum()).sort("age_days")
    gone = np.cumsum(ages["node_days"].to_numpy())
    # Failures of one day of age stand evenly inside it, as far as anybody knows.
    counts = ages["failures"].to_numpy()
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    inside = (rank + 0.5) / np.repeat(counts, counts)
    step = ages["node_days"].to_numpy()
    times = np.repeat(gone - step, counts) + inside * np.repeat(step, counts)
    found = trends.trend(times, float(gone[-1]), "time", asked.level)
    phi, assumption = _phi(cells, asked)
    wide = phi if phi and assumption == "not held" else 1.0
    lo, hi = trends.slope_limits(found, wide, asked.level)
    verdict = "falling" if hi < 1 else "rising" if lo > 1 else "no evidence of a trend"
    return (what, early, late, r, days, found.growth_slope, lo, hi, found.laplace_p, phi, assumption, verdict)  # fmt: skip


STUDY = Study(
    name="ageing",
    title="Failure rate by node age, and the three facts that a bathtub needs",
    reads=(d.INCIDENTS, d.EXPOSURE, d.FLEET),
    by=ageing,
)
