"""Stretches of derived days, made anew as far as what they rest on has changed.

What a stretch was made from is noted beside the lake: files read, horizon, code. While the note
still holds the stretch is left alone. The notes only save time: without them the same bytes are
made again.

A newer record moves the horizon, up to which open things are known to last. To days long past it
is known in whole days only, so that a new hour leaves them alone; and days that come out the same
with the horizon far ahead rest on none (the note says which).

A recipe reads some days behind its own. When only those have changed, no more of a stretch is made
anew than the days within reach of the change, and together with the stretch behind it where that
is made as well: the rows of a day do not depend on the days that they are made with, and to run a
recipe twice costs twice.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import groupby

import polars as pl

from flows import hourly
from flows.census import Census, Stamps
from flows.lake import Lake
from flows.looks import DAY, midnight, overlapping
from flows.partitions import within_days
from flows.share import HOME
from transforms.contract import Table
from transforms.recipes import Recipe, Window

FAR = datetime(2200, 1, 1, tzinfo=UTC)
"""A horizon beyond every record."""


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


@dataclass(frozen=True)
class Work:
    """What of a stretch is to be made, and what its note will say.

    since      the first day to make
    horizon    as the stretch sees it
    made_from  digest of the code and of the files read that begin before the stretch ends
    ahead      by day behind it, a digest of the files read of that day
    steady     days before this one do not rest on the horizon; None where that is not known
    asks       whether it must be found out which days those are
    """

    stretch: Stretch
    since: datetime
    horizon: datetime
    made_from: str
    ahead: Mapping[str, str]
    steady: datetime | None
    asks: bool = False

    @property
    def until(self) -> datetime:
        return self.stretch.window.until

    def goes_with(self, later: "Work") -> bool:
        """Whether both are made in one go: the end of a stretch, and what lies behind it."""
        is_end = self.since > self.stretch.window.since and not (self.asks or later.asks)
        is_next = self.until == later.since and self.horizon == later.horizon
        return is_end and is_next and self.stretch.recipe is later.stretch.recipe


def make_all(
    lake: Lake,
    stretches: Sequence[Stretch],
    census: Census,
    progress: Callable[[str, int, int], None] = lambda label, done, whole: None,
) -> int:
    """Make what is not current of these stretches; return of how many anything was made.

    `census` is the lake's as it was when the derivation began; what is made is looked at again.
    """
    made = 0
    place = {stretch.name: number for number, stretch in enumerate(stretches)}
    for recipe, group in groupby(stretches, key=lambda stretch: stretch.recipe):
        some = list(group)
        if recipe.is_hourly:
            for stretch in some:
                progress(stretch.name, place[stretch.name], len(stretches))
                made += hourly.make(lake, stretch, _code(), census)
            continue
        for works in _in_one_go([work for one in some if (work := due(lake, one, census))]):
            progress(works[0].stretch.name, place[works[0].stretch.name], len(stretches))
            _make(lake, works, census)
            made += len(works)
    return made


def _in_one_go(works: list[Work]) -> Iterator[list[Work]]:
    while works:
        count = 2 if len(works) > 1 and works[0].goes_with(works[1]) else 1
        yield works[:count]
        works = works[count:]


def due(lake: Lake, stretch: Stretch, census: Census) -> Work | None:
    """What of the stretch is not current; None where nothing is."""
    window, recipe = stretch.window, stretch.recipe
    since, until = _reach(recipe, window)
    inputs = {t: overlapping(lake, t, census, since, until) for t in recipe.reads}
    made_from, ahead = _signature(stretch, inputs)
    horizon = _horizon(window, until)
    work = Work(stretch, window.since, horizon, made_from, ahead, steady=None)
    note = lake.recall(f"derive/{stretch.name}.json")
    is_sound = "ahead" in note and note["made"] == _made(census, stretch)
    if not is_sound or note["made_from"] != made_from:
        return work
    changed = {day for day, _ in ahead.items() ^ note["ahead"].items()}
    has_moved = note["horizon"] not in (None, horizon.isoformat())
    if not changed and not has_moved:
        return None
    if not note["steady"]:
        return replace(work, asks=True)
    steady = datetime.fromisoformat(note["steady"])
    first = [steady] if has_moved else []
    first += [datetime.fromisoformat(f"{day}T00:00Z") - recipe.after * DAY for day in changed]
    begin = max(window.since, min(first))
    return replace(work, since=begin, steady=min(steady, begin), asks=not changed)


def _reach(recipe: Recipe, window: Window) -> tuple[datetime, datetime]:
    return window.since - recipe.before * DAY, window.until + recipe.after * DAY


def _make(lake: Lake, works: Sequence[Work], census: Census) -> None:
    """Run the recipe once for all of these, which follow upon each other."""
    recipe, last = works[0].stretch.recipe, works[-1]
    window = replace(last.stretch.window, since=works[0].since, horizon=last.horizon)
    since, until = _reach(recipe, window)
    frames = {}
    for table in recipe.reads:
        files = overlapping(lake, table, census, since, until)
        rows = _rows(lake, table, files, since, until)
        frames[table.name] = _named(table, rows, last.stretch.cluster)
    answer = _answer(recipe, window, frames)
    for work in works:
        steady = work.steady
        if work.asks:
            far = _answer(recipe, replace(window, horizon=FAR), frames)
            steady = _first_other(recipe, window, answer, far)
        for table in recipe.makes:
            rows = answer[table.name]
            if len(works) > 1:
                rows = rows.filter(within_days(table, work.since, work.until))
            lake.replace(table, rows, work.since, work.until)
        census.renew(recipe.makes, work.since, work.until)
        note = {
            "made_from": work.made_from,
            "ahead": work.ahead,
            "made": _made(census, work.stretch),
            "horizon": None if steady == work.until else work.horizon.isoformat(),
            "steady": steady and steady.isoformat(),
        }
        lake.remember(f"derive/{work.stretch.name}.json", note)


def _first_other(
    recipe: Recipe,
    window: Window,
    some: Mapping[str, pl.DataFrame],
    others: Mapping[str, pl.DataFrame],
) -> datetime:
    """The first day of the window of which two answers differ, or its end."""
    unlike = [t for t in recipe.makes if not some[t.name].equals(others[t.name])]
    day = window.since if unlike else window.until
    while day < window.until:
        of_day = [within_days(table, day, day + DAY) for table in unlike]
        if any(
            not some[table.name].filter(inside).equals(others[table.name].filter(inside))
            for table, inside in zip(unlike, of_day, strict=True)
        ):
            break
        day += DAY
    return day


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


def _named(table: Table, rows: pl.DataFrame, cluster: str) -> pl.DataFrame:
    """Rows that do not name their cluster belong to the only one there is."""
    if not cluster or table.room != "observed" or "cluster" not in rows.columns:
        return rows
    unnamed = pl.col("cluster") == ""
    if rows.filter(unnamed).is_empty():
        return rows
    named = pl.when(unnamed).then(pl.lit(cluster)).otherwise("cluster").alias("cluster")
    return table.fold(rows.with_columns(named))


def _signature(stretch: Stretch, inputs: Mapping[Table, Stamps]) -> tuple[str, dict[str, str]]:
    """Digests of the files read: of those that begin before the stretch ends, and by day of the rest."""
    window = stretch.window
    about = f"{_code()} {stretch.cluster} {window.since} {window.until}"
    own = hashlib.sha256(about.encode())
    end = f"day={window.until:%Y-%m-%d}"
    later: dict[str, list[str]] = {}
    for table, files in inputs.items():
        name = f"{table.room}/{table.name}"
        mine = {label: stamp for label, stamp in files.items() if label < end}
        own.update(f"{name} {mine}".encode())
        for label, stamp in files.items():
            if label >= end:
                later.setdefault(label[len("day=") :][:10], []).append(f"{name} {label} {stamp}")
    digests = {day: hashlib.sha256("\n".join(some).encode()) for day, some in later.items()}
    return own.hexdigest(), {day: digest.hexdigest()[:32] for day, digest in digests.items()}


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
