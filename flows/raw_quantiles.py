"""Exact quantiles of a metric's raw samples, by hour or day, faster than SQL's.

The numbers are taken as they lie in the files: whole parts, half as wide as the doubles of the
warehouse's views. Hours are read side by side. The slow twin is `quantile_disc` in SQL.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.errors import CallError
from flows.lake import Lake
from flows.snapshots import snapshot
from transforms.metrics import BY_NAME
from transforms.order_statistics import Wholes, order_statistics, rank
from transforms.tables import BY_NAME as TABLES

HOUR, DAY = len("2026-03-02/hour=07"), len("2026-03-02")


def raw_quantiles(
    root: Path,
    metric: str,
    since: datetime,
    until: datetime,
    orders: Sequence[float] = (0.5, 0.95),
    cluster: str = "",
    is_by_day: bool = False,
    progress: Callable[[str, int, int], None] = lambda label, done, whole: None,
    threads: int | None = None,
) -> pl.DataFrame:
    """Of each UTC hour or day with samples of `metric`: begin, count, quantiles.

    since, until  whole hours, or whole days
    orders   0 to 1: each becomes a column p50, p95, p99.9 of samples that occur, in the metric's unit
    cluster  '' for all
    threads  so many hours or days are in memory side by side; default: an hour for each
             processor, one day
    Columns: hour_at or day_at, samples, p...
    """
    if metric not in BY_NAME:
        raise CallError(f"{metric}: no metric of that name. `faultledger tables` lists them.")
    if wrong := [order for order in orders if not 0 <= order <= 1]:
        raise CallError(f"{wrong[0]:g}: a quantile's order is from 0 to 1.")
    table = TABLES[BY_NAME[metric].table]
    files = snapshot(Lake(root)).lake.within(table, since, until)
    size = DAY if is_by_day else HOUR
    groups = groupby(files.items(), key=lambda item: item[0][len("day=") :][:size])
    works = [(begin, [path for _, path in some]) for begin, some in groups]
    names = [f"p{100 * order:.10g}" for order in orders]
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1; SET arrow_output_version = '1.5'")

        def answer(work: tuple[str, list[Path]]) -> dict[str, object] | None:
            begin, paths = work
            parts = [_column(connection, path, metric, cluster) for path in paths]
            found = _quantiles([part for part in parts if part is not None and len(part)], orders)
            if found is None:
                return None
            samples, values = found
            at = datetime.fromisoformat(begin.replace("/hour=", "T")).replace(tzinfo=UTC)
            return {"at": at, "samples": samples} | dict(zip(names, values, strict=True))

        with ThreadPoolExecutor(threads or (1 if is_by_day else os.cpu_count())) as pool:
            told = []
            for done, row in enumerate(pool.map(answer, works)):
                progress(works[done][0], done, len(works))
                told += [row] if row else []
    schema: dict[str, pl.DataType] = {"at": pl.Datetime("us", "UTC"), "samples": pl.Int64()}
    frame = pl.DataFrame(told, schema=schema | dict.fromkeys(names, pl.Float64()))
    return frame.rename({"at": "day_at" if is_by_day else "hour_at"})


def _column(
    connection: duckdb.DuckDBPyConnection, path: Path, metric: str, cluster: str
) -> pa.ChunkedArray | None:
    """The values of one file as they lie in it; None where it has none."""
    if metric not in pq.read_schema(path).names:
        return None
    ask = f'SELECT "{metric}" FROM read_parquet($path)'
    given = {"path": str(path)}
    if cluster:
        ask += " WHERE cluster = $cluster"
        given["cluster"] = cluster
    with connection.cursor() as cursor:
        return cursor.sql(ask, params=given).to_arrow_table().column(0)


def _quantiles(
    columns: Sequence[pa.ChunkedArray], orders: Sequence[float]
) -> tuple[int, list[float]] | None:
    """How many values there are, and their quantiles; None where there is no value."""
    count = sum(len(column) - column.null_count for column in columns)
    if not count:
        return None
    ranks = [rank(order, count) for order in orders]
    scales = {_places(column.type) for column in columns}
    chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
    if len(scales) == 1 and (places := scales.pop()) is not None:
        power = 10.0**places
        wholes = [part for chunk in chunks if len(part := _whole(chunk))]
        return count, [value / power for value in order_statistics(wholes, ranks)]
    every = np.concatenate([_floats(chunk) for chunk in chunks])
    every.partition(sorted(set(ranks)))  # a NaN comes last, as in SQL
    return count, [float(every[n]) for n in ranks]


def _places(kind: pa.DataType) -> int | None:
    """After the point of decimals that lie in the file as whole numbers; None of any other kind."""
    is_whole = pa.types.is_decimal(kind) and kind.bit_width <= 64
    return int(kind.scale) if is_whole else None


def _whole(chunk: pa.Array) -> Wholes:
    """The parts of decimals that are there."""
    data = np.frombuffer(chunk.buffers()[1], f"i{chunk.type.bit_width // 8}")
    data = data[chunk.offset :][: len(chunk)]
    return data[chunk.is_valid().to_numpy(zero_copy_only=False)] if chunk.null_count else data


def _floats(chunk: pa.Array) -> npt.NDArray[np.float64]:
    """The values that are there; decimals by a division, which gives the samples back exactly."""
    if (places := _places(chunk.type)) is not None:
        return np.asarray(_whole(chunk) / 10.0**places)
    return pl.Series(values=chunk).cast(pl.Float64).drop_nulls().to_numpy(writable=True)
