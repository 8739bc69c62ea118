"""Late samples lie beside their hour's file until they are folded into it.

    day=2026-03-02/hour=07/part.parquet
    day=2026-03-02/hour=07/late-21034872-3.parquet      the third file beside a part of that size

Writing an hour of a large fleet again for every few rows that come late would cost a hundred times
their own weight. So few rows with keys of their own become a file of their own, which any reader's
glob takes in; and so do many, where they are of other nodes than all that is there: an hour of a fleet
too large to hold is written in pieces. Folding replaces the part, and in that instant what lay beside the old one is void,
since it names the old one's size: a crash leaves the rows once, in one place or in the other.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from flows.footers import footer
from transforms.contract import Table

ROWS_WORTH_IT = 100_000
"""A part of fewer rows is written again in no time."""
SHARE = 0.5  # of the part's rows: so many more are better folded at once, where they lie among them
MOST = 24
NAME = re.compile(r"late-([0-9]+)-([0-9]{3,})\.parquet")


def beside(part: Path) -> list[str]:
    """The names, without ending, of the late files of a part that is there, in order."""
    try:
        with os.scandir(part.parent) as entries:
            found = [match for entry in entries if (match := NAME.fullmatch(entry.name))]
        size = str(os.stat(part).st_size) if found else ""
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(match[0].removesuffix(".parquet") for match in found if match[1] == size)


def is_beside(name: str, size: int) -> bool:
    """Whether a file of this name holds late rows of a part of this size."""
    match = NAME.fullmatch(name)
    return match is not None and match[1] == str(size)


def of(parts: Mapping[str, Path]) -> dict[str, Path]:
    """Label to file of what lies beside these parts, which are given by their labels."""
    return {
        f"{label}/{name}": part.with_name(f"{name}.parquet")
        for label, part in parts.items()
        for name in beside(part)
    }


def remove(part: Path) -> None:
    """Remove all late files of a folder, the void ones as well."""
    for path in part.parent.glob("late-*.parquet"):
        path.unlink(missing_ok=True)


def next_place(table: Table, part: Path, rows: pl.DataFrame) -> Path | None:
    """Where these rows, which are folded, can lie by themselves; None where they must be merged."""
    whole = footer(part).rows
    names = beside(part)
    if whole < ROWS_WORTH_IT or len(names) >= MOST:
        return None
    files = [part, *(part.with_name(f"{name}.parquet") for name in names)]
    if rows.height > SHARE * whole and not all(_lies_apart(table, path, rows) for path in files):
        return None
    if any(_meet(table, path, rows) for path in files):
        return None
    number = 1 + max((int(name.rsplit("-", 1)[1]) for name in names), default=0)
    return part.with_name(f"late-{part.stat().st_size}-{number:03}.parquet")


def _meet(table: Table, path: Path, rows: pl.DataFrame) -> bool:
    """Whether the file has a row of the same thing and instant, under whatever cluster."""
    if _lies_apart(table, path, rows):
        return False
    keys = _keys(table)
    there = pl.read_parquet(path.read_bytes(), columns=keys).cast(
        {name: table.dtypes[name] for name in keys}
    )
    return there.join(rows, on=keys, how="semi").height > 0


def _lies_apart(table: Table, path: Path, rows: pl.DataFrame) -> bool:
    """Whether the file's footer alone shows that it has none of these keys."""
    columns = footer(path).columns
    return any(
        name in columns and _is_apart(rows[name], columns[name].low, columns[name].high)
        for name in _keys(table)
    )


def _keys(table: Table) -> list[str]:
    return [name for name in table.key if name != "cluster"]


def _is_apart(column: pl.Series, low: Any, high: Any) -> bool:
    first: Any = column.min()
    last: Any = column.max()
    return bool(last < low or first > high)
