"""Files that were read go into the lake: bytes, rows, refusals, and last of all their arrival."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

import polars as pl

from flows import known
from flows.arrived import holding
from flows.atomic import sweep
from flows.lake import Lake
from flows.landing import ARCHIVE
from flows.reading import Taken
from flows.spooling import settled
from flows.undated import lay_by_day
from transforms.tables import BY_NAME, observed

FileAway = Callable[[Lake, list[Taken], datetime], dict[str, int]]
"""What becomes of files that were read: table to the rows that it gained."""


def file_away(lake: Lake, taken: list[Taken], now: datetime) -> dict[str, int]:
    """Merge each table once; return the rows that each has gained."""
    sweep(lake.staging)
    arrived = [one for one in taken if not one.is_whole_refused]
    gained: Counter[str] = Counter()
    for one in arrived:
        land(lake, one)
    spools = [one.spool for one in arrived if one.spool]
    # Rows of large files first: an hour of which they are most is not written again for others.
    for table in {table.name: table for spool in spools for table in spool.tables()}.values():
        # Writing a partition costs as much for one file's rows as for those of all.
        for label in sorted({label for spool in spools for label in spool.labels(table)}):
            for rows in settled(spools, table, label):
                gained[table.name] += lake.merge(table, table.widen(rows))
    for name in sorted({name for one in arrived for name in one.parsed.frames}):
        frames = [one.parsed.frames[name] for one in arrived if name in one.parsed.frames]
        rows = BY_NAME[name].widen(pl.concat(frames, how="diagonal"))
        gained[name] += lake.merge(BY_NAME[name], rows)
    report(lake, taken, now, gained)
    return dict(gained)


def land(lake: Lake, one: Taken) -> None:
    """Keep the bytes of one file, where its source keeps them."""
    if keeps_bytes(one.source):
        lake.land(one.source, one.held.digest, one.held.raw, one.held.size)


def report(
    lake: Lake,
    taken: list[Taken],
    now: datetime,
    gained: Counter[str],
    first_seen: Mapping[str, datetime] | None = None,
) -> None:
    """Write what was refused and set aside of these files, and last of all that they arrived."""
    lay_by_day(lake)
    seen = first_seen or {}
    hashes = [one.held.digest for one in taken]
    ours = pl.col("sha256").is_in(hashes)
    for table, part in ((observed.REJECTS, "rejects"), (observed.UNKNOWN_METRICS, "unknown")):
        notes = [
            _note(told, one, seen.get(one.held.digest, now))
            for one in taken
            if (told := getattr(one.parsed, part)).height
        ]
        rows = pl.concat([table.empty(), *(n.select(table.dtypes.names()) for n in notes)])
        gained[table.name] += lake.merge(table, rows, ours, also=holding(lake, table, hashes))
    arrived = [one for one in taken if not one.is_whole_refused]
    told = [_arrival(one, seen.get(one.held.digest, now)) for one in arrived]
    rows = pl.DataFrame(told, schema=observed.ARRIVALS.dtypes)
    also = holding(lake, observed.ARRIVALS, hashes)
    gained["arrivals"] += lake.merge(observed.ARRIVALS, rows, ours, also)


def keeps_bytes(source: str) -> bool:
    """An archive's members are kept, each under its own source, and not the archive again."""
    return source != ARCHIVE and not known.is_bulk(source)


def _note(rows: pl.DataFrame, one: Taken, now: datetime) -> pl.DataFrame:
    return rows.with_columns(
        sha256=pl.lit(one.held.digest),
        file=pl.lit(one.held.name),
        source=pl.lit(one.source),
        first_seen=pl.lit(now).cast(pl.Datetime("us", "UTC")),
    )


def _arrival(one: Taken, now: datetime) -> dict[str, object]:
    return {
        "sha256": one.held.digest,
        "file": one.held.name,
        "source": one.source,
        "bytes": one.held.size,
        "records": one.parsed.records,
        "accepted": one.parsed.accepted,
        "rejected": one.parsed.rejected,
        "ignored": one.parsed.ignored,
        "modified": one.modified,
        "told": one.told,
        "first_seen": now,
    }
