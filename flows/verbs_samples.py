"""What the commands that look at raw samples do."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl

from flows.errors import CallError, DataError
from flows.progress import progress
from flows.raw_quantiles import raw_quantiles

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def quantiles(
    root: Path,
    metric: str,
    since: date | None,
    until: date | None,
    orders: str,
    by: str,
    cluster: str,
) -> pl.DataFrame:
    if not root.is_dir():
        raise CallError(f"{root}: no lake here. Ingest into it first, or name another: --lake.")
    if by not in ("hour", "day"):
        raise CallError(f"by {by}: it is by hour or by day.")
    try:
        wanted = [float(order) for order in orders.split(",")]
    except ValueError as error:
        raise CallError(f"--orders {orders}: numbers from 0 to 1, with commas.") from error
    with progress("quantiles") as tick:
        found = raw_quantiles(
            root,
            metric,
            _midnight(since) if since else FIRST,
            _midnight(until) if until else LAST,
            wanted,
            cluster,
            by == "day",
            tick,
        )
    if found.is_empty():
        raise DataError(f"{root}: no sample of {metric} in these days.")
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
