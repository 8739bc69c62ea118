"""What the files of a lake say of themselves: each is looked at once, however often one asks.

What a file's footer says is noted beside the lake under its size and time of change, so that a
lake of a thousand hours costs a run no more than telling which of them are new.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from flows.decoding import distinct
from flows.dropped import dropped
from flows.errors import DataError
from flows.footers import footer
from flows.lake import Lake
from flows.settings import Settings
from transforms.contract import Table
from transforms.tables import observed, samples

WATCHED = (*observed.EVENTS, *samples.ALL)
NOT_WITNESSED = {"eligible", "valid_from", "valid_to"}  # may lie ahead of what was seen
NOTE = "looks.json"
Fields = tuple[tuple[str, str], ...]
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NothingObservedError(DataError):
    """There is no observed day to derive from."""


@dataclass(frozen=True)
class Observed:
    """First observed day, the day after the last, the last observed instant, and the lake's
    cluster where exactly one is named, else ''."""

    since: datetime
    until: datetime
    horizon: datetime
    cluster: str


@dataclass(frozen=True)
class Look:
    """What one file says of itself.

    low, high  of observed tables: the first instant of its day column, the last instant seen (us)
    clusters   of observed tables: the clusters that it names
    fields     name and type of its columns
    """

    rows: int
    low: int | None
    high: int | None
    clusters: tuple[str, ...]
    fields: Fields


def observed_days(lake: Lake, said: Settings) -> Observed:
    """How far the records reach, or the stretch that the settings say was watched.

    An inventory's dates are no sighting: a rack commissioned a year before the first record was
    not watched for a year.
    """
    looks = look(lake, WATCHED)
    dated = [seen for table, of_table in looks.items() if table.day for seen in of_table.values()]
    lows = [seen.low for seen in dated if seen.low is not None]
    highs = [seen.high for seen in dated if seen.high is not None]
    gone = dropped(lake).values()
    lows += [_microseconds(one.since) for one in gone]
    begin = said.observed_from or (EPOCH + timedelta(microseconds=min(lows)) if lows else None)
    horizon = said.observed_until or (EPOCH + timedelta(microseconds=max(highs)) if highs else None)
    if begin is None or horizon is None:
        alone = " An inventory alone says what there is, not what was watched."
        raise NothingObservedError(
            f"{lake.root} holds no observed records. Ingest some first."
            f"{alone if lake.partitions(observed.NODES) else ''}"
        )
    # at the first instant of a day nothing of that day has been observed yet
    until = midnight((horizon - timedelta(microseconds=1)).date()) + DAY
    every = (seen for of_table in looks.values() for seen in of_table.values())
    names = {name for seen in every for name in seen.clusters} - {""}
    names |= {name for one in gone for name in one.clusters}
    return Observed(
        midnight(begin.date()),
        max(until, midnight(begin.date()) + DAY),
        horizon,
        names.pop() if len(names) == 1 else "",
    )


def look(
    lake: Lake, tables: Iterable[Table], there: Lake | None = None
) -> dict[Table, dict[str, Look]]:
    """Label to what the file says, of every file of these tables; only new files are opened.

    They are looked up in `there`, a snapshot of the lake, or in the lake as it is now.
    """
    there = there or lake
    note = lake.recall(NOTE)
    files, shapes = note.get("files", {}), note.get("shapes", {})
    found: dict[Table, dict[str, Look]] = {}
    fresh: dict[str, dict[str, list[Any]]] = {}
    is_new = False
    known = {name: tuple(map(tuple, fields)) for name, fields in shapes.items()}
    for table in tables:
        found[table] = {}
        of_table = files.get(table.name, {})
        fresh[table.name] = {}
        for label, stamp in there.stamps(table).items():
            told = of_table.get(label)
            if told is None or told[:2] != list(stamp) or told[6] not in known:
                seen = _open(table, there.partitions(table, label)[label])
                shape = hashlib.sha256(repr(seen.fields).encode()).hexdigest()[:12]
                known[shape] = seen.fields
                told = [*stamp, seen.rows, seen.low, seen.high, list(seen.clusters), shape]
                is_new = True
            fresh[table.name][label] = told
            rows, low, high, clusters, shape = told[2:]
            found[table][label] = Look(rows, low, high, tuple(clusters), known[shape])
        is_new = is_new or len(of_table) > len(fresh[table.name])
    if is_new:
        files = files | fresh
        used = {told[6] for of_table in files.values() for told in of_table.values()}
        shapes = {name: fields for name, fields in known.items() if name in used}
        lake.remember(NOTE, {"files": files, "shapes": shapes})
    return found


def _open(table: Table, path: Path) -> Look:
    about = footer(path)
    if table.room != "observed":
        return Look(about.rows, None, None, (), about.fields)
    columns = about.columns
    low = _microseconds(columns[table.day].low) if table.day in columns else None
    seen = set(about.instants) - NOT_WITNESSED
    highs = [_microseconds(columns[name].high) for name in seen if name in columns]
    named = columns.get("cluster")
    clusters: list[str] = []
    if "cluster" in table.dtypes and named is not None:
        is_one = named.low == named.high
        clusters = [str(named.low)] if is_one else sorted(distinct(path, "cluster"))
    return Look(about.rows, low, max(highs, default=None), tuple(clusters), about.fields)


def _microseconds(moment: datetime | date) -> int:
    at = moment if isinstance(moment, datetime) else midnight(moment)
    return (at - EPOCH) // timedelta(microseconds=1)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
