"""How often does it fail, by anything that a node is or a day lies in (R-1 to R-5)?

One row per unit and class, with exact limits where failures come one by one, and wider ones where
they do not: `phi` is the variation between days or between nodes, whichever is larger, and where
it shows beyond chance the interval is quasi-Poisson and `assumption` says so.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from transforms.exposure import CLOCKS
from transforms.fleet import ID
from transforms.mtbf import DAY_MS
from transforms.reliability.coverage import ENOUGH, rate_over_gaps
from transforms.reliability.dispersion import Dispersion, dispersion, rate_limits_of
from transforms.studies.base import Asked, RefusalError, Study, at_risk, counted, node_days_of
from transforms.studies.rate_grid import PERIODS as PERIODS
from transforms.studies.rate_grid import PLACES as PLACES
from transforms.studies.rate_grid import Grouped, RateGrid
from transforms.studies.rate_grid import with_periods as with_periods
from transforms.studies.scatter import CELLS_NEED, DRAWS, MANY, asked_of, with_larger
from transforms.studies.scatter import FEWEST_FOR_PHI as FEWEST_FOR_PHI
from transforms.tables import derived as d

KINDS = ("class", "component")


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
    kinds = [name for name in by if name in KINDS]
    at_risk(exposure, asked)
    times = {"ms": CLOCKS[asked.clock], "wall_ms": "wall_ms", "unobserved_ms": "unobserved_ms"}
    stands = [name for name in PLACES[1:4] if name in by]
    hours = exposure.select("day", *ID, *stands, **{n: pl.col(c) for n, c in times.items()})
    chosen = counted(failures, asked).cast({"class": pl.String, "failures": pl.Int64})
    units, hits = RateGrid.of(hours, chosen, by)
    by_day = {name: units.by_day(name) for name in times}
    exposed = pl.DataFrame(
        {name: cells.by_unit(cells.ms, units) for name, cells in by_day.items()}
    ).with_row_index("unit")
    exposed = exposed.cast({"unit": pl.Int64}).filter(pl.Series(units.has_exposure()))
    counts = hits.group_by("unit", *kinds).agg(pl.col("failures").sum())
    rows = counts.join(
        exposed, on="unit", how="left" if kinds else "full", coalesce=True
    ).with_columns(
        pl.col("failures").fill_null(0),
        node_days=pl.col("ms").fill_null(0) / DAY_MS,
        coverage=1 - pl.col("unobserved_ms") / pl.col("wall_ms"),
    )
    rows = _scattered(rows.drop(*times), hits, units, by_day["ms"], kinds, asked.seed)
    names = units.names[rows["unit"]]
    rows = pl.concat([rows, names.select(n for n in by if n not in KINDS)], how="horizontal")
    told = _answered(rows, asked).select(*by, *ANSWER)
    return told.sort(by, nulls_last=True) if by else told


def _scattered(
    rows: pl.DataFrame,
    hits: pl.DataFrame,
    units: RateGrid,
    by_day: Grouped,
    kinds: Sequence[str],
    seed: int,
) -> pl.DataFrame:
    """`rows` (unit, kinds, failures, node_days) with `phi` and `is_poisson`, as `scatter` does."""
    keys = ["unit", *kinds]
    asked = asked_of(rows, keys)
    hits = hits.join(asked, on=keys, how="semi")
    found = []
    if "day" not in units.names.columns:
        found.append(units.scattered(by_day, hits.rename({"by_day": "cell"}), kinds, seed))
    if not set(ID) <= set(units.names.columns):
        cells = units.by_node("ms")
        found.append(units.scattered(cells, hits.rename({"by_node": "cell"}), kinds, seed))
    return with_larger(rows, keys, found)


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


def scatter_of(counts: np.ndarray, exposure: np.ndarray, rng: np.random.Generator) -> Dispersion:
    """Dispersion with a p that holds for sparse cells too: by draws where chi-square cannot."""
    found = dispersion(counts, exposure)
    total = int(counts.sum())
    if math.isnan(found.phi) or total / len(counts) >= CELLS_NEED or total > MANY:
        return found
    drawn = rng.multinomial(total, exposure / exposure.sum(), size=DRAWS)
    expected = total * exposure / exposure.sum()
    null = ((drawn - expected) ** 2 / expected).sum(axis=1)
    p = (1 + int((null >= found.chi_square).sum())) / (DRAWS + 1)
    return Dispersion(found.phi, found.chi_square, found.freedom, p, found.cells)


def _answered(rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Rates, times and their limits beside the counts of `rows`, and whether they may be believed."""
    r, t = (rows[name].to_numpy().astype(float) for name in ("failures", "node_days"))
    phi = rows["phi"].to_numpy()
    is_wide = rows["is_poisson"].eq(False).fill_null(False).to_numpy()
    lo, hi = rate_limits_of(r, np.where(t > 0, t, np.nan), np.where(is_wide, phi, 1), asked.level)
    coverage = rows["coverage"].fill_null(1.0).to_numpy()
    scales = {seen: gap_factors(seen, asked.clock) for seen in set(coverage[coverage < ENOUGH])}
    factors = np.array([scales.get(seen, (1.0, 1.0)) for seen in coverage]).reshape(-1, 2)
    told = rows.with_columns(lo=pl.Series(lo * factors[:, 0]), hi=pl.Series(hi * factors[:, 1]))
    lo_, hi_, days = pl.col("lo"), pl.col("hi"), pl.col("node_days")
    is_exposed = days > 0
    is_seen = pl.col("coverage").fill_null(1.0) >= ENOUGH
    has_failed = is_exposed & (pl.col("failures") > 0)
    gap = pl.concat_str(
        (100 * pl.col("coverage")).round(1).cast(pl.String),
        pl.lit("% of the time observed: bounds only"),
    )
    return told.with_columns(
        per_1000_node_days=pl.when(is_exposed & is_seen).then(1000 * pl.col("failures") / days),
        per_1000_node_days_lo=pl.when(is_exposed).then(1000 * lo_),
        per_1000_node_days_hi=pl.when(is_exposed & hi_.is_finite()).then(1000 * hi_),
        mtbf_hours=pl.when(has_failed & is_seen).then(24 * days / pl.col("failures")),
        mtbf_hours_lo=pl.when(is_exposed & (hi_ > 0)).then(24 / hi_),
        mtbf_hours_hi=pl.when(is_exposed & (lo_ > 0)).then(24 / lo_),
        assumption=pl.when(~is_exposed)
        .then(pl.lit("no exposure"))
        .when(~is_seen)
        .then(gap)
        .when(pl.col("phi").is_null())
        .then(pl.lit("too few failures to tell"))
        .when("is_poisson")
        .then(pl.lit("held"))
        .otherwise(pl.lit("not held")),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


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
