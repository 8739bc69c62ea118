"""Are two fleets, places or periods different (R-8)? One exact ratio, or a refusal.

    hall=H1 against hall=H2          2026-03-02..2026-03-09 against 2026-03-09..2026-03-16
    provider=a,2026-03-02..2026-04-01 against provider=b,2026-03-02..2026-04-01

Both sides are counted by one definition on one clock, or not at all. Beside the ratio stands the
smallest fall that the first side's failures could have shown: below it no arrow may be drawn.
"""

import math
import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from transforms import eras
from transforms.comparison import smallest_detectable_change
from transforms.definitions import DefinedRate
from transforms.mtbf import ALL
from transforms.operating import stood
from transforms.reliability.dispersion import rate_limits
from transforms.studies.base import (
    Asked,
    RefusalError,
    Study,
    at_risk,
    counted,
    node_days_of,
    watched_enough,
)
from transforms.studies.rates import FEWEST_FOR_PHI, PLACES, scatter_of
from transforms.tables import derived as d

ASSUMED = ("held", "too few failures to tell", "not held")
"""Of two sides the later of these goes for their ratio."""
_PERIOD = re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: where, and in which days [since, until)."""

    text: str
    where: tuple[tuple[str, str], ...]
    since: date | None
    until: date | None

    @staticmethod
    def of(text: str) -> "Side":
        where, since, until = [], None, None
        for part in filter(None, text.split(",")):
            name, equals, value = part.partition("=")
            if found := _PERIOD.fullmatch(part.strip()):
                since, until = (date.fromisoformat(day) for day in found.groups())
            elif equals and name.strip() in PLACES:
                where.append((name.strip(), value.strip()))
            else:
                raise RefusalError(
                    f"cannot read {part!r}: write PLACE=NAME with one of {', '.join(PLACES)}, "
                    "or a period such as 2026-03-02..2026-03-09"
                )
        return Side(text, tuple(where), since, until)

    def of_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.filter(*(pl.col(name) == value for name, value in self.where))
        if self.since:
            rows = rows.filter(pl.col("day") >= self.since)
        return rows.filter(pl.col("day") < self.until) if self.until else rows


def compare(
    asked: Asked,
    *,
    failures: pl.DataFrame,
    exposure: pl.DataFrame,
    calendar: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per side and one for their ratio (second over first), for the sides of the options.

    With overdispersion on either side the ratio's interval is widened as R-5 says. Sides whose
    days were counted by other detectors, as the calendar has it, are refused unless
    `across_detectors` is "yes".
    """
    sides = [Side.of(asked.options[name]) for name in ("first", "second")]
    risk = at_risk(exposure, asked)
    if calendar is not None and asked.options.get("across_detectors") != "yes":
        _refuse_other_detectors(asked, sides, risk, calendar)
    hits = stood(counted(failures, asked), risk, PLACES[1:4])
    rows: list[tuple] = []
    told, phis, held = [], [], []
    for side in sides:
        watched, seen = side.of_rows(risk), side.of_rows(hits)
        days, r = float(watched["node_days"].sum()), int(seen["failures"].sum())
        if not days:
            raise RefusalError(
                f"{side.text}: no exposure there and then on the {asked.clock} clock"
            )
        watched_enough(watched, side.text)
        cells = (
            watched.group_by("day")
            .agg(pl.col("node_days").sum())
            .join(seen.group_by("day").agg(pl.col("failures").sum()), on="day", how="left")
            .filter(pl.col("node_days") > 0)
            .sort("day")
        )
        scatter = scatter_of(
            cells["failures"].fill_null(0).to_numpy().astype(float),
            cells["node_days"].to_numpy(),
            np.random.default_rng(asked.seed),
        )
        is_told = r >= FEWEST_FOR_PHI and not math.isnan(scatter.phi)
        phi = scatter.phi if is_told and not scatter.is_poisson else 1.0
        phis.append(phi)
        held.append(
            "too few failures to tell" if not is_told else "held" if phi == 1 else "not held"
        )
        lo, hi = rate_limits(r, days, phi, asked.level)
        told.append(DefinedRate(r, days, asked.definition, asked.clock, asked.klass))
        rows.append((side.text, r, days, 1000 * r / days, 1000 * lo, 1000 * hi, None, phi))
    ratio = told[1].over(told[0], asked.level)
    low, high = ratio.low, ratio.high
    if (phi := max(phis)) > 1 and min(told[0].failures, told[1].failures):
        low, high = (ratio.ratio * (edge / ratio.ratio) ** phi**0.5 for edge in (low, high))
    verdict = "differs" if low > 1 or high < 1 else "no evidence of a difference"
    rows.append(("second over first", None, None, ratio.ratio, low, high, ratio.p, phi))
    base = told[0].failures / max(1.0, phi)
    schema = {
        "what": pl.String,
        "failures": pl.Int64,
        "node_days": pl.Float64,
        "value": pl.Float64,
        "lo": pl.Float64,
        "hi": pl.Float64,
        "p": pl.Float64,
        "phi": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        unit=pl.Series(["per 1000 node-days"] * 2 + ["ratio"]),
        assumption=pl.Series([*held, max(held, key=list(ASSUMED).index)]),
        verdict=pl.Series([None, None, verdict], dtype=pl.String),
        smallest_fall_shown=pl.Series([None, None, smallest_detectable_change(int(base))]),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _refuse_other_detectors(
    asked: Asked, sides: list[Side], risk: pl.DataFrame, calendar: pl.DataFrame
) -> None:
    klass = None if asked.klass == ALL else asked.klass
    first, second = (
        eras.detectors_in_force(
            side.of_rows(risk)["day"].unique(), calendar, klass, dict(side.where).get("hall")
        )
        for side in sides
    )
    if first and second and first != second:
        changes = sorted({text for force in first ^ second for text in force})
        raise RefusalError(
            "these sides were not counted by the same detectors: they changed on "
            f"{'; '.join(changes)}. Compare days of one side of that, or say --across-detectors"
        )


STUDY = Study(
    name="compare",
    title="Two places or periods: the exact ratio of their rates, and what could have been seen",
    reads=(d.FAILURES, d.EXPOSURE),
    by=compare,
    needs=("calendar",),
    columns=lambda asked: node_days_of(asked, *PLACES[1:4], "wall_ms", "unobserved_ms"),
)
