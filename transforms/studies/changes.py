"""When did a rate change, and was something else changed then (D-6)?

Every series (cluster, class, component, hall) is asked three things, on daily counts over the
exposure of the same days, so that a growing fleet is no change:

    change points   the best cut of the days in two, its p by Monte Carlo; where one stands out,
                    all cuts by optimal partitioning, each beside the nearest calendar entry
    chart           a CUSUM over the last weeks against the eight before them, with a threshold
                    from simulated runs in control
    this week       the last seven days against the eight weeks before them

Many series make some change by luck: among cuts, and among weeks, findings are held to one false
in ten (Benjamini-Hochberg). No baseline reaches across a change of detectors: the days before it
were counted by others. Where days vary more than chance allows, all three allow for it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
from scipy import stats

from transforms import eras
from transforms.comparison import rate_ratio, smallest_detectable_change
from transforms.daily import Daily, daily
from transforms.mtbf import ALL
from transforms.projection import next_count
from transforms.reliability import changes as d6
from transforms.reliability.dispersion import rate_limits
from transforms.reliability.domains import benjamini_hochberg
from transforms.studies.base import Asked, RefusalError, Study, at_risk, counted, number
from transforms.studies.rates import FEWEST_FOR_PHI, scatter_of
from transforms.tables import derived as d

FALSE_SHARE = 0.1
BASELINE_DAYS = 56
FEWEST_BASELINE_DAYS = 14
WEEK = 7
TIMES = 2.0
"""The rise that the chart is tuned to see soonest."""
ENOUGH = 40
"""Draws as strange as the data after which a cut is dull for certain."""

ANSWER = {
    "cluster": pl.String,
    "series": pl.String,
    "name": pl.String,
    "since": pl.Date,
    "until": pl.Date,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "per_1000_node_days": pl.Float64,
    "per_1000_node_days_lo": pl.Float64,
    "per_1000_node_days_hi": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
    "p": pl.Float64,
    "verdict": pl.String,
    "changed_on": pl.Date,
    "per_1000_before": pl.Float64,
    "per_1000_after": pl.Float64,
    "ratio": pl.Float64,
    "ratio_lo": pl.Float64,
    "ratio_hi": pl.Float64,
    "calendar": pl.String,
    "chart_height": pl.Float64,
    "chart_threshold": pl.Float64,
    "alarm_on": pl.Date,
    "week_failures": pl.Int64,
    "week_expected": pl.Float64,
    "week_lo": pl.Float64,
    "week_hi": pl.Float64,
    "week_p": pl.Float64,
    "week_verdict": pl.String,
    "smallest_fall_shown": pl.Float64,
}


@dataclass
class _Era:
    """One series between two changes of detectors; `is_last` reaches to the last day."""

    of: Daily
    days: list[date]
    y: np.ndarray
    e: np.ndarray
    is_last: bool
    phi: float = math.nan
    is_poisson: bool = True
    cut: d6.Split | None = None

    @property
    def factor(self) -> float:
        """What everything that supposes Poisson's variation is widened by."""
        return 1.0 if self.is_poisson else self.phi


def changes(
    asked: Asked, *, failures: pl.DataFrame, exposure: pl.DataFrame, calendar: pl.DataFrame
) -> pl.DataFrame:
    """One row per series and change point, one for a series without any; series with a finding
    first. A series that spans a change of detectors has rows for each era.

    Options: `watch` (days of the chart, 28), `weeks` (between its false alarms, 26), `draws`
    (20,000). The chart and the week stand in the rows of the last era only.
    """
    watch = int(number(asked, "watch", 28, 7, 365))
    weeks = number(asked, "weeks", 26, 1, 520)
    draws = int(number(asked, "draws", 20_000, 99, 1_000_000))
    series = daily(counted(failures, asked), at_risk(exposure, asked))
    rng = np.random.default_rng(asked.seed)
    klass = None if asked.klass == ALL else asked.klass
    series = [replace(one, klass=one.klass or klass) for one in series]
    found = [era for one in series for era in _eras(one, calendar)]
    for era in found:
        _judge(era, draws, rng)
    cut = [era for era in found if era.cut is not None]
    if not cut:
        raise RefusalError(
            f"no series has {FEWEST_FOR_PHI} failures on the days asked: "
            "no change could be told from chance. Ask for more days"
        )
    told = benjamini_hochberg([era.cut.p for era in cut if era.cut], FALSE_SHARE)
    changed = {id(era) for era, stands_out in zip(cut, told, strict=True) if stands_out}
    recent = {id(era): _recent(era, watch, weeks, rng) for era in found if era.is_last}
    judged = [key for key, row in recent.items() if row.get("week_p") is not None]
    odd = benjamini_hochberg([recent[key]["week_p"] for key in judged], FALSE_SHARE)
    for key, is_odd in zip(judged, odd, strict=True):
        row = recent[key]
        rose = row["week_failures"] > row["week_expected"]
        row["week_verdict"] = (
            ("more than usual" if rose else "fewer than usual")
            if is_odd
            else "no evidence of a change"
        )
    rows = [
        row | recent.get(id(era), {})
        for era in found
        for row in _rows(era, id(era) in changed, calendar, asked.level)
    ]
    order = pl.col("changed_on").is_null() & pl.col("alarm_on").is_null()
    return (
        pl.DataFrame(rows, schema=ANSWER)
        .sort(order, maintain_order=True)
        .with_columns(
            tried=pl.lit(len(cut)),
            clock=pl.lit(asked.clock),
            definition=pl.lit(asked.definition),
            counted=pl.lit(asked.klass),
        )
    )


def _eras(one: Daily, calendar: pl.DataFrame) -> Iterator[_Era]:
    cuts = eras.eras_of(one.days, eras.detector_days(calendar, one.klass, one.hall))
    for part in cuts:
        y, e = one.failures[part], one.node_days[part]
        yield _Era(one, one.days[part], y, e, is_last=part is cuts[-1])


def _judge(era: _Era, draws: int, rng: np.random.Generator) -> None:
    """Cut the era in two, and see whether its halves then vary by chance alone."""
    if era.y.sum() < FEWEST_FOR_PHI or len(era.y) < 2:
        return
    at = d6.split(era.y, era.e).after
    expected = np.concatenate(
        [part.sum() / over.sum() * over for part, over in ((era.y[:at], era.e[:at]), (era.y[at:], era.e[at:]))]
    )  # fmt: skip
    scatter = scatter_of(era.y[expected > 0], expected[expected > 0], rng)
    # The cut was fitted too, and to where it pleased: two freedoms more are gone.
    era.phi = scatter.phi * (len(era.y) - 1) / max(len(era.y) - 3, 1)
    era.is_poisson = scatter.is_poisson
    era.cut = d6.split(era.y, era.e, rng, draws, era.factor, ENOUGH)


def _rows(era: _Era, has_changed: bool, calendar: pl.DataFrame, level: float) -> Iterator[dict]:
    count, days = int(era.y.sum()), float(era.e.sum())
    lo, hi = rate_limits(count, days, era.factor, level)
    if era.cut is None:
        verdict, assumption = "too few failures to tell", "too few failures to tell"
    else:
        verdict = "changed" if has_changed else "no evidence of a change"
        assumption = "held" if era.is_poisson else "not held"
    row = {
        "cluster": era.of.cluster,
        "series": era.of.sort,
        "name": era.of.name,
        "since": era.days[0],
        "until": era.days[-1],
        "failures": count,
        "node_days": days,
        "per_1000_node_days": 1000 * count / days,
        "per_1000_node_days_lo": 1000 * lo,
        "per_1000_node_days_hi": 1000 * hi,
        "phi": None if math.isnan(era.phi) else era.phi,
        "assumption": assumption,
        "p": era.cut.p if era.cut else None,
        "verdict": verdict,
    }
    if not has_changed or era.cut is None:
        yield row
        return
    near = eras.concerning(calendar, era.of.klass, era.of.hall)
    # Partitioning charges more for a cut than the test does; what the test found stays found.
    cuts = d6.segments(era.y / era.factor, era.e) or [era.cut.after]
    edges = [0, *cuts, len(era.y)]
    for a, b, c in zip(edges, edges[1:], edges[2:], strict=False):
        before, after = (int(era.y[p].sum()) for p in (slice(a, b), slice(b, c)))
        over = tuple(float(era.e[p].sum()) for p in (slice(a, b), slice(b, c)))
        ratio = rate_ratio(after, over[1], before, over[0], level)
        low, high = ratio.low, ratio.high
        if era.factor > 1 and before and after:
            low, high = (ratio.ratio * (x / ratio.ratio) ** era.factor**0.5 for x in (low, high))
        yield row | {
            "changed_on": era.days[b],
            "per_1000_before": 1000 * before / over[0],
            "per_1000_after": 1000 * after / over[1],
            "ratio": ratio.ratio,
            "ratio_lo": low,
            "ratio_hi": high,
            "calendar": eras.nearest(near, era.days[b]),
        }


def _recent(era: _Era, watch: int, weeks: float, rng: np.random.Generator) -> dict:
    """The chart over the last days and the last week, each against the eight weeks before it."""
    row: dict = {}
    start = len(era.y) - watch
    base = slice(max(0, start - BASELINE_DAYS), max(0, start))
    seen, over = float(era.y[base].sum()), float(era.e[base].sum())
    if start >= FEWEST_BASELINE_DAYS and seen >= FEWEST_FOR_PHI:
        reference = d6.cusum_reference(1.0, TIMES) * seen / over
        means = era.e[start:] * seen / over
        height = d6.cusum(era.y[start:] - reference * era.e[start:], 0.0)
        limit = d6.cusum_threshold(
            float(means.mean()),
            float(means.mean()) * d6.cusum_reference(1.0, TIMES),
            weeks * WEEK,
            rng,
            seen=seen / era.factor,
            phi=era.factor,
        )
        crossed = np.flatnonzero(height >= limit)
        row |= {
            "chart_height": float(height[-1]),
            "chart_threshold": limit,
            "alarm_on": era.days[start + int(crossed[0])] if len(crossed) else None,
        }
    start = len(era.y) - WEEK
    base = slice(max(0, start - BASELINE_DAYS), max(0, start))
    if start >= FEWEST_BASELINE_DAYS and era.e[start:].sum() > 0:
        row |= _week(
            int(era.y[start:].sum()),
            float(era.e[start:].sum()),
            int(era.y[base].sum()),
            float(era.e[base].sum()),
            era.factor,
        )
    return row


def _week(seen: int, over: float, base: int, base_over: float, factor: float) -> dict:
    """The week against what the baseline, known only so well itself, lets one expect (S-2).

    With counts that vary `factor` times as much, both weigh that much less.
    """
    law = next_count(base, base_over, over)
    mean, lo, hi = law.mean, law.lo, law.hi
    share = base_over / (base_over + over)
    if factor > 1:
        sigma = math.sqrt(factor * mean + mean**2 / (base / factor + 0.5))
        p = 2 * float(stats.norm.sf(max(abs(seen - mean) - 0.5, 0) / sigma))
        lo, hi = max(0.0, mean - 1.96 * sigma), mean + 1.96 * sigma
    else:
        chance = stats.nbinom(base + 0.5, share)
        p = 2 * min(float(chance.sf(seen - 1)), float(chance.cdf(seen)))
    return {
        "week_failures": seen,
        "week_expected": mean,
        "week_lo": lo,
        "week_hi": hi,
        "week_p": min(p, 1.0),
        "smallest_fall_shown": smallest_detectable_change(int(mean / factor)),
    }


STUDY = Study(
    name="changes",
    title="When did a rate change? Change points, charts and this week, beside the calendar",
    reads=(d.FAILURES, d.EXPOSURE),
    by=changes,
    needs=("calendar",),
)
