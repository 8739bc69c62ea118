"""The calendar of a fleet: what people changed, and when, beside what its failures did.

A change of a detector is of another sort than the others. With a new check in force more failures
are seen, whether or not more happen: the stretches before and after it are eras, counted by other
detectors, and a rate of one is no baseline for the other (methods R-15, D-6).
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

KINDS = ("detector", "driver", "firmware", "hall", "workload")
SCHEMA = pl.Schema(
    {
        "day": pl.Date,
        "kind": pl.String,
        "what": pl.String,
        "class": pl.String,
        "hall": pl.String,
    }
)
NEAR = timedelta(days=3)


def concerning(calendar: pl.DataFrame, klass: str | None, hall: str | None) -> pl.DataFrame:
    """Entries that bear on failures of `klass` in `hall`; None stands for all of them."""
    rows = calendar
    for name, value in (("class", klass), ("hall", hall)):
        if value is not None:
            rows = rows.filter(pl.col(name).is_null() | (pl.col(name) == value))
    return rows.sort("day", "kind", "what")


def detector_days(
    calendar: pl.DataFrame, klass: str | None = None, hall: str | None = None
) -> list[date]:
    """Days on which another set of detectors came into force."""
    rows = concerning(calendar, klass, hall).filter(pl.col("kind") == "detector")
    return rows["day"].unique().sort().to_list()


def eras_of(days: Sequence[date], changes: Sequence[date]) -> list[slice]:
    """Stretches of the sorted `days` between changes; one without any day is left out."""
    cuts = [sum(day < change for day in days) for change in sorted(changes)]
    edges = [0, *cuts, len(days)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def detectors_in_force(
    days: Iterable[date], calendar: pl.DataFrame, klass: str | None = None, hall: str | None = None
) -> set[tuple[str, ...]]:
    """The sets of detectors, each by the changes that made it, that counted on any of `days`."""
    rows = concerning(calendar, klass, hall).filter(pl.col("kind") == "detector")
    made = [(day, f"{day:%Y-%m-%d} {what}") for day, what in rows.select("day", "what").rows()]
    return {tuple(text for at, text in made if at <= day) for day in set(days)}


def nearest(calendar: pl.DataFrame, day: date) -> str | None:
    """The entry nearest to `day`, within three days, as text: the first question to a change."""
    rows = calendar.with_columns(off=(pl.col("day") - day).dt.total_days())
    rows = rows.filter(pl.col("off").abs() <= NEAR.days).sort(pl.col("off").abs(), "kind", "what")
    if rows.is_empty():
        return None
    found = rows.row(0, named=True)
    return f"{found['day']:%Y-%m-%d} {found['kind']}: {found['what']}"
