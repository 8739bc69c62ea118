"""What the RAS daemons keep of one error, and how it reads as a kernel event.

The words are the kernel's own for the same error (`Bank 17: 9c20...`, `1 CE ... on DIMM_A1`,
`severity: fatal`): what is corrected and what is not then follows from one catalogue, whoever
recorded it.
"""

import re
from typing import NamedTuple

import polars as pl

from transforms.contract import UTC
from transforms.sources.base import Origin
from transforms.sources.text import instants
from transforms.tables.observed import KERNEL_EVENTS

_UNSIGNED = 2**64
_SIZES = {"corrected": "CE", "info": "CE", "uncorrected": "UE", "fatal": "UE"}


class Record(NamedTuple):
    """One error. `stamp` is ISO text or epoch seconds, None where no time is known."""

    line_no: int
    kind: str
    device: str
    detail: str
    stamp: str | None
    text: str
    node: str = ""
    fault: str | None = None


def refused(line_no: int, text: str, why: str) -> Record:
    return Record(line_no, "mce", "", "", None, text, fault=why)


def memory_words(count: str, kind: str, message: str, label: str, place: str) -> str:
    """`1 CE memory read error on DIMM_A1 (location 0:0:1:0)`; a deferred error is neither."""
    size = _SIZES.get(kind.lower(), kind.lower())
    return f"{count} {size} {message} on {label} (location {place})"


def check_words(
    cpu: str, mcgstatus: int, bank: str, status: int | None, words: tuple[str | None, ...]
) -> str:
    """A machine check as the kernel words it: the first digit of the status says how bad it is."""
    said = ", ".join(word for word in words if word)
    if status is None or not bank:
        how_bad = "fatal" if "ncorrected" in said else "corrected" if "orrected" in said else ""
        severity = f", severity: {how_bad}" if how_bad else ""
        return f"CPU {cpu}: Machine Check: {said}{severity}"
    head = f"CPU {cpu}: Machine Check: {mcgstatus:x} Bank {bank}: {status % _UNSIGNED:016x}"
    return f"{head}, {said}" if said else head


def pci_address(name: str | None) -> str:
    """`0000:0B:00.0` as the address of its function's device, dddd:bb:dd; '' for any other text."""
    found = re.match(r"([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2})(?:\.[0-7])?$", (name or "").lower())
    return found[1] if found else ""


def kernel_events(records: list[Record], origin: Origin) -> pl.DataFrame:
    """Rows of kernel_events, and `fault`; a record without a time has the file's."""
    text = pl.String()
    schema = pl.Schema(dict.fromkeys(Record._fields, text) | {"line_no": pl.UInt32()})
    told = pl.DataFrame(records, schema, orient="row")
    read = instants(told["stamp"], origin.zone)
    is_told = pl.col("stamp").is_not_null()
    rows = told.with_columns(
        pl.when(is_told)
        .then(read["at"])
        .otherwise(pl.lit(origin.modified).cast(UTC))
        .alias("observed_at"),
        pl.when(is_told).then(pl.lit("stamped")).otherwise(pl.lit("file")).alias("clock"),
        pl.coalesce(
            "fault",
            pl.when(is_told & read["at"].is_null()).then(
                pl.format("time: {}", pl.lit(read["fault"]).fill_null("unreadable"))
            ),
        ).alias("fault"),
        pl.when(pl.col("node") == "").then(pl.lit(origin.node)).otherwise("node").alias("node"),
        pl.lit(origin.cluster).alias("cluster"),
        pl.lit(origin.file).alias("file"),
        pl.lit(0, pl.Int32).alias("code"),
        pl.lit(None, pl.String).alias("boot_id"),
        pl.lit(0, pl.UInt32).alias("repeat"),
    ).cast({"clock": KERNEL_EVENTS.dtypes["clock"], "kind": KERNEL_EVENTS.dtypes["kind"]})
    repeat = pl.int_range(pl.len(), dtype=pl.UInt32).over(*KERNEL_EVENTS.key[:-1])
    return rows.with_columns(repeat.alias("repeat")).select(*KERNEL_EVENTS.dtypes.names(), "fault")
