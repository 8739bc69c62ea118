"""A first mapping from a file's own columns: every guess commented, and it runs as it is."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import polars as pl

from flows.errors import CallError
from flows.mapping import documents, sandbox
from flows.mapping.guesses import TIMES, best_table, patterns, plain
from flows.mapping.header import MAY_FILL, Header, closest
from flows.mapping.instants import as_instant
from flows.mapping.kinds import kind_of
from flows.mapping.loading import HEAD, load
from transforms.contract import Table
from transforms.sources.text import decode

_OPENS = re.compile(r"start|begin|began|open|down|fail|raise|fire", re.IGNORECASE)
_CLOSES = re.compile(r"end|close|clear|resolv|recover|up$|fixed|stop", re.IGNORECASE)
SHOWN = 40  # characters of an example


@dataclass(frozen=True)
class Column:
    """One column of the file, or a field inside one: how SQL names it, and what it holds."""

    name: str
    sql: str
    kind: str  # DuckDB's type
    examples: tuple[str, ...]
    instant: str = ""  # SQL that makes an instant of it; '' where it is no time
    why: str = ""


@dataclass(frozen=True)
class Guess:
    sql: str
    why: str


def draft(data: bytes, file: str, into: str | None, out: str) -> str:
    """Write a mapping for a file like this one. Raises CallError where nothing can be guessed."""
    header = Header(Path(out), "", None, "", *_kind(data), (), "", "")
    with sandbox.opened() as connection:
        loaded = load(connection, data, header)
        if not loaded.rows:
            raise CallError(f"{file}: holds no record to guess from. Give a file with some.")
        columns = _columns(connection)
        words = {row[0] for row in connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        ).fetchall()}  # fmt: skip
        columns = [replace(c, sql=_spelled(c.sql, words)) for c in columns]
        columns = [_as_time(connection, c) for c in columns]
        lines = connection.execute("SELECT min(line_no) FROM _input").fetchall()
        example = loaded.text(int(lines[0][0])).split("\n")[0][:300]
    table = _table(into, columns)
    return _text(header, table, columns, file, out, example)


def _kind(data: bytes) -> tuple[str | None, str]:
    """(kind, detail): of a JSON document, where its longest list of records lies."""
    kind = kind_of(decode(data[:HEAD]))
    if kind != "json":
        return kind, ""
    try:
        document = json.loads(decode(data))
    except (ValueError, RecursionError):
        return kind, ""
    return kind, documents.longest_list(document)


def _table(into: str | None, columns: list[Column]) -> Table:
    if into is None:
        times = sum(bool(c.instant) for c in columns)
        return best_table([c.name for c in columns], times, _pairs(columns) is not None)
    if into not in MAY_FILL:
        known = sorted(MAY_FILL)
        raise CallError(
            f"no table {into}{closest(into, known)}: a mapping fills one of {', '.join(known)}."
        )
    return MAY_FILL[into]


def _columns(connection: duckdb.DuckDBPyConnection) -> list[Column]:
    """Columns of `_input`, the fields of structures in place of them, with some examples."""
    found = connection.execute("DESCRIBE _input").fetchall()
    waiting: list[tuple[tuple[str, ...], str]] = [
        ((row[0],), str(row[1])) for row in found if row[0] != "line_no"
    ]
    columns: list[Column] = []
    while waiting:
        path, kind = waiting.pop(0)
        sql = ".".join(f'"{step}"' for step in path)
        if kind.startswith("STRUCT") and not kind.endswith("]"):
            fields = connection.execute(
                f"SELECT column_name, column_type FROM (DESCRIBE SELECT unnest({sql}) FROM _input)"
            ).fetchall()
            waiting = [((*path, name), str(of)) for name, of in fields] + waiting
            continue
        rows = connection.execute(
            f"SELECT {sql}::VARCHAR FROM _input WHERE {sql} IS NOT NULL "
            "GROUP BY ALL ORDER BY min(line_no) LIMIT 3"
        ).fetchall()
        examples = tuple(" ".join(row[0].split())[:SHOWN] for row in rows)
        columns.append(Column(".".join(path), sql, kind, examples))
    return columns


def _spelled(sql: str, words: set[str]) -> str:
    """Quotes only where a name needs them."""
    steps = re.findall(r'"((?:[^"]|"")*)"', sql)
    return ".".join(
        s if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", s) and s.lower() not in words else f'"{s}"'
        for s in steps
    )


def _as_time(connection: duckdb.DuckDBPyConnection, column: Column) -> Column:
    is_named_so = bool(TIMES.search(plain(column.name)))
    found = as_instant(connection, column.sql, column.kind, is_named_so)
    return replace(column, instant=found[0], why=found[1]) if found else column


def _guesses(table: Table, columns: list[Column]) -> tuple[dict[str, Guess], list[Column]]:
    """What fills which column of the table, and the columns that fill none."""
    left = list(columns)
    guesses: dict[str, Guess] = {}
    for name, dtype in table.dtypes.items():
        is_time = isinstance(dtype, pl.Datetime)
        fitting = [c for c in left if bool(c.instant) == is_time]
        if isinstance(dtype, pl.List):
            fitting = [c for c in left if c.kind.endswith("[]") or c.kind == "VARCHAR"]
        found = _first(fitting, patterns(table, name))
        if not found:
            continue
        left.remove(found)
        eg = f"; e.g. {', '.join(found.examples)}" if found.examples else ""
        if is_time:
            guesses[name] = Guess(found.instant, f"guess: {found.why}{eg}")
        elif isinstance(dtype, pl.List):
            sql = found.sql if found.kind.endswith("[]") else f"hostlist({found.sql})"
            guesses[name] = Guess(sql, f"guess: by its name{eg}")
        elif name == "level":
            guesses[name] = Guess(_level(found.sql), f"guess: by words of {found.name}{eg}")
        else:
            guesses[name] = Guess(found.sql, f"guess: by its name{eg}")
    return guesses, left


def _first(columns: list[Column], usual: tuple[str, ...]) -> Column | None:
    for pattern in usual:
        for column in columns:
            if re.fullmatch(pattern, plain(column.name)):
                return column
    return None


def _level(sql: str) -> str:
    said = f"lower({sql}::VARCHAR)"
    return (
        f"CASE WHEN regexp_matches({said}, 'crit|fatal|emerg|alert|err') THEN 'critical' "
        f"WHEN regexp_matches({said}, 'warn') THEN 'warning' ELSE 'info' END"
    )


def _constants(table: Table, guesses: dict[str, Guess], stem: str) -> dict[str, Guess]:
    """Values for required columns that no file has."""
    usual = {
        "unit_kind": Guess("'node'", "node, gpu, rack, switch, link, job or site"),
        "record": Guess("'line ' || line_no", "no column looks like a record's id"),
        "clock": Guess("'stamped'", "the record bears its own time"),
        "kind": Guess("'xid'", "family of the record") if table.name == "kernel_events" else None,
        "state": Guess("'UNKNOWN'", "no column looks like a state"),
        "reporter": Guess(f"'{stem}'", "who reported: the file's name, for want of a better"),
        "level": Guess("'info'", "info, warning or critical"),
        "code": Guess("0", "0 where no Xid is named"),
        "object": Guess(f"'node ' || {guesses['node'].sql}", "what it is about")
        if "node" in guesses
        else Guess("''", "what it is about"),
        "restart": Guess("0", "0 is the first attempt"),
        "ok": Guess("true", "false where reported failed"),
        "submitted": guesses.get("started"),
    }
    return {
        name: guess
        for name, guess in usual.items()
        if guess and name in table.dtypes and name not in guesses
    }


def _pairs(columns: list[Column]) -> tuple[str, str] | None:
    """(condition, column) of the records that open something, where others close it."""
    for column in columns:
        if column.kind == "VARCHAR" and len(column.examples) == 2:
            first, second = column.examples
            for opens, closes in ((first, second), (second, first)):
                if _CLOSES.search(closes) and _OPENS.search(opens) and opens != closes:
                    return f"{column.sql} = '{opens}'", column.name
    return None


def _text(
    header: Header, table: Table, columns: list[Column], file: str, out: str, example: str
) -> str:
    pairs = _pairs(columns) if "ended" in table.dtypes else None
    guesses, left = _guesses(table, [c for c in columns if not pairs or c.name != pairs[1]])
    guesses |= _constants(table, guesses, re.sub(r"[^a-z0-9]+", "_", Path(file).stem.lower()))
    qualify = ""
    if pairs and "ended" not in guesses and "began" in guesses:
        qualify = _paired(guesses, pairs)
    kind = header.kind or ("csv" if any(c.name != "line" for c in columns) else "lines")
    lines = [
        f"-- What {file} holds, in a sentence: write it here.",
        f"-- into: {table.name}",
        f"-- reads: {kind} {header.detail}".rstrip(),
    ]
    if kind != "lines":
        known = [c.name.split(".")[0] for c in columns if "," not in c.name]
        lines.append(f"-- knows: {', '.join(list(dict.fromkeys(known))[:6])}")
    if kind in ("csv", "json", "ndjson", "lines"):
        lines.append(f"-- example: {example}")
    lines += [
        "--",
        f"-- Drafted from {file}: every line is a guess, with its reason beside it. Try it:",
        f"--   faultledger ingest {file} --map {out} --dry-run",
        "SELECT",
    ]
    chosen = [("line_no", "", "where the record stands: refused rows are told by it")]
    for name, dtype in table.dtypes.items():
        if name in ("file", "line_no") or (name == "cluster" and name not in guesses):
            continue
        if name in guesses:
            sql = guesses[name].sql
            chosen.append((sql if sql == name else f"{sql} AS {name}", "", guesses[name].why))
        else:
            about = f"({_type(dtype)}) {table.meanings[name]}"
            if not table.schema.columns()[name].nullable and "''" not in about:
                about = f"REQUIRED {about}"
            chosen.append((f"NULL AS {name}", "", about))
    for place, (sql, _, why) in enumerate(chosen):
        comma = "," if place < len(chosen) - 1 else ""
        lines.append(f"    {sql}{comma}  -- {why}")
    lines.append(f"FROM input{qualify}")
    unused = [f"{c.name} ({c.kind.lower()[:30]})" for c in left]
    lines += [f"-- Not used: {', '.join(unused)}"] if unused else []
    return "\n".join(lines) + "\n"


def _paired(guesses: dict[str, Guess], pairs: tuple[str, str]) -> str:
    """Let records that open and records that close something be one row; return its QUALIFY."""
    is_open, column = pairs
    unit = next((guesses[n].sql for n in ("unit", "node") if n in guesses), "''")
    cause = guesses["cause"].sql if "cause" in guesses else "''"
    key = f"struct_pack(unit := {unit}, cause := {cause})"
    began = guesses["began"]
    why = f"guess: {column} opens and closes; pairs are of one unit and cause, in the file's order"
    guesses["began"] = Guess(f"CASE WHEN {is_open} THEN {began.sql} END", began.why)
    guesses["ended"] = Guess(f"paired_end({is_open}, {began.sql}, {key}, line_no)", why)
    return f"\nQUALIFY {is_open} OR paired_is_stray({is_open}, {key}, line_no)"


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Enum):
        return "one of " + ", ".join(word or "''" for word in dtype.categories)
    return "instant" if isinstance(dtype, pl.Datetime) else str(dtype)
