"""What a table's name stands for in DuckDB: its files, datasets of them, or a table without rows.

`connection` is DuckDB's; opening one is the warehouse's affair.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from flows import parquet_views
from flows.atomic import link
from flows.lake import Lake
from flows.looks import Look
from flows.parquet_views import quoted
from flows.partitions import file_of
from transforms.contract import Table


def put_files(
    connection: Any, table: Table, frozen: Lake, looks: Mapping[str, Look], stage: Path
) -> None:
    """A view over the table's files, by their paths from the root of the lake that was frozen.

    DuckDB looks through all folders of a view that it is told of, and opens a file. It is told of
    them in `stage`, where of all files that are alike there is one.
    """
    if not looks:
        put_empty(connection, table)
        return
    folder = f"{'/'.join(frozen.root.parts[-2:])}/{table.room}/{table.name}"
    for part in parquet_views.parts(frozen.globs(table), looks):
        for label in part.patterns.values():
            name = file_of(label, frozen.globs(table)[1])
            (stage / folder / name).parent.mkdir(parents=True, exist_ok=True)
            link(frozen.folder(table) / name, stage / folder / name)
    select = parquet_views.statement(
        table, folder, frozen.globs(table), looks, _types(connection, table)
    )
    connection.execute(f"CREATE VIEW {table.name} AS {select}")
    _comment(connection, table, "VIEW", parquet_views.folder_columns(table))


def put_datasets(connection: Any, table: Table, frozen: Lake, looks: Mapping[str, Look]) -> None:
    """A view over datasets, one for each shape of file: whoever asks it reaches no path."""
    import pyarrow.dataset as ds  # brings pandas along, where there is one: only a sandbox waits

    if not looks:
        put_empty(connection, table)
        return
    sources = {}
    for number, (fields, labels) in enumerate(parquet_views.by_shape(looks).items()):
        files = [str(path) for path in frozen.partitions(table, *labels).values()]
        name = f"_{table.name}_{number}"
        connection.register(name, ds.dataset(files, format="parquet"))
        sources[name] = fields
    select = parquet_views.united(table, sources, _types(connection, table))
    connection.execute(f"CREATE VIEW {table.name} AS {select}")
    _comment(connection, table, "VIEW", parquet_views.folder_columns(table))


def put_empty(connection: Any, table: Table) -> None:
    """A table never written still answers, with no rows."""
    put_native(connection, table.name, table.empty())
    folders = parquet_views.folder_columns(table)
    for name, kind in folders.items():
        connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}")
    _comment(connection, table, "TABLE", folders)


def _types(connection: Any, table: Table) -> dict[str, str]:
    connection.register("_empty", _loose(table.empty()).to_arrow())
    types = described(connection, "_empty")
    connection.unregister("_empty")
    return types


def described(connection: Any, name: str) -> dict[str, str]:
    """Column name to type, in order, of what answers to the name."""
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {name}").fetchall()}


def _comment(connection: Any, table: Table, kind: str, folders: Mapping[str, str]) -> None:
    grain = quoted(f"One row per {table.grain}")
    connection.execute(f"COMMENT ON {kind} {table.name} IS {grain}")
    told = {name: parquet_views.FOLDER_MEANINGS[name] for name in folders}
    for name, meaning in (table.meanings | told).items():
        connection.execute(f'COMMENT ON COLUMN {table.name}."{name}" IS {quoted(meaning)}')


def put_native(connection: Any, name: str, frame: pl.DataFrame) -> None:
    """Make a table of DuckDB's own."""
    connection.register("_frame", _loose(frame).to_arrow())
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM _frame")
    connection.unregister("_frame")


def _loose(frame: pl.DataFrame) -> pl.DataFrame:
    """Enums as text: what Parquet gives back."""
    return frame.cast({pl.Enum: pl.String})
