"""Observed tables to derived tables, month by month, in recipe order.

What a stretch of days was made from is noted beside the lake: files read, horizon, code. While
the note still holds the stretch is left alone. The notes only save time: without them the same
bytes are made again.

A newer record moves the horizon, up to which open things are known to last. To days long past it
is known in whole days only, so that a new hour leaves them alone; and a stretch that comes out the
same with the horizon far ahead rests on none (its note says so).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl

from flows import hourly, settings, warehouse
from flows.atomic import sweep
from flows.census import Census, Stamps
from flows.compacting import fold_late
from flows.lake import Lake
from flows.looks import (
    DAY,
    NothingObservedError,
    Observed,
    look,
    midnight,
    observed_days,
    overlapping,
)
from flows.memory import keep_freed
from flows.share import HOME
from transforms import recipes, tables
from transforms.contract import Table
from transforms.recipes import Recipe, Window

BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
FAR = datetime(2200, 1, 1, tzinfo=UTC)
"""A horizon beyond every record."""


@dataclass(frozen=True)
class DeriveReport:
    """Days derived, and per table the rows that they now hold; `kept` stretches were current."""

    since: date
    until: date
    rows: dict[str, int]
    made: int
    kept: int


@dataclass(frozen=True)
class Stretch:
    """One recipe over some whole days."""

    recipe: Recipe
    window: Window
    cluster: str  # of the rows that name none; '' leaves them so

    @property
    def name(self) -> str:
        first = self.recipe.makes[0].name
        return f"{first}-{self.window.since:%Y-%m-%d}-{self.window.until:%Y-%m-%d}"


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
        made = 0
        for done, stretch in enumerate(stretches):
            progress(stretch.name, done, len(stretches))
            made += make(lake, stretch, census)
        if since is None and until is None:
            forget_unobserved(lake, stretches, census)
        progress("warehouse", len(stretches), len(stretches))
        warehouse.refresh(root)
        return summary(lake, stretches, made, census)


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


def make(lake: Lake, stretch: Stretch, census: Census | None = None) -> bool:
    """Run one recipe over one stretch, unless what it was made from is unchanged.

    `census` is the lake's as it was when the derivation began; what is made is looked at again.
    """
    census = census or Census(lake)
    if stretch.recipe.is_hourly:
        return hourly.make(lake, stretch, _code(), census)
    recipe, window = stretch.recipe, stretch.window
    since, until = window.since - recipe.before * DAY, window.until + recipe.after * DAY
    inputs = {t: overlapping(lake, t, census, since, until) for t in recipe.reads}
    made_from = _signature(stretch, inputs)
    horizon = _horizon(window, until)
    note = lake.recall(f"derive/{stretch.name}.json")
    is_same = note.get("made_from") == made_from and note.get("made") == _made(census, stretch)
    if is_same and note["horizon"] in (None, horizon.isoformat()):
        return False
    frames = {
        table.name: _named(table, _rows(lake, table, files, since, until), stretch.cluster)
        for table, files in inputs.items()
    }
    answer = _answer(recipe, replace(window, horizon=horizon), frames)
    # Only where nothing but the horizon has moved is it worth asking whether it matters at all.
    rests_on: str | None = horizon.isoformat()
    if is_same and _is_equal(answer, _answer(recipe, replace(window, horizon=FAR), frames)):
        rests_on = None
    for table in recipe.makes:
        lake.replace(table, answer[table.name], window.since, window.until)
    census.renew(recipe.makes, window.since, window.until)
    about = {"made_from": made_from, "made": _made(census, stretch), "horizon": rests_on}
    lake.remember(f"derive/{stretch.name}.json", about)
    return True


def _rows(
    lake: Lake, table: Table, files: Stamps, since: datetime, until: datetime
) -> pl.DataFrame:
    """The rows of [since, until) in these files; one that is gone since has been put into another."""
    there = lake.partitions(table, *files) if files else {}
    known = list(there.values()) if len(there) == len(files) else None
    return lake.read(table, since, until, files=known)


def _horizon(window: Window, reach: datetime) -> datetime:
    """The horizon as a stretch sees it that rests on what was recorded before `reach`."""
    whole_days = midnight(window.horizon.date())
    return whole_days if whole_days >= reach else window.horizon


def _answer(
    recipe: Recipe, window: Window, frames: dict[str, pl.DataFrame]
) -> Mapping[str, pl.DataFrame]:
    answer = recipe.by(window, **frames)
    promised = {table.name for table in recipe.makes}
    if answer.keys() != promised:
        raise ValueError(f"a recipe made {sorted(answer)}, promised {sorted(promised)}")
    return answer


def _is_equal(some: Mapping[str, pl.DataFrame], others: Mapping[str, pl.DataFrame]) -> bool:
    return all(frame.equals(others[name]) for name, frame in some.items())


def _named(table: Table, rows: pl.DataFrame, cluster: str) -> pl.DataFrame:
    """Rows that do not name their cluster belong to the only one there is."""
    if not cluster or table.room != "observed" or "cluster" not in rows.columns:
        return rows
    unnamed = pl.col("cluster") == ""
    if rows.filter(unnamed).is_empty():
        return rows
    named = pl.when(unnamed).then(pl.lit(cluster)).otherwise("cluster").alias("cluster")
    return table.fold(rows.with_columns(named))


def _signature(stretch: Stretch, inputs: Mapping[Table, Stamps]) -> str:
    window = stretch.window
    about = f"{_code()} {stretch.cluster} {window.since} {window.until}"
    digest = hashlib.sha256(about.encode())
    for table, files in inputs.items():
        digest.update(f"{table.room}/{table.name} {files}".encode())
    return digest.hexdigest()


def _made(census: Census, stretch: Stretch) -> list[str]:
    window = stretch.window
    return [
        f"{table.name}/{label} {size} {changed}"
        for table in stretch.recipe.makes
        for label, (size, changed) in census.stamps(table, window.since, window.until).items()
    ]


@cache
def _code() -> str:
    """A hash of the transforms themselves: a corrected formula makes everything anew."""
    digest = hashlib.sha256(pl.__version__.encode())
    for path in sorted((HOME / "transforms").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _months(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        month_end = _next_month(since + DAY)
        yield since, min(month_end, until)
        since = month_end


def _next_month(end: datetime) -> datetime:
    """The first month's begin that lies at or after `end`."""
    return ((end - DAY).replace(day=1) + timedelta(days=32)).replace(day=1)
