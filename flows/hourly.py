"""Hourly recipes: only the hours whose samples changed are made again, whatever the lake holds.

An hour is made from its own partition of the samples and the one before. What each hour was made
from is noted beside the lake, month by month; the notes only save time. Of tables that keep a
day in one file the other hours' rows stay as they are.
"""

import hashlib
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from flows import dropped
from flows.census import Census, Stamps
from flows.footers import footer
from flows.lake import Lake
from flows.partitions import begin, partition
from transforms.contract import Table
from transforms.metrics import BY_NAME
from transforms.recipes import RECIPES, Recipe, Window

if TYPE_CHECKING:
    from flows.making import Stretch

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BYTES_AT_ONCE = 16 * 1024**2  # of samples whose hours are made in one go
VALUES_AT_ONCE = 40_000_000  # in memory together


def make(lake: Lake, stretch: "Stretch", code: str, census: Census) -> bool:
    """Make the stale hours of one recipe's stretch; False where all were current."""
    recipe, window = stretch.recipe, stretch.window
    name = _note(recipe, window.since)
    note = lake.recall(name)
    if note.get("code") != [code, stretch.cluster]:
        note = {"code": [code, stretch.cluster], "hours": {}, "files": {}}
    note.setdefault("days", {})
    inputs = {t: census.stamps(t, window.since - HOUR, window.until) for t in recipe.reads}
    outputs = {t: census.stamps(t, window.since, window.until) for t in recipe.makes}
    frozen = frozen_until(lake, recipe)
    whole = _settled(inputs, outputs, window.since, window.until, frozen)
    if note.get("whole") == whole:
        return False
    made = is_new = False
    for day in _days(inputs, outputs, window):
        some = {t: census.stamps(t, day - HOUR, day + DAY) for t in recipe.reads}
        there = {t: census.stamps(t, day, day + DAY) for t in recipe.makes}
        if note["days"].get(f"{day:%Y-%m-%d}") == _settled(some, there, day, day + DAY, frozen):
            continue
        is_new = True
        if after := _bring_up(lake, stretch, note, day, some, there, frozen):
            made, there = True, after
            census.renew(recipe.makes, day, day + DAY)
        note["days"][f"{day:%Y-%m-%d}"] = _settled(some, there, day, day + DAY, frozen)
        if after:
            lake.remember(name, note)
            is_new = False
    if note["days"] and not made:  # nor will the next run, as long as nothing changes
        note["whole"], is_new = whole, True
    if is_new:
        lake.remember(name, note)
    return made


def _days(
    inputs: dict[Table, Stamps], outputs: dict[Table, Stamps], window: Window
) -> list[datetime]:
    """The days of the window that have samples or something made of them, in order."""
    days = {label[:14] for stamps in (*inputs.values(), *outputs.values()) for label in stamps}
    return [day for label in sorted(days) if (day := begin(label)) >= _midnight(window.since)]


def _settled(
    inputs: dict[Table, Stamps],
    outputs: dict[Table, Stamps],
    since: datetime,
    until: datetime,
    frozen: datetime,
) -> str:
    """What tells that nothing has changed that [since, until) is made of, nor what was made."""
    first = min(max(frozen, since), until)
    told = [(t.name, stamps) for files in (inputs, outputs) for t, stamps in files.items()]
    return hashlib.sha256(f"{first} {told}".encode()).hexdigest()[:16]


def _bring_up(
    lake: Lake,
    stretch: "Stretch",
    note: dict[str, Any],
    day: datetime,
    inputs: dict[Table, Stamps],
    outputs: dict[Table, Stamps],
    frozen: datetime,
) -> dict[Table, Stamps] | None:
    """Make the stale hours of a day; return what is there then, or None if none was stale."""
    recipe, window = stretch.recipe, stretch.window
    wanted = {
        hour: _signature(inputs, hour)
        for hour in sorted({begin(label) for stamps in inputs.values() for label in stamps})
        if hour >= max(day, window.since, frozen)
    }
    current = {h for h, made_from in wanted.items() if _is_current(note, h, made_from, outputs)}
    stale = [hour for hour in wanted if hour not in current]
    if not stale and not _is_any_gone(outputs, wanted.keys(), frozen):
        return None
    kept = {h for n in range(24) if (h := day + n * HOUR) < frozen} | current
    _make_day(lake, recipe, stretch.cluster, day, stale, kept)
    after = {t: lake.stamps(t, day, day + DAY) for t in recipe.makes}
    _remember(note, after, day, wanted)
    return after


def frozen_until(lake: Lake, recipe: Recipe) -> datetime:
    """The begin of the first hour that can still be made: neither it nor the one before it, of
    which it is made as well, has been dropped."""
    until = dropped.until(lake, recipe.reads)
    return until if until == dropped.NEVER else until + HOUR


def made(lake: Lake) -> set[datetime]:
    """The hours of which all that follows from their samples has been made, as they are now."""
    recipes = [recipe for recipe in RECIPES if recipe.is_hourly]
    tables = {table for recipe in recipes for table in recipe.reads}
    inputs = {t: lake.stamps(t) for t in tables}
    hours = {
        begin(label) + n * HOUR for stamps in inputs.values() for label in stamps for n in (0, 1)
    }
    late = {begin(label) for stamps in inputs.values() for label in stamps if "/late-" in label}
    found = hours - late
    for recipe in recipes:
        frozen = frozen_until(lake, recipe)
        notes: dict[str, dict[str, str]] = {}
        mine = {t: inputs[t] for t in recipe.reads}
        for hour in hours:
            if hour < frozen or not any(_label(t, hour) in mine[t] for t in recipe.reads):
                continue
            name = _note(recipe, hour)
            if name not in notes:
                notes[name] = lake.recall(name).get("hours", {})
            if notes[name].get(hour.isoformat()) != _signature(mine, hour):
                found.discard(hour)
    return found


def _note(recipe: Recipe, month: datetime) -> str:
    return f"derive/{recipe.makes[0].name}-{month:%Y-%m}.json"


def _is_any_gone(
    outputs: dict[Table, Stamps], hours: Collection[datetime], frozen: datetime
) -> bool:
    """Whether something is made of an hour of a day that has no samples any more, though none
    were dropped."""
    for table, stamps in outputs.items():
        for at in map(begin, stamps):
            is_made_of = at in hours if partition(table) == "hour" else bool(hours)
            if at >= frozen and not is_made_of:
                return True
    return False


def _make_day(
    lake: Lake,
    recipe: Recipe,
    cluster: str,
    day: datetime,
    stale: list[datetime],
    kept: set[datetime],
) -> None:
    """Make the `stale` hours; the `kept` ones of the day stay, all others go."""
    by_day = {t: [t.empty()] for t in recipe.makes if partition(t) != "hour"}
    by_hour = [t for t in recipe.makes if partition(t) == "hour"]
    for since, until in _together(lake, recipe, stale):
        made = _run(lake, recipe, cluster, since, until)
        for table in by_hour:
            lake.replace(table, made[table.name], since, until)
        for table, parts in by_day.items():
            parts.append(made[table.name])
    for table in by_hour:
        for label in lake.stamps(table, day, day + DAY):
            if (hour := begin(label)) not in kept and hour not in stale:
                lake.replace(table, table.empty(), hour, hour + HOUR)
    for table, parts in by_day.items():
        old = lake.read(table, day, day + DAY)
        same = old.filter(pl.col("hour_at").is_in(sorted(kept)))
        lake.replace(table, pl.concat([same, *parts]), day, day + DAY)


def _together(
    lake: Lake, recipe: Recipe, hours: list[datetime]
) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of neighbouring hours that are small enough to be made in one go."""
    first = last = None
    held = 0
    for hour in hours:
        stamps = [lake.stamps(t, hour, hour + HOUR) for t in recipe.reads]
        size = sum(s for found in stamps for s, _ in found.values())
        if first is not None and (last != hour or held + size > BYTES_AT_ONCE):
            yield first, last  # type: ignore[misc]
            first, held = None, 0
        first = hour if first is None else first
        last, held = hour + HOUR, held + size
    if first is not None:
        yield first, last  # type: ignore[misc]


def _run(
    lake: Lake, recipe: Recipe, cluster: str, since: datetime, until: datetime
) -> dict[str, pl.DataFrame]:
    window = Window(since, until, until)
    parts: dict[str, list[pl.DataFrame]] = {t.name: [] for t in recipe.makes}
    for frames in _batches(lake, recipe, since, until):
        named = {
            name: _under(rows, cluster) if rows.height else rows for name, rows in frames.items()
        }
        for name, rows in recipe.by(window, **named).items():
            parts[name].append(rows)
    return {name: pl.concat(some) for name, some in parts.items()}


def _batches(
    lake: Lake, recipe: Recipe, since: datetime, until: datetime
) -> Iterator[dict[str, pl.DataFrame]]:
    """The samples of the hours and of the one before, so many metrics at a time as memory bears."""
    keys, metrics, rows = {}, {}, 0
    for table in recipe.reads:
        files = lake.files(table, since - HOUR, until)
        there = {name for path in files for name in footer(path).columns}
        keys[table] = [name for name in table.dtypes if name not in BY_NAME]
        metrics[table] = [n for n in table.dtypes if n in BY_NAME and n in there]
        rows += sum(footer(path).rows for path in files)
    always = {t: [n for n in metrics[t] if n in recipe.metrics] for t in recipe.reads}
    at_once = max(1, VALUES_AT_ONCE // max(rows, 1))
    if not recipe.is_by_metric:
        metrics, at_once = {table: [] for table in recipe.reads}, 1
    widest = max([len(names) for names in metrics.values()] + [1])
    for start in range(0, widest, at_once):
        frames = {}
        for table in recipe.reads:
            some = metrics[table][start : start + at_once]
            wanted = {*keys[table], *always[table], *some}
            is_asked = start == 0 or some or always[table]
            frames[table.name] = (
                lake.read(table, since - HOUR, until, wanted)
                if is_asked
                else table.empty().select(n for n in table.dtypes if n in wanted)
            )
        yield frames


def _under(rows: pl.DataFrame, cluster: str) -> pl.DataFrame:
    """Rows that name no cluster belong to the only one there is."""
    if not cluster or (rows["cluster"] != "").all():
        return rows
    told = pl.when(pl.col("cluster") == "").then(pl.lit(cluster)).otherwise("cluster")
    return rows.with_columns(told.alias("cluster"))


def _signature(inputs: dict[Table, Stamps], hour: datetime) -> str:
    digest = hashlib.sha256()
    for table, stamps in inputs.items():
        for at in (hour - HOUR, hour):
            digest.update(f"{table.name} {stamps.get(_label(table, at))}\n".encode())
    return digest.hexdigest()[:16]


def _label(table: Table, at: datetime) -> str:
    return f"day={at:%Y-%m-%d}/hour={at:%H}" if partition(table) == "hour" else f"day={at:%Y-%m-%d}"


def _is_current(
    note: dict[str, Any], hour: datetime, made_from: str, outputs: dict[Table, Stamps]
) -> bool:
    if note["hours"].get(hour.isoformat()) != made_from:
        return False
    for table, stamps in outputs.items():
        label = _label(table, hour)
        if list(stamps.get(label, ())) != note["files"].get(f"{table.name}/{label}", []):
            return False
    return True


def _remember(
    note: dict[str, Any], after: dict[Table, Stamps], day: datetime, hours: dict[datetime, str]
) -> None:
    of_day = f"{day:%Y-%m-%d}"
    note["hours"] = {h: s for h, s in note["hours"].items() if not h.startswith(of_day)}
    note["hours"] |= {hour.isoformat(): made_from for hour, made_from in hours.items()}
    note["files"] = {f: s for f, s in note["files"].items() if f"/day={of_day}" not in f}
    for table, stamps in after.items():
        note["files"] |= {f"{table.name}/{label}": list(s) for label, s in stamps.items()}


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0)
