"""Parquet files of the lake read back in their table's present shape, whatever shape they have.

Files may lack columns (older ones, or samples that say nothing), may have columns that the table no
longer keeps, and may hold a real number as an exact decimal.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import polars as pl

from transforms.contract import Table

BYTES_AT_ONCE = 128 * 1024**2  # of files read together


def load(table: Table, path: Path) -> pl.DataFrame:
    """Read one file in one go, in the table's present shape: columns it lacks are null.

    Of samples, the metrics that the file lacks are left out.
    """
    rows = pl.read_parquet(io.BytesIO(path.read_bytes()))
    if rows.schema == table.dtypes:
        return rows
    there = [n for n in table.dtypes if n in rows.columns or not table.is_sampled or n in table.key]
    return rows.select(_shape(table, rows.schema, there))


def distinct(path: Path, column: str) -> set[str]:
    """The values of one column of one file."""
    rows = pl.read_parquet(path.read_bytes(), columns=[column])
    return set(rows[column].unique().to_list())


def batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Files to be held in memory together: many small ones, few large ones."""
    batch: list[Path] = []
    held = 0
    for path in paths:
        size = path.stat().st_size
        if batch and held + size > BYTES_AT_ONCE:
            yield batch
            batch, held = [], 0
        batch.append(path)
        held += size
    if batch:
        yield batch


def together(table: Table, paths: list[Path], kept: pl.Expr, wanted: Sequence[str]) -> pl.DataFrame:
    """The `wanted` columns of the rows `kept`, of all these files, in their order."""
    files = [path.read_bytes() for path in paths]
    first = pl.Schema(pl.read_parquet_schema(files[0]))
    # Nearly always all files have one shape; a scan says so if they have not.
    with suppress(pl.exceptions.SchemaError, pl.exceptions.ColumnNotFoundError):
        return _scanned(table, files, first, kept, wanted)
    held = [(data, pl.read_parquet_schema(data)) for data in files]
    return pl.concat(
        [
            _scanned(table, [data for data, _ in some], schema, kept, wanted)
            for schema, some in groupby(held, key=lambda one: one[1])
        ]
    )


def _scanned(
    table: Table, files: list[bytes], schema: pl.Schema, kept: pl.Expr, wanted: Sequence[str]
) -> pl.DataFrame:
    """Files of one shape, as one scan."""
    scan = pl.scan_parquet(files, schema=schema, glob=False)
    plain = scan.select(_shape(table, schema, list(table.dtypes)))
    return plain.filter(kept).select(wanted).collect()


def _shape(table: Table, there: pl.Schema, wanted: Sequence[str]) -> list[pl.Expr]:
    dtypes = table.dtypes
    return [
        pl.col(name)
        if there.get(name) == dtypes[name]
        else (pl.col(name) if name in there else pl.lit(None)).cast(dtypes[name]).alias(name)
        for name in wanted
    ]
