"""Old samples go, as `settings.toml` says; what was made of them stays.

    [retention]
    gpu_samples = "30d"
    gpu_hourly = "400d"

Whole partitions go, and only of samples and of their rollups: never the landed bytes, the arrivals
or any event. Before the first of them goes it is written down (`dropped.json`) up to when samples
have been dropped, for good: deriving leaves the hours up to then as they are, so that neither a
corrected formula nor a lost note makes them anew out of nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flows import hourly, settings, warehouse
from flows.atomic import sweep
from flows.dropped import Dropped, dropped, write_down
from flows.errors import DataError
from flows.lake import Lake
from flows.looks import look
from flows.partitions import begin, partition
from transforms.contract import Table
from transforms.tables import hourly as rollups
from transforms.tables import samples

HOUR = timedelta(hours=1)
ROLLUPS = (rollups.GPU_HOURLY, rollups.LINK_HOURLY, rollups.NODE_HOURLY, rollups.FLEET_HOURLY)
MAY_GO: dict[str, Table] = {table.name: table for table in (*samples.ALL, *ROLLUPS)}


@dataclass(frozen=True)
class Going:
    """What of one table goes: its files up to `until`, by their labels.

    waiting  old hours that stay until they have been derived
    """

    table: Table
    until: datetime
    labels: tuple[str, ...]
    bytes: int
    waiting: int


def retain(root: Path, now: datetime, is_dry_run: bool) -> list[Going]:
    """Drop what is older than the settings allow; return what goes, or would."""
    lake = Lake(root)
    said = settings.load(root)
    with lake.lock("derive"):
        sweep(lake.staging)
        going = plan(lake, said, now)
        if is_dry_run or not any(one.labels for one in going):
            return going
        for one in going:
            if one.labels:
                write_down(lake, one.table, _gone(lake, one))
                lake.drop(one.table, one.labels)
    warehouse.refresh(root)
    return going


def plan(lake: Lake, said: settings.Settings, now: datetime) -> list[Going]:
    """What has to go of each table that the settings name, in the dictionary's order."""
    kept = dict(said.retention)
    if strange := sorted(kept.keys() - MAY_GO.keys()):
        raise DataError(
            f"{lake.root / settings.FILE}: retention of {', '.join(strange)}: only these can go: "
            f"{', '.join(MAY_GO)}."
        )
    _check_order(lake, kept)
    return [_going(lake, MAY_GO[name], now - kept[name]) for name in MAY_GO if name in kept]


def _check_order(lake: Lake, kept: dict[str, timedelta]) -> None:
    """Rollups must not go before samples: the next derivation would only make them again."""
    there = [table.name for table in samples.ALL if lake.partitions(table)]
    for name in (table.name for table in ROLLUPS if table.name in kept):
        longer = [s for s in there if s not in kept or kept[s] > kept[name]]
        if longer:
            raise DataError(
                f"{lake.root / settings.FILE}: retention of {name} is shorter than that of "
                f"{', '.join(longer)}, of which it would be made again. Keep it as long."
            )


def _going(lake: Lake, table: Table, before: datetime) -> Going:
    length = HOUR if partition(table) == "hour" else 24 * HOUR
    old = {x: s for x, s in lake.stamps(table).items() if begin(x) + length <= before}
    ready = set(old)
    if table.is_sampled:
        # what is made of an hour reads the one before it as well: both must be done
        made = hourly.made(lake)
        ready = {x for x in old if begin(x) in made and begin(x) + HOUR in made}
        first_waiting = min((begin(x) for x in old if x not in ready), default=None)
        ready = {x for x in ready if first_waiting is None or begin(x) < first_waiting}
    until = max((begin(x) + length for x in ready), default=before)
    size = sum(old[label][0] for label in ready)
    return Going(table, until, tuple(sorted(ready)), size, len(old) - len(ready))


def _gone(lake: Lake, going: Going) -> Dropped:
    """All that has been dropped of a table once this goes."""
    seen = look(lake, [going.table])[going.table]
    clusters = {name for label in going.labels for name in seen[label].clusters} - {""}
    now = Dropped(begin(going.labels[0]), going.until, tuple(sorted(clusters)))
    before = dropped(lake).get(going.table.name)
    if before is None:
        return now
    return Dropped(
        min(before.since, now.since),
        max(before.until, now.until),
        tuple(sorted({*before.clusters, *now.clusters})),
    )
