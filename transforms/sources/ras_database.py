"""rasdaemon's SQLite file, read from its bytes alone.

The file is somebody else's: only plain tables of the known names are read, by statements of ours,
under an authorizer that lets nothing else happen and limits on the work of a statement and the
length of a value. A damaged page costs the records from there on, in one refusal.
"""

import re
import sqlite3
from collections.abc import Iterator

from transforms.sources.ras_records import (
    Record,
    check_words,
    memory_words,
    pci_address,
    refused,
)

MAGIC = b"SQLite format 3\x00"
_OTHER = ("devlink_event", "signal_event", "cxl_")
_SEVERITIES = {0: "recoverable", 1: "fatal", 2: "corrected", 3: "info"}
_MAY = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_STEPS, _LIMIT = 100_000, 20_000
_LONGEST = 16 << 20  # bytes of one value
Row = dict[str, object]


def database_records(data: bytes) -> tuple[list[Record], int]:
    """Every record of the tables that are read, numbered on, and how many were passed over."""
    records: list[Record] = []
    # A file left in write-ahead mode cannot be opened in memory; its pages are the same.
    plain = data[:18] + b"\x01\x01" + data[20:]
    ignored, number = 0, 0
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(plain)
        _confine(connection)
        for table in _tables(connection):
            for row in _rows(connection, table):
                if table not in _TABLES:
                    ignored += 1
                    continue
                number += 1
                records.append(_record(number, table, row))
    except (sqlite3.Error, OverflowError, MemoryError, ValueError) as error:
        text = f"record {number + 1} of the database"
        records.append(refused(number + 1, text, f"the database cannot be read on: {error}"))
    finally:
        connection.close()
    return records, ignored


def _confine(connection: sqlite3.Connection) -> None:
    connection.text_factory = lambda said: said.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    left = _LIMIT

    def is_enough() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    connection.set_progress_handler(is_enough, _STEPS)
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in _MAY else sqlite3.SQLITE_DENY
    )


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    ours = [(str(n), str(sql)) for n, sql in found if n in _TABLES or str(n).startswith(_OTHER)]
    for name, sql in ours:  # the daemon's tables neither compute columns nor stand for a module
        if not re.fullmatch(r"CREATE TABLE [^()]+\([^()]*\)", sql) or re.search(r"(?i)\bAS\b", sql):
            raise ValueError(f"{name} is no plain table")
    return sorted(name for name, _ in ours)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    quoted = '"' + table.replace('"', '""') + '"'
    cursor = connection.execute(f"SELECT * FROM {quoted} ORDER BY rowid")
    names = [column[0] for column in cursor.description]
    for values in cursor:
        yield dict(zip(names, values, strict=True))


def _record(number: int, table: str, row: Row) -> Record:
    text = ", ".join(
        f"{name}={value}" for name, value in row.items() if isinstance(value, str | int | float)
    )
    kind, device, detail = _TABLES[table](row)
    return Record(number, kind, device, _clean(detail), _stamp(row), f"{table}: {text}")


def _stamp(row: Row) -> str | None:
    said, walltime = row.get("timestamp"), row.get("walltime")
    if isinstance(said, str) and said[:1].isdigit():
        return said
    return str(walltime) if isinstance(walltime, int) and walltime > 0 else None


def _word(row: Row, name: str) -> str:
    value = row.get(name)
    return _clean(str(value)) if isinstance(value, str | int | float) else ""


def _clean(text: str) -> str:
    return " ".join(text.split())


def _whole(row: Row, name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) else None


def _memory(row: Row) -> tuple[str, str, str]:
    layers = ("mc", "top_layer", "middle_layer", "lower_layer")
    place = ":".join(_word(row, name) for name in layers)
    count, kind = _word(row, "err_count"), _word(row, "err_type")
    detail = memory_words(count, kind, _word(row, "err_msg"), _word(row, "label"), place)
    return "edac", f"mc{_word(row, 'mc')}", detail


def _aer(row: Row) -> tuple[str, str, str]:
    detail = f"{_word(row, 'err_type')} error: {_word(row, 'err_msg')}"
    return "aer", pci_address(_word(row, "dev_name")), detail


def _check(row: Row) -> tuple[str, str, str]:
    bank = _whole(row, "bank")
    named = _word(row, "bank_name").partition(" (bank=")[0]
    words = (named, _word(row, "error_msg"))
    state, mcg = _whole(row, "status"), _whole(row, "mcgstatus") or 0
    number = "" if bank is None else str(bank)
    return "mce", "", check_words(_word(row, "cpu"), mcg, number, state, words)


def _firmware(row: Row) -> tuple[str, str, str]:
    severity = _SEVERITIES.get(_whole(row, "severity") or 0, "unknown")
    return "mce", "", f"event severity: {severity}, {_word(row, 'fru_text')}"


def _arm(row: Row) -> tuple[str, str, str]:
    names = ("error_count", "affinity", "mpidr", "running_state", "psci_state")
    told = ", ".join(f"{name}={_word(row, name)}" for name in names)
    return "mce", "", f"Arm processor error: {told}"


def _disk(row: Row) -> tuple[str, str, str]:
    names = ("dev", "sector", "nr_sector")
    told = ", ".join(f"{name}={_word(row, name)}" for name in names)
    quoted = ", ".join(f"{name}='{_word(row, name)}'" for name in ("error", "rwbs", "cmd"))
    return "nvme", _word(row, "dev"), f"{told}, {quoted}"


def _failure(row: Row) -> tuple[str, str, str]:
    names = ("pfn", "page_type", "action_result")
    told = ", ".join(f"{name}={_word(row, name)}" for name in names)
    return "edac", "", f"UE memory failure: {told}"


_TABLES = {
    "mc_event": _memory,
    "aer_event": _aer,
    "mce_record": _check,
    "extlog_event": _firmware,
    "arm_event": _arm,
    "disk_errors": _disk,
    "memory_failure_event": _failure,
}
