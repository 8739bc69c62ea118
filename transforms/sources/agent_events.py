"""What the records of health agents share: their way to rows of cluster_events.

An agent's record is one `Report`, with its time as text: an ISO stamp, or epoch seconds. A report
whose time cannot be read, or is not told, is refused: cluster_events has no column to say that a
time is a guess.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from transforms.sources import text
from transforms.sources.base import Origin, Parsed, refuse_faulty, rejects
from transforms.sources.json_cursor import clean
from transforms.tables.observed import CLUSTER_EVENTS

_PCI = re.compile(r"(?:^|[^0-9a-f])(?:0000)?([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2})(?:\.[0-9a-f])?\b")
_GPU_UUID = re.compile(r"\b(?:GPU|MIG)-[0-9a-fA-F][0-9a-fA-F-]{7,}")


class Report(NamedTuple):
    """One thing that an agent says, in the columns of cluster_events."""

    line_no: int
    at: str | None
    node: str
    reporter: str
    object: str
    reason: str
    detail: str
    level: str
    code: int = 0
    device: str = ""
    cluster: str = ""  # where the record names one; else the caller's
    last: str | None = None
    times: int | None = None


_SCHEMA = pl.Schema(
    {
        "line_no": pl.UInt32,
        "at": pl.String,
        **dict.fromkeys(("node", "reporter", "object", "reason", "detail", "level"), pl.String),
        "code": pl.Int32,
        "device": pl.String,
        "cluster": pl.String,
        "last": pl.String,
        "times": pl.UInt32,
    }
)


def device(*names: str) -> str:
    """The first name that is a GPU's uuid or, in any spelling, a bus address (dddd:bb:dd)."""
    for name in names:
        if found := _GPU_UUID.search(name):
            return found[0]
        if found := _PCI.search(name.lower()):
            return found[1]
    return ""


def bus_address(*names: str) -> str:
    """The first name that is, in any spelling, a bus address, as dddd:bb:dd in lower case."""
    found = (_PCI.search(name.lower()) for name in names)
    return next((match[1] for match in found if match), "")


def parsed(
    reports: list[Report],
    bad: list[tuple[int, str, str]],
    texts: Callable[[int], str],
    origin: Origin,
    ignored: int = 0,
) -> Parsed:
    """Rows of the reports that can be dated and keep the table's rules; the others refused.

    `bad` lists what was refused before; `texts` gives the raw text of a line number.
    """
    rows = [tuple(map(_clean, report)) for report in reports]
    told = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    seen, last = (text.instants(told[name], origin.zone) for name in ("at", "last"))
    read = told.with_columns(
        observed_at=seen["at"],
        last_at=last["at"],
        fault=pl.when(seen["at"].is_null())
        .then(pl.coalesce("time " + seen["fault"], pl.lit("no time told")))
        .when(last["fault"].is_not_null())
        .then("time of the last " + last["fault"]),
        cluster=pl.when(pl.col("cluster") == "")
        .then(pl.lit(origin.cluster))
        .otherwise(pl.col("cluster")),
        level=pl.col("level").cast(CLUSTER_EVENTS.dtypes["level"]),
        file=pl.lit(origin.file),
    ).drop("at", "last")
    sound = read.select([*CLUSTER_EVENTS.dtypes.names(), "fault"])
    good, refused = refuse_faulty(CLUSTER_EVENTS, sound, texts)
    accepted = len(reports) - len(refused)
    refused = sorted(bad + refused)
    return Parsed(
        frames={CLUSTER_EVENTS.name: good},
        rejects=rejects(refused),
        records=accepted + len(refused) + ignored,
        accepted=accepted,
        rejected=len(refused),
        ignored=ignored,
    )


def _clean(part: str | int | None) -> str | int | None:
    return clean(part) if isinstance(part, str) else part
