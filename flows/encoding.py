"""Tables as Parquet files; samples packed tightly, and still plain to any reader.

A file of samples holds only the columns that say anything. A metric whose values are exact
decimals lies in it as DECIMAL(9 or 18, places), which is a whole number on the disk: a bare DuckDB
or Polars sees the number itself, and as a double it is the sample bit for bit. Each column has the
encoding that came out smallest when some of its own rows were tried. So the same rows make the same
bytes.
"""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.contract import Table
from transforms.folding import telling
from transforms.metrics import BY_NAME
from transforms.scaling import SHORT, scaled_parts

LEVEL = 3
ROWS_A_GROUP = 250_000
SAMPLES_A_GROUP = 122_880
"""Few enough that one device's rows are found in a moment, enough that footers stay short."""
TRIED_FROM = 4096  # rows; with fewer, whatever comes out is small
TRIED = 16, 768  # stretches of a column and rows of each
NEAR = 256  # bytes that a quicker encoding may cost more, of so many rows
DICTIONARY, SPLIT, DELTA = "RLE_DICTIONARY", "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED"


def write(table: Table, rows: pl.DataFrame, path: Path, other_than: int | None = None) -> None:
    """Write the rows, which are sorted, as one Parquet file; of samples not one of this size."""
    if table.is_sampled:
        _write_samples(rows, path)
        if path.stat().st_size == other_than:
            _write_samples(rows, path, {"padding": "1"})
    else:
        rows.rechunk().write_parquet(
            path,
            compression="zstd",
            compression_level=LEVEL,
            statistics=True,
            row_group_size=ROWS_A_GROUP,
        )


def _write_samples(rows: pl.DataFrame, path: Path, note: dict[str, str] | None = None) -> None:
    columns = {series.name: _column(series) for series in telling(rows)}
    chosen = {name: _encoding(column) for name, column in columns.items()}
    _write(pa.table(columns), path, chosen, note)


def _write(
    table: pa.Table,
    target: Path | io.BytesIO,
    chosen: dict[str, str],
    note: dict[str, str] | None = None,
) -> None:
    with pq.ParquetWriter(
        target,
        table.schema,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[name for name, how in chosen.items() if how == DICTIONARY],
        column_encoding={name: how for name, how in chosen.items() if how != DICTIONARY},
        store_decimal_as_integer=True,
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=SAMPLES_A_GROUP)
        if note:
            writer.add_key_value_metadata(note)


def _column(series: pl.Series) -> pa.Array:
    if series.dtype == pl.Float64 and (decimal := _decimal(series)) is not None:
        return decimal
    column = series.rechunk().to_arrow()
    return column.cast(pa.string()) if series.dtype == pl.String else column


def _decimal(series: pl.Series) -> pa.Array | None:
    """The column in decimals; None where some value is none."""
    nulls = series.null_count()
    filled = series.fill_null(0.0) if nulls else series
    parts = [part.to_numpy() for part in filled.get_chunks()]
    found = scaled_parts(parts, BY_NAME.get(series.name))
    if found is None:
        return None
    validity = None
    if nulls:
        validity = pa.py_buffer(np.packbits(series.is_not_null().to_numpy(), bitorder="little"))
    kind = (pa.decimal32 if found.digits == SHORT else pa.decimal64)(found.digits, found.places)
    whole = pa.py_buffer(found.whole)
    return pa.Array.from_buffers(kind, len(series), [validity, whole], nulls)


def _encoding(column: pa.Array) -> str:
    """What makes the column smallest, by some stretches of it; of near equals the first."""
    can_be_split = pa.types.is_decimal(column.type) or pa.types.is_float64(column.type)
    can_be_delta = pa.types.is_decimal(column.type) or pa.types.is_timestamp(column.type)
    if len(column) < TRIED_FROM or not (can_be_split or can_be_delta) or _is_even(column):
        return DICTIONARY
    count, length = TRIED
    step = len(column) // count
    some = pa.concat_arrays([column.slice(step * i, length) for i in range(count)])
    ways = [DICTIONARY, *[SPLIT] * can_be_split, *[DELTA] * can_be_delta]
    return min(ways, key=lambda how: _size(some, how) // NEAR)


def _is_even(column: pa.Array) -> bool:
    """Whether all its values are one."""
    whole = np.frombuffer(column.buffers()[1], np.uint8)[: column.type.byte_width * len(column)]
    values = whole.view(f"i{column.type.byte_width}")  # a double as its bits
    return column.null_count == 0 and bool((values == values[0]).all())


def _size(column: pa.Array, how: str) -> int:
    draft = io.BytesIO()
    _write(pa.table({"x": column}), draft, {"x": how})
    return draft.tell()
