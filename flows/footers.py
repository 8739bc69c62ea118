"""What a Parquet file says about itself without being read: extremes of columns, from its footer.

A file is looked at once and remembered by its identity (inode, size, time of change): files of
the lake are replaced, never changed in place.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Extremes:
    """Smallest and largest value of a column that is not null throughout, and its nulls."""

    low: Any
    high: Any
    nulls: int


@dataclass(frozen=True)
class Footer:
    rows: int
    columns: dict[str, Extremes]
    instants: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] = ()
    """Name and type of every column, as Arrow writes them."""

    def reach(self, ended: str) -> datetime | None:
        """The latest end of an interval in the file; None when one of them is still open."""
        column = self.columns.get(ended)
        return column.high if column and not column.nulls else None


def footer(path: Path) -> Footer:
    about = path.stat()
    return _footer(path, about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _footer(path: Path, _inode: int, _size: int, _changed: int) -> Footer:
    with pq.ParquetFile(path) as file:
        about, schema = file.metadata, file.schema_arrow
    columns: dict[str, Extremes] = {}
    for position in range(about.num_columns):
        name = about.schema.column(position).path
        groups = [about.row_group(g).column(position) for g in range(about.num_row_groups)]
        known = [g.statistics for g in groups if g.is_stats_set]
        bounds = [s for s in known if s.has_min_max]
        if not bounds or len(known) < len(groups):
            continue
        is_instant = schema.field(name).type == INSTANT if name in schema.names else False
        columns[name] = Extremes(
            low=min(_instant(s.min_raw) if is_instant else s.min for s in bounds),
            high=max(_instant(s.max_raw) if is_instant else s.max for s in bounds),
            nulls=sum(s.null_count for s in known),
        )
    instants = tuple(f.name for f in schema if pa.types.is_timestamp(f.type))
    fields = tuple((field.name, str(field.type)) for field in schema)
    return Footer(rows=about.num_rows, columns=columns, instants=instants, fields=fields)


def _instant(microseconds: int) -> datetime:
    """What Arrow says as well, only that it brings pandas along where there is one."""
    return EPOCH + timedelta(microseconds=microseconds)
