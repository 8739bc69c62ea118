"""Tables that lakes once kept in one file and now keep by day: both are read, and the old one goes.

observed/arrivals/part.parquet                     of a lake that was last written long ago
observed/arrivals/day=2026-03-02/part.parquet      where its rows are put by the next who writes
"""

from contextlib import suppress
from pathlib import Path

from flows.decoding import load
from flows.lake import PART, Lake
from transforms.contract import Table
from transforms.tables import observed


def every(lake: Lake, table: Table) -> dict[str, Path]:
    """As `lake.partitions`, and under '' the file of all days, where there still is one."""
    there = lake.partitions(table)
    undated = lake.folder(table) / PART
    return {"": undated} | there if table.day and undated.exists() else there


def lay_by_day(lake: Lake) -> None:
    """Put the rows of all days where they belong. After a crash in between the same call ends it:
    rows that are there already fold away."""
    for table in observed.BOOKKEEPING:
        if path := every(lake, table).get(""):
            with suppress(FileNotFoundError):  # somebody else has just done so
                lake.merge(table, load(table, path))
                path.unlink()
