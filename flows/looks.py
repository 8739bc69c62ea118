"""What the files of a lake say of themselves: each is looked at once, however often one asks.

What a file's footer says is noted beside the lake, table by table, under its size and time of
change, so that a lake of a thousand hours costs a run no more than telling which of them are new.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from flows.census import Census, Stamps
from flows.decoding import distinct
from flows.dropped import dropped
from flows.errors import DataError
from flows.footers import footer
from flows.lake import Lake
from flows.partitions import floor
from flows.settings import Settings
from transforms.contract import Table
from transforms.tables import observed, samples

WATCHED = (*observed.EVENTS, *samples.ALL)
NOT_WITNESSED = {"eligible", "valid_from", "valid_to"}  # may lie ahead of what was seen
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


class Look(NamedTuple):
    """What one file says of itself.

    low, high  of observed tables: the first instant of its day column, the last instant seen (us)
    clusters   of observed tables: the clusters that it names
    reach      of tables whose rows last: the latest end (us); None when one of them is still open
    fields     name and type of its columns
    """

    rows: int
    low: int | None
    high: int | None
    clusters: tuple[str, ...]
    reach: int | None
    fields: Fields


class Files(Protocol):
    """A lake and which files it had at some moment: a census, or a snapshot."""

    @property
    def lake(self) -> Lake: ...

    @property
    def told(self) -> dict[str, dict[str, "Look"]]:
        """What was asked of the files before, by table."""
        ...

    def stamps(self, table: Table) -> Stamps: ...


def observed_days(lake: Lake, said: Settings, there: Files | None = None) -> Observed:
    """How far the records reach, or the stretch that the settings say was watched.

    An inventory's dates are no sighting: a rack commissioned a year before the first record was
    not watched for a year.
    """
    looks = look(lake, WATCHED, there)
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
    lake: Lake, tables: Iterable[Table], there: Files | None = None
) -> dict[Table, dict[str, Look]]:
    """Label to what the file says, of every file of these tables; only new files are opened.

    They are those of `there`, or of the lake as it is now.
    """
    there = there or Census(lake)
    found = {}
    for table in tables:
        if table.name not in there.told:
            there.told[table.name] = _look(lake, table, there)
        found[table] = there.told[table.name]
    return found


def overlapping(
    lake: Lake, table: Table, there: Census, since: datetime, until: datetime
) -> Stamps:
    """The files that can hold a row of [since, until)."""
    if not table.interval or table.day is None:
        early = floor(table, since) if table.day else None
        return there.stamps(table, early, until)
    first = _microseconds(since)
    looks = look(lake, [table], there)[table]
    return {
        label: stamp
        for label, stamp in there.stamps(table, None, until).items()
        if (reach := looks[label].reach) is None or reach >= first
    }


def _look(lake: Lake, table: Table, there: Files) -> dict[str, Look]:
    stamps = there.stamps(table)
    if not stamps:
        return {}
    name = f"looks/{table.room}.{table.name}.json"
    note = lake.recall(name)
    shapes: list[Fields] = [tuple(map(tuple, fields)) for fields in note.get("shapes", [])]
    noted = note.get("files", {})
    number = {fields: n for n, fields in enumerate(shapes)}
    fresh: dict[str, list[Any]] = {}
    found: dict[str, Look] = {}
    is_new = len(noted) > len(stamps)
    for label, stamp in stamps.items():
        told = noted.get(label)
        if told is None or told[0] != stamp[0] or told[1] != stamp[1]:
            seen = _open(table, there.lake.partitions(table, label)[label])
            if seen.fields not in number:
                number[seen.fields] = len(shapes)
                shapes.append(seen.fields)
            told = [*stamp, *seen[:5], number[seen.fields]]
            is_new = True
        fresh[label] = told
        _, _, rows, low, high, clusters, reach, shape = told
        found[label] = Look(rows, low, high, tuple(clusters), reach, shapes[shape])
    if is_new:
        lake.remember(name, {"files": fresh, "shapes": shapes})
    return found


def _open(table: Table, path: Path) -> Look:
    about = footer(path)
    end = about.reach(table.interval[1]) if table.interval else None
    reach = _microseconds(end) if end else None
    if table.room != "observed":
        return Look(about.rows, None, None, (), reach, about.fields)
    columns = about.columns
    low = _microseconds(columns[table.day].low) if table.day in columns else None
    seen = set(about.instants) - NOT_WITNESSED
    highs = [_microseconds(columns[name].high) for name in seen if name in columns]
    named = columns.get("cluster")
    clusters: list[str] = []
    if "cluster" in table.dtypes and named is not None:
        is_one = named.low == named.high
        clusters = [str(named.low)] if is_one else sorted(distinct(path, "cluster"))
    return Look(about.rows, low, max(highs, default=None), tuple(clusters), reach, about.fields)


def _microseconds(moment: datetime | date) -> int:
    at = moment if isinstance(moment, datetime) else midnight(moment)
    return (at - EPOCH) // timedelta(microseconds=1)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
