"""Answers on their way out: an aligned table for people, CSV, JSON or Parquet for programs."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, TextIO

import polars as pl

Format = Literal["table", "csv", "json", "parquet"]
WIDEST = 60  # characters of one cell, on a terminal


def show(frame: pl.DataFrame, form: Format, to: Path | None = None) -> None:
    """Print `frame`, or write it to a file."""
    if form == "parquet":
        held = io.BytesIO()
        frame.write_parquet(held, compression="zstd")
        (to.write_bytes if to else sys.stdout.buffer.write)(held.getvalue())
        return
    text = {"table": table, "csv": as_csv, "json": as_json}[form](frame)
    if to:
        to.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def table(frame: pl.DataFrame, widest: int | None = None) -> str:
    """Columns aligned, numbers to the right, and the count of rows under more than one."""
    if not frame.width:
        return ""
    widest = widest or (WIDEST if sys.stdout.isatty() else None)
    rows = [[cell(value) for value in row] for row in frame.iter_rows()]
    lines = columns(frame.columns, rows, [t.is_numeric() for t in frame.dtypes], widest)
    if len(rows) != 1:
        lines.append(f"({len(rows):,} rows)")
    return "\n".join(lines) + "\n"


def columns(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    is_number: Sequence[bool],
    widest: int | None = None,
) -> list[str]:
    cut = [[_one_line(text, widest) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cut, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in (list(names), ["-" * width for width in widths], *cut)
    ]


def cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return stamp(value)
        case list() | dict() | tuple() | pl.Series():
            return json.dumps(_json(value), ensure_ascii=False)
        case _:
            return str(value)


def type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Enum):
        return "Enum"
    return str(dtype).replace("Datetime(time_unit='us', time_zone='UTC')", "instant")


def stamp(moment: datetime) -> str:
    """ISO 8601 with Z where the zone is known; fractions only where there are some."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def as_csv(frame: pl.DataFrame) -> str:
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows([_exact(value) for value in row] for row in frame.iter_rows())
    return held.getvalue()


def as_json(frame: pl.DataFrame) -> str:
    rows = (
        json.dumps(dict(zip(frame.columns, map(_json, row), strict=True)), ensure_ascii=False)
        for row in frame.iter_rows()
    )
    return "[" + ",\n ".join(rows) + "]\n"


def tell(text: str = "", to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout)


def one_line(text: str) -> str:
    """The text on one line, cut to the terminal's width where there is one."""
    return _one_line(text, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)


def _exact(value: object) -> str:
    return repr(value) if isinstance(value, float) else cell(value)


def _json(value: object) -> object:
    match value:
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case bool() | int() | float() | str() | None:
            return value
        case Decimal():
            return float(value)
        case datetime():
            return stamp(value)
        case date():
            return value.isoformat()
        case list() | tuple() | pl.Series():
            return [_json(item) for item in value]
        case dict():
            return {str(key): _json(item) for key, item in value.items()}
        case _:
            return str(value)


def _one_line(text: str, widest: int | None) -> str:
    flat = text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", " ")
    return flat if widest is None or len(flat) <= widest else flat[: widest - 1] + "…"
