"""JSON at any nesting as records: an array's elements, a document, or one a line.

Every record is wrapped as {"line_no": 3, "value": ...} before DuckDB reads it, so that each row
keeps its place; a torn record is refused and the others survive.
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows.errors import RefusedError
from transforms.sources.text import LINES_SCHEMA

LARGEST_RECORD = 16 * 1024**2  # DuckDB's own bound, raised where a record is longer
_BLANK = " \t\r\n"
Refused = list[tuple[int, str, str]]


def of_lines(
    connection: duckdb.DuckDBPyConnection, lines: pl.DataFrame
) -> tuple[pl.DataFrame, Refused]:
    """One record a line (`line_no`, `line`): the sound ones, and those that are no JSON."""
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    connection.register("_lines", lines.to_arrow())
    checked = connection.execute(
        "SELECT line_no FROM _lines WHERE NOT json_valid(line) ORDER BY line_no"
    ).fetchall()
    connection.unregister("_lines")
    torn = pl.Series("line_no", [row[0] for row in checked], pl.UInt32)
    bad = lines.filter(pl.col("line_no").is_in(torn.implode()))
    refused = [(number, "no JSON: torn or not a record", line) for number, line in bad.iter_rows()]
    return lines.filter(~pl.col("line_no").is_in(torn.implode())), refused


def of_document(text: str, path: str = "") -> tuple[pl.DataFrame, Refused]:
    """Records of a document: the array at `path` (dotted keys), else its array, else itself."""
    if not text.strip():
        return pl.DataFrame(schema=LINES_SCHEMA), []
    refused: Refused = []
    try:
        found = json.loads(text, parse_constant=lambda word: None)
    except RecursionError as error:
        raise RefusedError("nested too deep") from error
    except ValueError as error:
        if path:
            raise RefusedError(f"torn JSON: {error}") from error
        found, refused = _salvage(text)
    for key in filter(None, path.split(".")):
        if not isinstance(found, dict) or key not in found:
            raise RefusedError(f"nothing at {path}: no key {key}")
        found = found[key]
    records = found if isinstance(found, list) else [found]
    rows = [(n, json.dumps(r, ensure_ascii=False)) for n, r in enumerate(records, 1)]
    return pl.DataFrame(rows, schema=LINES_SCHEMA, orient="row"), refused


def load(connection: duckdb.DuckDBPyConnection, records: pl.DataFrame, held: Path) -> None:
    """Fill `_input` from records: their keys are its columns, else a column `value`."""
    parts = [pl.lit('{"line_no":'), "line_no", pl.lit(',"value":'), "line", pl.lit("}")]
    wrapped = records.select(pl.concat_str(parts)).to_series()
    held.write_text("\n".join(wrapped) + "\n", encoding="utf-8", newline="")
    longest = int(wrapped.str.len_bytes().max() or 0)  # type: ignore[arg-type]
    source = (
        f"read_json('{held}', format = 'newline_delimited', sample_size = -1, "
        f"maximum_object_size = {max(LARGEST_RECORD, longest + 1024)})"
    )
    ((kind,),) = connection.execute(
        f"SELECT column_type FROM (DESCRIBE FROM {source}) WHERE column_name = 'value'"
    ).fetchall()
    spread = "value.*" if kind.startswith("STRUCT") else "value"
    connection.execute(f"CREATE TABLE _input AS SELECT line_no, {spread} FROM {source}")


def _salvage(text: str) -> tuple[list[Any], Refused]:
    """Elements up to the torn one of an array, or documents one after the other."""
    decoder = json.JSONDecoder(parse_constant=lambda word: None)
    place = len(text) - len(text.lstrip())
    ends = _BLANK
    if text[place] == "[":
        place, ends = place + 1, _BLANK + ","
    records: list[Any] = []
    while True:
        while place < len(text) and text[place] in ends:
            place += 1
        if place == len(text):
            why = [] if ends == _BLANK else [(len(records) + 1, "the array never ends", "")]
            return records, why
        try:
            record, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            return records, [(len(records) + 1, f"torn JSON: {error}", text[place:])]
        records.append(record)


def longest_list(document: Any) -> str:
    """Where the most records of a document lie, as dotted keys; '' for itself."""
    if not isinstance(document, dict):
        return ""
    best, most = "", 1
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        for key, below in value.items():
            if not key or set(key) & set(". \t\n"):
                continue
            place = f"{path}.{key}" if path else key
            if isinstance(below, dict):
                waiting.append((place, below))
            elif isinstance(below, list) and all(isinstance(one, dict) for one in below):
                best, most = (place, len(below)) if len(below) >= most else (best, most)
    return best
