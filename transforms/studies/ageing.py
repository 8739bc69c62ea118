"""Do nodes fail more when young or old (D-7)? The rate by age, and a bathtub only by three facts.

Early above plateau, plateau without a trend, late above plateau: each is a row with its own
interval, and none of them makes a bathtub alone. Ages are whole days since commissioning; days
before the records are no exposure, so late entry needs nothing more. Age and calendar run
together in a fleet that was bought at once: what changed in a month looks like age here.
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.comparison import rate_ratio
from transforms.fleet import ID
from transforms.lives import ALWAYS
from transforms.mtbf import ALL
from transforms.node_days import NodeDays
from transforms.operating import instants
from transforms.reliability import trends
from transforms.reliability.dispersion import rate_limits
from transforms.studies.base import Asked, RefusalError, Study, at_risk
from transforms.studies.rates import FEWEST_FOR_PHI, scatter_of
from transforms.tables import derived as d

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WEEKS = (0, 1, 2, 4, 8, 13, 26, 39, 52, 78, 104, 156, 208)
"""Where the bands begin."""
NEVER = np.iinfo(np.int64).max // 2
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
    edges = sorted({*WEEKS, early, late, math.inf})
    cells, ages, unknown = _by_age(asked, incidents, exposure, fleet, np.array(edges[:-1]))
    rows = [
        ("per 1000 node-days", lo, hi, *_rate(_between(cells, lo, hi), asked), None)
        for lo, hi in pairwise(edges)
        if not _between(cells, lo, hi).is_empty()
    ]
    young, flat, old = (
        _between(cells, lo, hi) for lo, hi in ((0.0, early), (early, late), (late, math.inf))
    )
    above_early = _above("early over plateau", young, flat, (0.0, early), asked)
    steady = _steady(flat, _between(ages, early, late), early, late, asked)
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
    asked: Asked,
    incidents: pl.DataFrame,
    exposure: pl.DataFrame,
    fleet: pl.DataFrame,
    edges: Floats,
) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """Node-days and failures by node and band of ages, and by age; node-days of unknown age.

    Columns: unit (a node's number), age_days (of a band: that from which it runs), node_days,
    failures. Bands begin at the weeks of `edges`.
    """
    risk = at_risk(exposure, asked).select("day", *ID, "node_days")
    klass = None if asked.klass == ALL else asked.klass
    events = instants(incidents, risk, asked.definition, klass)
    if klass and events.is_empty():
        raise RefusalError(f"no failure of class {klass!r} counts in the days asked")
    grid = NodeDays.of(risk)
    days, age, unit = grid.rows["node_days"].to_numpy(), ages_of(grid, fleet), grid.number_of_row()
    row = grid.of_rows(events)
    row = row[row >= 0]
    failed = row[(days[row] > 0) & (age[row] >= 0)]
    oldest = int(age.max(initial=-1))
    if oldest < 0 or not days[age >= 0].any():
        raise RefusalError("no node's age is known: give an inventory with valid_from")
    # The last place is that of unknown ages, which Python calls -1.
    band = np.append(np.searchsorted(7 * edges, np.arange(oldest + 1), "right") - 1, len(edges))
    cell = unit * (len(edges) + 1) + band[age]
    size = grid.nodes.height * (len(edges) + 1)
    by_band = _counted(cell, days, failed, size).with_columns(
        unit=pl.int_range(size) // (len(edges) + 1),
        age_days=pl.Series(np.tile(np.append(7 * edges, np.nan), grid.nodes.height)),
    )
    by_age = _counted(age % (oldest + 2), days, failed, oldest + 2).with_columns(
        age_days=pl.int_range(oldest + 2)
    )
    unknown = by_age["node_days"][-1]
    is_lived = (pl.col("node_days") > 0) & ~pl.col("age_days").cast(pl.Float64).is_nan()
    return by_band.filter(is_lived), by_age[:-1].filter(is_lived), unknown


def _counted(place: Ints, days: Floats, failed: Ints, size: int) -> pl.DataFrame:
    """Node-days and failures at each of `size` places; `place` is told by row."""
    return pl.DataFrame(
        {
            "node_days": np.bincount(place, days, minlength=size),
            "failures": np.bincount(place[failed], minlength=size),
        }
    )


def ages_of(grid: NodeDays, fleet: pl.DataFrame) -> Ints:
    """By row, the age of its node in whole days; -1 where nobody knows.

    A new life begins where the inventory has a gap; of two the one that began last by that day.
    """
    is_new = (pl.col("valid_from") > pl.col("valid_to").shift(1)).over(ID).fill_null(True)
    lives = (
        fleet.sort(*ID, "valid_from")
        .with_columns(is_new=is_new)
        .filter("is_new")
        .select(
            *ID,
            born_on=pl.col("valid_from").dt.date().to_physical(),
            is_dated=pl.col("valid_from") > ALWAYS,
            turn=pl.int_range(pl.len()).over(ID),
        )
    )
    age = np.full(grid.rows.height, -1, np.int64)
    for own in lives.partition_by("turn", maintain_order=True):
        born, is_dated = np.full(grid.nodes.height, NEVER), np.zeros(grid.nodes.height, bool)
        number = grid.numbers(own)
        is_here = number >= 0
        born[number[is_here]] = own["born_on"].to_numpy()[is_here]
        is_dated[number[is_here]] = own["is_dated"].to_numpy()[is_here]
        for one in grid.stretches:
            came, mine = born[one.nodes], one.grid(age)
            some = slice(None) if (came < NEVER).all() else np.flatnonzero(came < NEVER)
            grown = one.days[:, None] - came[some]
            told = np.where(is_dated[one.nodes[some]], grown, -1)
            mine[:, some] = np.where(grown >= 0, told, mine[:, some])
    return age


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


def _steady(
    cells: pl.DataFrame, ages: pl.DataFrame, early: float, late: float, asked: Asked
) -> tuple:
    """Trend of the plateau's failures over the node-days spent at each age, the younger first."""
    what, (r, days) = "growth slope of the plateau", _total(cells)
    if not days:
        return (what, early, late, r, days, *[None] * 6, "not seen: no exposure at those ages")
    if r < trends.FEWEST:
        told = f"too few failures ({r}, at least {trends.FEWEST} are needed)"
        return (what, early, late, r, days, *[None] * 6, told)
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
