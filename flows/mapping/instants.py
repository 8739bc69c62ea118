"""Which columns are times, and the SQL that makes instants of them."""

import duckdb

OFFSET = r":[0-9]{2}(\.[0-9]+)? ?(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$"
FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%y %H:%M",
    "%d/%m/%y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d/%b/%y %I:%M %p",
    "%b %d, %Y %I:%M:%S %p",
    "%Y%m%d%H%M%S",
    "%m/%d/%Y",
    "%d.%m.%Y",
)
# Whole numbers of this size, 2001 to 2065, count from 1970 in this unit.
EPOCHS = (
    (1e9, 3e9, "to_timestamp({})", "seconds since 1970"),
    (1e12, 3e12, "to_timestamp({} / 1e3)", "milliseconds since 1970"),
    (1e15, 3e15, "make_timestamptz({}::BIGINT)", "microseconds since 1970"),
    (1e18, 3e18, "make_timestamptz({}::BIGINT // 1000)", "nanoseconds since 1970"),
)
_NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UBIGINT", "UINTEGER")


def as_instant(
    connection: duckdb.DuckDBPyConnection, sql: str, kind: str, is_named_so: bool
) -> tuple[str, str] | None:
    """(SQL of an instant, why it was guessed), or None where the column is no time."""
    if kind.startswith("TIMESTAMP WITH TIME ZONE"):
        return sql, "a time with its offset"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"local_time({sql}, given_zone())", "a local time: put its zone for given_zone()"
    if kind.startswith(_NUMBERS):
        return _counted(connection, sql) if is_named_so else None
    if kind not in ("VARCHAR", "JSON"):
        return None
    if _all(
        connection,
        sql,
        f"regexp_matches({sql}, '{OFFSET}') AND TRY_CAST({sql} AS TIMESTAMPTZ) IS NOT NULL",
    ):
        return f"{sql}::TIMESTAMPTZ", "a time with its offset"
    if _all(
        connection,
        sql,
        f"regexp_matches({sql}, '^[0-9]{{4}}-[0-9]') AND TRY_CAST({sql} AS TIMESTAMP) IS NOT NULL",
    ):
        return f"local_time({sql}, given_zone())", "a local time: put its zone for given_zone()"
    read = [f for f in FORMATS if _all(connection, sql, f"year(try_strptime({sql}, '{f}')) > 1969")]
    if not read:
        return None
    other = f"; {read[1]} would fit as well" if len(read) > 1 else ""
    return (
        f"local_time(strptime({sql}, '{read[0]}'), given_zone())",
        f"a local time as {read[0]}{other}: put its zone for given_zone()",
    )


def _counted(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, str] | None:
    ((low, high),) = connection.execute(
        f"SELECT min({sql})::DOUBLE, max({sql})::DOUBLE FROM _input WHERE {sql} > 0"
    ).fetchall()
    if low is None:
        return None
    for least, most, how, why in EPOCHS:
        if least <= low and high < most:
            return how.format(sql), why
    if high < 1e5:
        since = f"since_days('2000-01-01T00:00:00Z', {sql})"
        return since, "a count, perhaps of days: put the first day for 2000-01-01"
    return None


def _all(connection: duckdb.DuckDBPyConnection, sql: str, condition: str) -> bool:
    """True where every value that says something meets the condition, and some does."""
    ((some, every),) = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {condition}) FROM _input "
        f"WHERE trim({sql}::VARCHAR) <> ''"
    ).fetchall()
    return bool(some) and some == every
