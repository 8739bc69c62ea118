"""Do failures thin out or crowd (R-10)? Laplace, MIL-HDBK-189 and Crow-AMSAA on operation.

Each failure stands at the node-days its fleet had operated until then, so that a fleet that grows
shows no trend for growing. The window ends by the calendar, hence the time-truncated forms.
`growth_slope` is the power-law exponent of Crow-AMSAA; the literature calls it beta, as it does
the shape of a Weibull life, which is another thing: below 1 here failures of a fleet thin out.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from transforms.mtbf import ALL
from transforms.operating import instants, observed_until, operated, operation
from transforms.reliability import trends
from transforms.reliability.dispersion import rate_limits
from transforms.studies.base import Asked, RefusalError, Study, at_risk
from transforms.studies.rates import FEWEST_FOR_PHI, KINDS, PLACES, scatter_of
from transforms.tables import derived as d

ANSWER = {
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "left_out": pl.Int64,
    "laplace_u": pl.Float64,
    "laplace_p": pl.Float64,
    "mil_chi_square": pl.Float64,
    "mil_freedom": pl.Int64,
    "mil_p": pl.Float64,
    "growth_slope": pl.Float64,
    "growth_slope_lo": pl.Float64,
    "growth_slope_hi": pl.Float64,
    "growth_slope_unbiased": pl.Float64,
    "reading": pl.String,
    "mtbf_hours": pl.Float64,
    "mtbf_hours_lo": pl.Float64,
    "mtbf_hours_hi": pl.Float64,
    "mtbf_now_hours": pl.Float64,
    "mtbf_now_hours_lo": pl.Float64,
    "mtbf_now_hours_hi": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
}


def trend(asked: Asked, *, incidents: pl.DataFrame, exposure: pl.DataFrame) -> pl.DataFrame:
    """One row per unit and kind of `asked.options["by"]`: the tests, the slope and what it says.

    Where failures scatter about the fitted law beyond chance (`phi`), tests and limits are widened
    by it, and `assumption` says so. `laplace_q` is the p among all the rows' (Benjamini-Hochberg).
    `left_out` failures met no exposure of their unit. Below four failures a row has no test.
    """
    by = _columns(asked)
    units, kinds = [n for n in by if n not in KINDS], [n for n in by if n in KINDS]
    risk = at_risk(exposure, asked)
    klass = None if asked.klass == ALL else asked.klass
    stands = [name for name in units if name in PLACES[1:4]]
    events = instants(incidents, exposure, asked.definition, klass, stands)
    if klass and events.is_empty():
        raise RefusalError(f"no failure of class {klass!r} counts in the days asked")
    days = operation(risk, units)
    hits = operated(events, days, units, observed_until(exposure))
    times = _grouped(hits, [*units, *kinds])
    edges = _grouped(days, units)
    keys = list(times) if kinds else list(dict.fromkeys([*edges, *times]))
    rows = []
    for key in keys:
        watch = edges.get(key[: len(units)])
        rows.append((*key, *_answer(times.get(key), watch, asked)))
    schema = pl.Schema([*((n, hits.schema[n]) for n in by), *ANSWER.items()])
    found = pl.DataFrame(rows, schema=schema, orient="row").sort(by, nulls_last=True)
    return found.with_columns(
        laplace_q=_among_all(found["laplace_p"]),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _columns(asked: Asked) -> list[str]:
    named = [n for n in asked.options.get("by", "cluster").replace(",", " ").split() if n]
    known = (*PLACES, *KINDS)
    if strange := [name for name in named if name not in known]:
        raise RefusalError(f"cannot group by {', '.join(strange)}: there are {', '.join(known)}")
    # Places first: a kind's failures share the operation of their place.
    return [n for n in named if n not in KINDS] + [n for n in named if n in KINDS]


def _grouped(frame: pl.DataFrame, names: Sequence[str]) -> dict[tuple, pl.DataFrame]:
    if not names:
        return {(): frame}
    return frame.partition_by(names, as_dict=True, maintain_order=True)


def _answer(hits: pl.DataFrame | None, days: pl.DataFrame | None, asked: Asked) -> tuple:
    seen = 0 if hits is None else hits.height
    total = 0.0 if days is None else float(days["node_days"].sum())
    times = np.array([]) if hits is None else hits["operated"].drop_nulls().to_numpy()
    r, left_out = len(times), seen - len(times)
    if r < trends.FEWEST:
        average = _mtbf(r, total, 1.0, asked.level)
        told = f"too few failures ({r}, at least {trends.FEWEST} are needed)"
        return (r, total, left_out, *[None] * 9, told, *average, *[None] * 4, "too few to tell")
    found = trends.trend(times, total, "time", asked.level)
    assert days is not None
    phi, assumption = _scatter(times, days, found, asked)
    wide = phi if assumption == "not held" and phi else 1.0
    lo, hi = trends.slope_limits(found, wide, asked.level)
    now = trends.mtbf_now_limits(found, wide, asked.level)
    half = found.chi_square / wide, found.freedom / wide
    return (
        r,
        total,
        left_out,
        found.laplace_u,
        float(2 * stats.norm.sf(abs(found.laplace_u) / math.sqrt(wide))),
        found.chi_square,
        found.freedom,
        float(min(1.0, 2 * min(stats.chi2.sf(*half), stats.chi2.cdf(*half)))),
        found.growth_slope,
        lo,
        hi,
        found.unbiased_slope,
        "improving" if hi < 1 else "worsening" if lo > 1 else "no evidence of a trend",
        *_mtbf(r, total, wide, asked.level),
        24 * found.mtbf_now,
        24 * now[0],
        24 * now[1],
        phi,
        assumption,
    )


def _mtbf(r: int, node_days: float, phi: float, level: float) -> tuple[float | None, ...]:
    if not node_days:
        return (None, None, None)
    lo, hi = rate_limits(r, node_days, phi, level)
    return (24 * node_days / r if r else None, 24 / hi, 24 / lo if lo else None)


def _scatter(
    times: np.ndarray, days: pl.DataFrame, found: trends.Trend, asked: Asked
) -> tuple[float | None, str]:
    """Variation between days about the fitted law: a trend is no scatter."""
    if len(times) < FEWEST_FOR_PHI:
        return None, "too few to tell"
    ends = np.append(0.0, np.cumsum(days["node_days"].to_numpy()))
    ends[-1] = max(ends[-1], times.max())
    counts, _ = np.histogram(times, ends)
    expected = found.scale * np.diff(ends**found.growth_slope)
    shown = expected > 0
    scatter = scatter_of(counts[shown], expected[shown], np.random.default_rng(asked.seed))
    if math.isnan(scatter.phi):
        return None, "too few to tell"
    return scatter.phi, "held" if scatter.is_poisson else "not held"


def _among_all(p: pl.Series) -> pl.Series:
    """Each p as the false discovery rate at which it would be called, among all that were tried."""
    known = p.is_not_null().to_numpy()
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = stats.false_discovery_control(p.drop_nulls().to_numpy())
    return pl.Series("laplace_q", q).fill_nan(None)


STUDY = Study(
    name="trend",
    title="Is it getting better or worse? Trend tests on cumulative node-days",
    reads=(d.INCIDENTS, d.EXPOSURE),
    by=trend,
)
