"""How often does it fail, by anything that a node is or a day lies in (R-1 to R-5)?

One row per unit and class, with exact limits where failures come one by one, and wider ones where
they do not: `phi` is the variation between days or between nodes, whichever is larger, and where
it shows beyond chance the interval is quasi-Poisson and `assumption` says so.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.reliability.coverage import ENOUGH, rate_over_gaps
from transforms.reliability.dispersion import Dispersion, dispersion, rate_limits
from transforms.studies.base import Asked, RefusalError, Study, at_risk, counted, node_days_of
from transforms.tables import derived as d

PLACES = ("cluster", "provider", "hall", "rack", "node")
PERIODS = {"day": "1d", "week": "1w", "month": "1mo"}
KINDS = ("class", "component")
FEWEST_FOR_PHI = 10
"""Failures below which nothing can be said of how they scatter."""
CELLS_NEED = 1.0
"""Expected failures a cell, below which cells are judged by chance draws, not by chi-square."""


def by_columns(asked: Asked, known: Sequence[str] = (*PLACES, *PERIODS, *KINDS)) -> tuple[str, ...]:
    """The columns that `asked.options["by"]` names, each of `known` and once."""
    said = asked.options.get("by", "cluster").replace(",", " ").split()
    named = tuple(dict.fromkeys(said))
    if strange := [name for name in named if name not in known]:
        raise RefusalError(f"cannot group by {', '.join(strange)}: there are {', '.join(known)}")
    return named


def rates(asked: Asked, *, failures: pl.DataFrame, exposure: pl.DataFrame) -> pl.DataFrame:
    """Rates by the columns named in `asked.options["by"]`, each with its whole pedigree.

    Columns: by, failures, node_days, coverage, per_1000_node_days, _lo, _hi, mtbf_hours, _lo,
    _hi, phi, assumption, clock, definition, counted. A failure on a node without exposure keeps
    its row.
    """
    by = by_columns(asked)
    units = [name for name in by if name not in KINDS]
    kinds = [name for name in by if name in KINDS]
    hours = with_periods(at_risk(exposure, asked), units)
    places = exposure.select("day", "cluster", "node", *(p for p in PLACES[1:4])).unique(
        ["day", "cluster", "node"]
    )
    hits = counted(failures, asked).join(places, on=["day", "cluster", "node"], how="left")
    hits = with_periods(hits.cast({"class": pl.String}), units)
    sums = [pl.col(name).sum() for name in ("node_days", "wall_ms", "unobserved_ms")]
    exposed = hours.group_by(units).agg(sums) if units else hours.select(sums)
    counts = (
        hits.group_by([*units, *kinds]).agg(pl.col("failures").cast(pl.Int64).sum())
        if by
        else hits.select(pl.col("failures").cast(pl.Int64).sum())
    )
    rows = (
        counts.join(
            exposed, on=units, how="full" if not kinds else "left", coalesce=True, nulls_equal=True
        )
        if units
        else counts.join(exposed, how="cross")
    )
    rows = rows.with_columns(
        pl.col("failures").fill_null(0),
        pl.col("node_days").fill_null(0.0),
        coverage=1 - pl.col("unobserved_ms") / pl.col("wall_ms"),
    ).drop("wall_ms", "unobserved_ms")
    scatter = [
        _scatter(row, [*units, *kinds], hits, hours, units, asked)
        for row in rows.iter_rows(named=True)
    ]
    answered = [
        _answer(row, found, asked)
        for row, found in zip(rows.iter_rows(named=True), scatter, strict=True)
    ]
    schema = pl.Schema([*((n, rows.schema[n]) for n in [*units, *kinds]), *ANSWER.items()])
    return pl.DataFrame(answered, schema=schema, orient="row").sort(
        [*units, *kinds], nulls_last=True
    )


ANSWER = {
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "coverage": pl.Float64,
    "per_1000_node_days": pl.Float64,
    "per_1000_node_days_lo": pl.Float64,
    "per_1000_node_days_hi": pl.Float64,
    "mtbf_hours": pl.Float64,
    "mtbf_hours_lo": pl.Float64,
    "mtbf_hours_hi": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
    "clock": pl.String,
    "definition": pl.String,
    "counted": pl.String,
}


def with_periods(frame: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
    """Add the column `week` (its Monday) or `month` (its first) where `units` names it."""
    made = [
        pl.col("day").dt.truncate(every).alias(name)
        for name, every in PERIODS.items()
        if name in units and name != "day"
    ]
    return frame.with_columns(made)


def _scatter(
    row: dict,
    names: Sequence[str],
    hits: pl.DataFrame,
    hours: pl.DataFrame,
    units: Sequence[str],
    asked: Asked,
) -> Dispersion | None:
    """The larger variation of the unit's failures: between its days, or between its nodes."""
    if row["failures"] < FEWEST_FOR_PHI or not row["node_days"]:
        return None
    mine = hits.filter(*(pl.col(n).eq_missing(row[n]) for n in names))
    watched = hours.filter(*(pl.col(n).eq_missing(row[n]) for n in units))
    found = []
    for cells in (["day"], ["cluster", "node"]):
        risk = watched.group_by(cells).agg(pl.col("node_days").sum())
        seen = mine.group_by(cells).agg(pl.col("failures").cast(pl.Int64).sum())
        joined = risk.join(seen, on=cells, how="left").with_columns(pl.col("failures").fill_null(0))
        joined = joined.filter(pl.col("node_days") > 0).sort(cells)
        found.append(
            scatter_of(
                joined["failures"].to_numpy(),
                joined["node_days"].to_numpy(),
                np.random.default_rng(asked.seed),
            )
        )
    told = [one for one in found if not math.isnan(one.phi)]
    broken = [one for one in told if not one.is_poisson]
    return max(broken or told, key=lambda one: one.phi, default=None)


def scatter_of(counts: np.ndarray, exposure: np.ndarray, rng: np.random.Generator) -> Dispersion:
    """Dispersion with a p that holds for sparse cells too: by 400 draws where chi-square cannot."""
    found = dispersion(counts, exposure)
    total = int(counts.sum())
    if math.isnan(found.phi) or total / len(counts) >= CELLS_NEED or total > 100_000:
        return found
    drawn = rng.multinomial(total, exposure / exposure.sum(), size=400)
    expected = total * exposure / exposure.sum()
    null = ((drawn - expected) ** 2 / expected).sum(axis=1)
    p = (1 + int((null >= found.chi_square).sum())) / 401
    return Dispersion(found.phi, found.chi_square, found.freedom, p, found.cells)


def _answer(row: dict, found: Dispersion | None, asked: Asked) -> tuple:
    r, t, coverage = row["failures"], row["node_days"], row["coverage"]
    unit = [value for name, value in row.items() if name not in ANSWER]
    pedigree = (asked.clock, asked.definition, asked.klass)
    if found is None:
        phi, assumption = None, "too few failures to tell"
    else:
        phi, assumption = found.phi, "held" if found.is_poisson else "not held"
    if not t:
        return (*unit, r, 0.0, coverage, *[None] * 6, phi, "no exposure", *pedigree)
    lo, hi = rate_limits(r, t, phi or 1.0 if assumption == "not held" else 1.0, asked.level)
    rate, mtbf = 1000 * r / t, 24 * t / r if r else None
    if coverage < ENOUGH:
        low, high = gap_factors(coverage, asked.clock)
        lo, hi = lo * low, hi * high
        rate = mtbf = None
        assumption = f"{coverage:.1%} of the time observed: bounds only"
    limits = (1000 * lo, 1000 * hi if math.isfinite(hi) else None)
    hours = (mtbf, 24 / hi if hi else None, 24 / lo if lo else None)
    return (*unit, r, t, coverage, rate, *limits, *hours, phi, assumption, *pedigree)


def gap_factors(coverage: float, clock: str) -> tuple[float, float]:
    """What the limits of a rate on `clock` are multiplied by, to admit the unobserved time.

    The wall clock has that time in its exposure already, the others have not.
    """
    if not coverage:
        return (1.0 if clock == "wall" else 0.0), math.inf
    covered = rate_over_gaps(1, coverage, 1.0)
    scale = coverage if clock == "wall" else 1.0
    one = covered.per_1000_node_days
    return covered.lo / one / scale, covered.hi / one / scale


STUDY = Study(
    name="rates",
    title="Failure rates by place, period or class, with intervals and whether they may be believed",
    reads=(d.FAILURES, d.EXPOSURE),
    by=rates,
    columns=lambda asked: node_days_of(asked, *PLACES[1:4], "wall_ms", "unobserved_ms"),
)
