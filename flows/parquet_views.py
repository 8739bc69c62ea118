"""SQL that reads a table's Parquet files, so that a query opens no more of them than it must.

DuckDB takes the columns from the first file, which is quick, or from all of them, which opens
every file of the lake at each query. Files that have the same columns are therefore read as one
group by their first; only a table of many different shapes has all of its files opened.

Tables whose folders say more than their columns have more columns in the warehouse: `day`, and of
samples the `hour` of the day. A query that names them opens those files alone.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from flows.looks import Fields, Look
from flows.partitions import file_of, partition
from transforms.contract import Table

MOST_SHAPES = 8
"""Beyond, opening every file costs less than planning so many scans."""
MONTH, DAY = len("day=2026-03"), len("day=2026-03-02")
FOLDER_MEANINGS = {
    "day": "UTC day of the files: a query that names it opens no others",
    "hour": "UTC hour of the day of the files, 0 to 23: a query that names it opens no others",
}


def folder_columns(table: Table) -> dict[str, str]:
    """Name and SQL type of what the folders alone tell of a table of many files."""
    if partition(table) == "hour":
        return {"day": "DATE", "hour": "TINYINT"}
    return {"day": "DATE"} if table.day == "hour_at" else {}


@dataclass(frozen=True)
class Part:
    """Files of a table that are read in one go.

    patterns  globs of all of them and of no others, from the table's folder; each with the label
              of one file that it finds
    fields    what they have; None where that differs
    """

    patterns: Mapping[str, str]
    fields: Fields | None


def parts(globs: tuple[str, str], looks: Mapping[str, Look]) -> list[Part]:
    """How the files of a table are read; `globs` are the lake's of the table."""
    groups = by_shape(looks)
    if len(groups) > MOST_SHAPES:
        return [Part({globs[0]: label}, None) for (label, *_) in groups.values()]
    if len(groups) == 1:
        return [Part({globs[0]: next(iter(looks))}, fields) for fields in groups]
    return [
        Part(_patterns(globs, labels, looks.keys() - set(labels)), fields)
        for fields, labels in groups.items()
    ]


def _patterns(
    globs: tuple[str, str], labels: Iterable[str], others: Collection[str]
) -> dict[str, str]:
    """Whole months and whole days by one glob each, so that thousands of files are not named."""
    mixed = {label[:size] for label in others for size in (MONTH, DAY)}
    found: dict[str, str] = {}
    for label in labels:
        if label[:MONTH] not in mixed:
            pattern = f"{label[:MONTH]}-{globs[0]}"
        elif label[:DAY] not in mixed:
            pattern = f"{label[:DAY]}{globs[0][1:]}"
        else:
            pattern = file_of(label, globs[1])
        found.setdefault(pattern, label)
    return found


def statement(
    table: Table,
    folder: str,
    globs: tuple[str, str],
    looks: Mapping[str, Look],
    types: Mapping[str, str],
) -> str:
    """The SELECT of a table's view.

    folder   where its files lie, seen from where queries run
    globs    the glob of all of them and the name of one, from that folder
    looks    what each file, by its label, says of itself
    types    the SQL type of each of the table's columns
    """
    cut = parts(globs, looks)
    if cut[0].fields is None:
        kinds = {name: "mixed" for seen in looks.values() for name, _ in seen.fields}
        source = _read(table, quoted(f"{folder}/{globs[0]}"), True)
        return _select(table, source, kinds, types)
    selects = []
    for part in cut:
        files = [quoted(f"{folder}/{pattern}") for pattern in part.patterns]
        source = _read(table, f"[{', '.join(files)}]" if len(files) > 1 else files[0], False)
        selects.append(_select(table, source, dict(part.fields or ()), types))
    return "\nUNION ALL\n".join(selects)


def by_shape(looks: Mapping[str, Look]) -> dict[Fields, list[str]]:
    """The labels of the files that have the same columns of the same types."""
    groups: dict[Fields, list[str]] = {}
    for label, seen in looks.items():
        groups.setdefault(seen.fields, []).append(label)
    return groups


def united(table: Table, sources: Mapping[str, Fields], types: Mapping[str, str]) -> str:
    """The SELECT of a table whose files of each shape are registered under a name."""
    told = {"day": f"{table.day}::DATE", "hour": f"extract(hour FROM {table.day})::TINYINT"}
    folders = [f"{told[name]} AS {name}" for name in folder_columns(table)]
    return "\nUNION ALL\n".join(
        f"SELECT {', '.join([_columns(table, dict(fields), types), *folders])} FROM {name}"
        for name, fields in sources.items()
    )


def _read(table: Table, files: str, is_by_name: bool) -> str:
    told = folder_columns(table)
    if not told and "day" in table.dtypes and partition(table) == "day":
        told = {"day": "DATE"}
    kinds = ", ".join(f"'{name}': {kind}" for name, kind in told.items())
    return (
        f"read_parquet({files}, union_by_name = {str(is_by_name).lower()}, "
        f"hive_partitioning = {str(bool(told)).lower()}"
        f"{f', hive_types = {{{kinds}}}' if told else ''})"
    )


def _select(table: Table, source: str, there: Mapping[str, str], types: Mapping[str, str]) -> str:
    columns = ", ".join([_columns(table, there, types), *folder_columns(table)])
    return f"SELECT {columns} FROM {source}"


def _columns(table: Table, there: Mapping[str, str], types: Mapping[str, str]) -> str:
    return ", ".join(
        f'NULL::{kind} AS "{name}"'
        if name not in there
        else f'"{name}"'
        if not _is_repacked(table, name, there[name])
        else f'"{name}"::{kind} AS "{name}"'
        for name, kind in types.items()
    )


def _is_repacked(table: Table, name: str, kind: str) -> bool:
    """True for a real number that lies in the file as a whole or decimal one."""
    return table.dtypes[name] == pl.Float64 and kind != "double"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
