"""A mapping as a source of the pipeline: what it knows, and how it reads a file's bytes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import duckdb
import polars as pl

from flows.errors import RefusedError
from flows.mapping import sandbox
from flows.mapping.casting import Cast, cast, unknown_columns
from flows.mapping.header import Header
from flows.mapping.kinds import surety
from flows.mapping.loading import Loaded, load
from flows.mapping.statement import checked, texts
from transforms.contract import Table
from transforms.sources.base import TEXT_LIMIT, Origin, Parsed, Source, refuse_faulty, rejects

Refused = list[tuple[int, str, str]]


@dataclass(frozen=True)
class Given:
    """What a SELECT gave: column to DuckDB type, and rows as the table's columns.

    `rows` has the table's columns, `line_no`, and `fault`: why a row was not readable, or null.
    """

    types: dict[str, str]
    rows: pl.DataFrame


@dataclass(frozen=True)
class Through:
    """What a file said through a mapping, and what its SELECT gave: column to DuckDB type."""

    parsed: Parsed
    types: dict[str, str]


def as_source(header: Header, is_ours: bool = False) -> Source:
    """The mapping as a Source; its SELECT is held to be one that only reads.

    Of one that came with this code the tests hold that, not every call anew.
    """
    if header.table and not is_ours:
        with sandbox.opened() as connection:
            checked(connection, header)
    return Source(
        name=header.name,
        title=header.title or f"mapping {header.path.name}",
        example=header.example,
        makes=(header.table,) if header.table else (),
        sniff=lambda text, name: surety(header, text),
        parse=partial(parse, header),
    )


def parse(header: Header, data: bytes, origin: Origin) -> Parsed:
    """Read a file through the mapping, as every source reads one."""
    return look(header, data, origin).parsed


def look(header: Header, data: bytes, origin: Origin) -> Through:
    """Read a file through the mapping, and say which columns its SELECT gave.

    Raises RefusedError where nothing of the file can be read, or the SELECT does not fit it.
    """
    with sandbox.opened() as connection:
        loaded = load(connection, data, header)
        refused = list(loaded.refused)
        records = loaded.rows + len(refused)
        if header.table is None or not loaded.rows:
            return Through(_counted({}, refused, records), {})
        given, poison = ask(connection, header, origin)
        refused += [(line, fault, _short(loaded, line)) for line, fault in poison]
        good, broken = _hold(header.table, given.rows, partial(_short, loaded))
        lines = Counter(given.rows["line_no"].to_list())
        lost = Counter(line for line, _, _ in broken)
        sound = frozenset(n for n, rows in lines.items() if n and rows > lost[n])
        parsed = _counted({header.table.name: good}, refused + broken, records, sound)
        return Through(parsed, given.types)


def ask(
    connection: duckdb.DuckDBPyConnection, header: Header, origin: Origin
) -> tuple[Given, list[tuple[int, str]]]:
    """Run the SELECT over `_input`, locked in; return its rows cast, and records that broke it."""
    assert header.table is not None
    ways = texts(connection, checked(connection, header))
    sandbox.lock(connection, origin)
    poison = sandbox.run(connection, ways[0], header)
    types = _types(connection)
    for way in ways[1:]:
        if "line_no" not in types:
            try:
                poison = sandbox.run(connection, way, header)
                types = _types(connection)
            except RefusedError:
                continue
    try:
        return Given(types, _rows(connection, header.table, types, origin)), poison
    except ValueError as error:
        raise RefusedError(f"{header.path.name}: {error}") from error


def _types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute("DESCRIBE _said").fetchall()}


def _rows(
    connection: duckdb.DuckDBPyConnection, table: Table, types: dict[str, str], origin: Origin
) -> pl.DataFrame:
    if strange := unknown_columns(table, list(types)):
        raise ValueError(strange)
    if "line_no" not in types:
        raise ValueError(
            "the SELECT gives no line_no, and none can be added to it: carry line_no of input "
            "through it, such as min(line_no) AS line_no of a group"
        )
    counts = ", ".join(f'count("{name}")' for name in types)
    (filled,) = connection.execute(f"SELECT {counts} FROM _said").fetchall()
    casts: dict[str, Cast] = {}
    for (name, kind), count in zip(types.items(), filled, strict=True):
        if count and name != "line_no":
            casts[name] = cast(name, kind, table.dtypes[name])
    faults = ", ".join(["NULL::VARCHAR", *(c.fault for c in casts.values())])
    chosen = "".join(f', {c.value} AS "{name}"' for name, c in casts.items())
    answer = connection.sql(
        "SELECT coalesce(l.line_no, 0)::UINTEGER AS line_no, "
        "CASE WHEN l.line_no IS NULL THEN 'line_no is none of the input' END AS strange_line, "
        f"array_to_string(list_filter([{faults}], lambda f: f IS NOT NULL), '; ') AS fault{chosen} "
        "FROM _said AS s LEFT JOIN (SELECT DISTINCT line_no FROM _input) AS l "
        "ON TRY_CAST(s.line_no AS BIGINT) = l.line_no ORDER BY s.rowid"
    ).to_arrow_table()
    read = pl.DataFrame(answer)
    return _filled(read, table, origin)


def _filled(read: pl.DataFrame, table: Table, origin: Origin) -> pl.DataFrame:
    """Every column of the table, from the SELECT, the origin, or as what stands for none."""
    columns: list[pl.Expr] = []
    faults = [pl.col("strange_line"), pl.col("fault").replace("", None)]
    for name, dtype in table.dtypes.items():
        if name in ("file", "line_no"):
            continue
        value = pl.col(name).cast(dtype) if name in read.columns else pl.lit(None, dtype)
        if name == "cluster":
            value = pl.coalesce(value, pl.lit(origin.cluster))
        elif name == "node" and (origin.node or "''" in table.meanings[name]):
            value = pl.coalesce(value, pl.lit(origin.node))
        elif dtype == pl.String and "''" in table.meanings[name]:
            value = pl.coalesce(value, pl.lit(""))
        columns.append(value.alias(name))
    if "file" in table.dtypes:
        columns.append(pl.lit(origin.file).alias("file"))
    rows = read.with_columns(columns)
    if "repeat" in table.key:
        same = [name for name in table.key if name != "repeat"]
        nth = pl.int_range(pl.len(), dtype=pl.UInt32).over(same)
        rows = rows.with_columns(repeat=pl.coalesce(pl.col("repeat"), nth))
    for name, column in table.schema.columns().items():
        if not column.nullable and name not in ("file", "line_no"):
            empty = pl.when(pl.col(name).is_null()).then(pl.lit(f"{name} is empty"))
            faults.append(empty.otherwise(None))
    fault = pl.concat_str(faults, separator="; ", ignore_nulls=True)
    names = [name for name in table.dtypes.names() if name != "line_no"]
    return rows.select("line_no", *names, fault=fault.replace("", None))


def _hold(
    table: Table, rows: pl.DataFrame, text: Callable[[int], str]
) -> tuple[pl.DataFrame, Refused]:
    """Rows that keep the table's contract, folded; and each of those that do not."""
    if "line_no" in table.dtypes:
        return refuse_faulty(table, rows, text)
    faulty = rows.filter(pl.col("fault").is_not_null()).select("line_no", "fault")
    sound = table.conform(rows.filter(pl.col("fault").is_null()).drop("fault", "line_no"))
    return table.fold(sound), [(line, fault, text(line)) for line, fault in faulty.iter_rows()]


def _counted(
    frames: dict[str, pl.DataFrame],
    refused: Refused,
    records: int,
    sound: frozenset[int] = frozenset(),
) -> Parsed:
    """One reject a line; a line that gave a sound row is accepted, whatever else it gave."""
    reasons: dict[int, list[str]] = {}
    shown: dict[int, str] = {}
    for line, reason, text in refused:
        if reason not in reasons.setdefault(line, []):
            reasons[line].append(reason)
        shown[line] = text
    rows = [(line, "; ".join(why), shown[line]) for line, why in sorted(reasons.items())]
    rejected = len(reasons.keys() - sound)
    return Parsed(
        frames,
        rejects=rejects(rows),
        records=records,
        accepted=len(sound),
        rejected=rejected,
        ignored=max(0, records - len(sound) - rejected),
    )


def _short(loaded: Loaded, line: int) -> str:
    return loaded.text(line)[:TEXT_LIMIT] if line else ""
