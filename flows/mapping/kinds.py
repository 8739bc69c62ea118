"""What kind of file it is by its content, and whether a mapping knows a file that begins so."""

import json
import re

from flows.mapping.header import Header

PARQUET = "PAR1"
SQLITE = "SQLite format 3\x00"
_FIRST_LINES = 20
_CELLS = re.compile(r"[,;|\t]")


def kind_of(text: str) -> str | None:
    """`parquet`, `sqlite`, `ndjson` or `json` by the first characters; None for any other text."""
    if text.startswith(PARQUET):
        return "parquet"
    if text.startswith(SQLITE):
        return "sqlite"
    if not text.lstrip()[:1] or text.lstrip()[0] not in "[{":
        return None
    lines = [line for line in text.split("\n", _FIRST_LINES)[:_FIRST_LINES] if line.strip()]
    records = sum(map(_is_record, lines))
    return "ndjson" if len(lines) > 1 and records * 2 >= len(lines) else "json"


def surety(header: Header, text: str) -> int:
    """2 where a file that begins with `text` holds all that the mapping knows, else 0."""
    if not header.knows:
        return 0
    kind = kind_of(text)
    wanted = {"ndjson": "json"}.get(header.kind or "", header.kind)
    if wanted == "lines":
        return 2 if re.search(header.knows[0], text, re.MULTILINE) else 0
    if wanted and wanted != ({"ndjson": "json", None: "csv"}.get(kind, kind)):
        return 0
    if kind in ("json", "ndjson"):
        is_known = all(re.search(rf'"{re.escape(n)}"\s*:', text) for n in header.knows)
    elif kind in ("parquet", "sqlite"):
        is_known = all(name in text for name in header.knows)
    else:
        lines = text.split("\n", _FIRST_LINES)[:_FIRST_LINES]
        is_known = any(set(header.knows) <= _cells(line) for line in lines)
    return 2 if is_known else 0


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _cells(line: str) -> set[str]:
    return {cell.strip().strip('"') for cell in _CELLS.split(line.removeprefix("\ufeff"))}
