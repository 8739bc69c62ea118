"""What a lake no longer holds because somebody said how long it is to be kept.

Unlike the notes this cannot be made again, so it lies beside the rooms and is copied with them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flows.atomic import publish_bytes
from flows.errors import DataError
from flows.lake import Lake
from transforms.contract import Table

FILE = "dropped.json"
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Dropped:
    """The rows of a table that lay within [since, until) were dropped; the clusters they named."""

    since: datetime
    until: datetime
    clusters: tuple[str, ...]


def dropped(lake: Lake) -> dict[str, Dropped]:
    """What was dropped, by table."""
    path = lake.root / FILE
    if not path.exists():
        return {}
    try:
        return {name: _dropped(said) for name, said in json.loads(path.read_bytes()).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}). Bring it back from a copy of the lake."
        ) from error


def until(lake: Lake, tables: Iterable[Table]) -> datetime:
    """Up to when rows of any of these tables were dropped."""
    gone = dropped(lake)
    return max((gone[t.name].until for t in tables if t.name in gone), default=NEVER)


def write_down(lake: Lake, table: Table, gone: Dropped) -> None:
    """Put it on the disk before the first file goes."""
    told = {
        name: {
            "since": one.since.isoformat(),
            "until": one.until.isoformat(),
            "clusters": list(one.clusters),
        }
        for name, one in (dropped(lake) | {table.name: gone}).items()
    }
    data = json.dumps(told, sort_keys=True, indent=1).encode()
    publish_bytes(lake.root / FILE, lake.staging, data)


def _dropped(said: dict[str, Any]) -> Dropped:
    since, until = (datetime.fromisoformat(said[end]) for end in ("since", "until"))
    return Dropped(since, until, tuple(said["clusters"]))
