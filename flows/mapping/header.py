"""A mapping's file: a header of comments that says what it is for, and one SELECT.

-- TITLE                   what the file holds, in a sentence
-- into: TABLE             the observed table that the SELECT fills
-- sets aside: REASON      instead of into and a SELECT: known, and holds no records
-- reads: KIND [...]       optional: json [path.to.records], ndjson, csv [name=value ...],
                           parquet, sqlite [table], lines; else the content decides
-- knows: NAME, NAME       optional: columns or keys (of lines: a regular expression) by which
                           a file is recognised without being told
-- example: LINE           optional: a real line, for people
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from flows.errors import CallError
from transforms import tables
from transforms.contract import Table

KINDS = ("json", "ndjson", "csv", "parquet", "sqlite", "lines")
CSV_OPTIONS = ("delim", "header", "names", "skip", "quote", "comment", "types")
MAY_FILL = {t.name: t for t in (*tables.observed.EVENTS, *tables.samples.ALL)}
_WORD = re.compile(r"-- *(into|sets aside|reads|knows|example): *(.*?) *$")


class MappingError(CallError):
    """A mapping cannot be used; the message is one line and names its file."""


@dataclass(frozen=True)
class Header:
    """What a mapping says of itself; `select` is the SQL under it."""

    path: Path
    title: str
    table: Table | None  # None: what it knows is set aside
    sets_aside: str
    kind: str | None
    detail: str  # what follows the kind: a path, a table, options
    knows: tuple[str, ...]
    example: str
    select: str

    @property
    def name(self) -> str:
        return f"map:{self.path.stem}"


def read(path: Path) -> Header:
    """Read a mapping. Raises MappingError, one line that names the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read ({error}).") from error
    try:
        return parse(text, path)
    except ValueError as error:
        raise MappingError(f"{path}: {error}") from error


def parse(text: str, path: Path) -> Header:
    """Read a mapping's text. Raises ValueError on a header that promises nothing usable."""
    said, title, select = _split(text)
    if ("into" in said) == ("sets aside" in said):
        raise ValueError(
            "its header says neither or both. Write one: `-- into: TABLE`, such as "
            "outages, or `-- sets aside: REASON`."
        )
    kind, _, detail = said.get("reads", "").partition(" ")
    if kind and kind not in KINDS:
        raise ValueError(f"reads {kind}: there are {', '.join(KINDS)}.")
    if detail and kind not in ("json", "csv", "sqlite"):
        raise ValueError(f"reads {kind} {detail}: nothing may follow {kind}.")
    knows = said.get("knows", "")
    names = (knows,) if kind == "lines" else tuple(re.split(r"\s*,\s*", knows))
    header = Header(
        path=path,
        title=title,
        table=_table(said["into"]) if "into" in said else None,
        sets_aside=said.get("sets aside", ""),
        kind=kind or None,
        detail=detail.strip(),
        knows=tuple(filter(None, names)),
        example=said.get("example", ""),
        select=select,
    )
    csv_options(header)
    if kind == "lines":
        _check_pattern(knows)
    if header.table and not select:
        raise ValueError("holds no SELECT. Write one under its header: SELECT ... FROM input.")
    if select and not header.table:
        raise ValueError("sets its files aside, so its SELECT would never run. Leave one out.")
    return header


def csv_options(header: Header) -> dict[str, str]:
    """The options after `reads: csv`, such as delim=| header=false names=job,start,end."""
    if header.kind != "csv":
        return {}
    options: dict[str, str] = {}
    for word in header.detail.split():
        name, equals, value = word.partition("=")
        if not equals or name not in CSV_OPTIONS:
            raise ValueError(f"reads csv {word}: write name=value of {', '.join(CSV_OPTIONS)}.")
        if name == "header" and value not in ("true", "false"):
            raise ValueError(f"reads csv {word}: true or false.")
        if name == "types" and value != "text":
            raise ValueError(f"reads csv {word}: text, which leaves every cell as it is written.")
        if name == "skip" and not value.isdecimal():
            raise ValueError(f"reads csv {word}: a number of lines.")
        options[name] = {"\\t": "\t", "tab": "\t"}.get(value, value)
    return options


def closest(name: str, known: list[str]) -> str:
    """` (did you mean NAME?)` where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _split(text: str) -> tuple[dict[str, str], str, str]:
    said: dict[str, str] = {}
    lines = text.removeprefix("\ufeff").splitlines()
    count = 0
    for count, line in enumerate([*lines, "SELECT"]):
        if line.strip() and not line.startswith("--"):
            break
        if word := _WORD.match(line):
            if word[1] in said:
                raise ValueError(f"line {count + 1}: says `{word[1]}` twice. Keep one.")
            said[word[1]] = word[2]
    first = lines[0] if lines and lines[0].startswith("--") else ""
    title = "" if _WORD.match(first) else first.removeprefix("--").strip()
    return said, title, "\n".join(lines[count:]).strip()


def _table(name: str) -> Table:
    if name not in MAY_FILL:
        known = sorted(MAY_FILL)
        raise ValueError(
            f"into {name}{closest(name, known)}: a mapping fills one of {', '.join(known)}."
        )
    return MAY_FILL[name]


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"knows {pattern}: no regular expression ({error}).") from error
