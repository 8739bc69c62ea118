"""Observed tables to derived tables, month by month, in recipe order.

What of a month must be made anew when something has changed is for `making` to say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flows import making, settings, warehouse
from flows.atomic import sweep
from flows.census import Census
from flows.compacting import fold_late
from flows.lake import Lake
from flows.looks import (
    DAY,
    NothingObservedError,
    Observed,
    look,
    midnight,
    observed_days,
)
from flows.making import Stretch
from flows.memory import keep_freed
from transforms import recipes, tables
from transforms.recipes import Recipe, Window

BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class DeriveReport:
    """Days derived, and per table the rows that they now hold; `kept` stretches were current."""

    since: date
    until: date
    rows: dict[str, int]
    made: int
    kept: int


def derive(
    root: Path,
    since: date | None = None,
    until: date | None = None,
    progress: Callable[[str, int, int], None] = lambda label, done, whole: None,
) -> DeriveReport:
    """Make every derived table for the days [since, until), by default all that were observed."""
    keep_freed()
    lake = Lake(root)
    with lake.lock("derive"):
        sweep(lake.staging)
        census = Census(lake)
        fold_late(lake, census)
        stretches = plan(lake, since, until, census)
        made = making.make_all(lake, stretches, census, progress)
        if since is None and until is None:
            forget_unobserved(lake, stretches, census)
        progress("warehouse", len(stretches), len(stretches))
        report = summary(lake, stretches, made, census)
        warehouse.refresh(root, census)
        return report


def summary(
    lake: Lake, stretches: list[Stretch], made: int, census: Census | None = None
) -> DeriveReport:
    if not stretches:
        return DeriveReport(date.min, date.min, {}, 0, 0)
    since = min(s.window.since for s in stretches)
    until = max(s.window.until for s in stretches)
    makes = {table.name: table for s in stretches for table in s.recipe.makes}
    first, last = f"day={since:%Y-%m-%d}", f"day={until:%Y-%m-%d}"
    rows = {
        table.name: sum(seen.rows for x, seen in files.items() if not x or first <= x < last)
        for table, files in look(lake, makes.values(), census).items()
    }
    return DeriveReport(since.date(), until.date(), rows, made, len(stretches) - made)


def plan(
    lake: Lake,
    since: date | None = None,
    until: date | None = None,
    census: Census | None = None,
) -> list[Stretch]:
    """Cut the work: each recipe over each calendar month; undated tables over all days at once."""
    seen = observed_days(lake, settings.load(lake.root), census)
    first = midnight(since) if since else seen.since
    last = midnight(until) if until else seen.until
    if first >= last:
        raise NothingObservedError(
            f"no day from {first:%Y-%m-%d} to before {last:%Y-%m-%d}. "
            f"Observed are {seen.since:%Y-%m-%d} to before {seen.until:%Y-%m-%d}."
        )
    return [
        Stretch(recipe, Window(a, b, seen.horizon), seen.cluster)
        for recipe, (begin, end) in _needed(first, last, seen)
        for a, b in (_months(begin, end) if _is_dated(recipe) else [(begin, end)])
    ]


def _needed(
    first: datetime, last: datetime, seen: Observed
) -> list[tuple[Recipe, tuple[datetime, datetime]]]:
    """The days that each recipe must have been run for, so that [first, last) comes out right.

    A recipe reads ahead of its days and behind them. Where it reads what another one makes, that
    one is run for those days too, in whole months, so that its notes serve the next call.
    """
    days = dict.fromkeys((t.name for r in recipes.RECIPES for t in r.makes), (first, last))
    needed = []
    for recipe in reversed(recipes.RECIPES):
        begin = min(days[table.name][0] for table in recipe.makes)
        end = max(days[table.name][1] for table in recipe.makes)
        if not _is_dated(recipe):
            begin, end = seen.since, seen.until
        elif (begin, end) != (first, last):
            begin, end = max(begin.replace(day=1), seen.since), min(_next_month(end), seen.until)
        needed.append((recipe, (begin, end)))
        for table in recipe.reads:
            if table.name in days:
                early = seen.since if table.interval else _shifted(begin, -recipe.before, seen)
                late = _shifted(end, recipe.after, seen)
                known = days[table.name]
                days[table.name] = (min(known[0], early), max(known[1], late))
    return needed[::-1]


def _shifted(day: datetime, days: int, seen: Observed) -> datetime:
    return min(max(day + days * DAY, seen.since), seen.until)


def _is_dated(recipe: Recipe) -> bool:
    return any(table.day for table in recipe.makes)


def forget_unobserved(lake: Lake, stretches: list[Stretch], census: Census | None = None) -> None:
    """Remove derived days that are no longer among those observed: a setting has moved them."""
    if not stretches:
        return
    census = census or Census(lake)
    first = min(s.window.since for s in stretches)
    last = max(s.window.until for s in stretches)
    for table in (t for t in tables.DERIVED if t.day):
        for since, until in ((None, first), (last, None)):
            if census.stamps(table, since, until):
                lake.replace(table, table.empty(), since or BEGINNING, until or END)
                census.renew([table])


def _months(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        month_end = _next_month(since + DAY)
        yield since, min(month_end, until)
        since = month_end


def _next_month(end: datetime) -> datetime:
    """The first month's begin that lies at or after `end`."""
    return ((end - DAY).replace(day=1) + timedelta(days=32)).replace(day=1)
