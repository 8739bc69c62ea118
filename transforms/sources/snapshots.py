"""What a scheduler looked like at an instant: `sinfo`, `squeue` and `scontrol show` output.

The tools print no time. A line that is nothing but one dates what follows it (`date >> file`
before each call, or the first line of `sinfo -l`); else the file's own time does.

A snapshot knows a state at an instant. Within one file a node's state lasts until a snapshot sees
another one, and the last state seen stays open: nobody saw its end. A state out of service begins
when its reason was given, where that is told and later than the snapshot before; everything else
begins when it was seen first.
"""

import re
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from transforms.node_states import classify
from transforms.sources import text
from transforms.tables.observed import NODE_STATES

_CLOCK = r"\d{1,2}:\d\d:\d\d"
_STAMP = re.compile(
    r"[#=*\s-]*(?:(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?: ?Z| ?UTC|[+-]\d\d:?\d\d)?)"
    rf"|(?P<epoch>\d{{10}})|[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) +(?P<day>\d{{1,2}}) (?P<clock>{_CLOCK})"
    r"(?P<half> [AP]M)?(?: (?P<zone>[A-Z]{2,5}))? (?P<year>\d{4}))[#=*\s-]*"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SIGHTING_SCHEMA = pl.Schema(
    {
        **{name: NODE_STATES.dtypes[name] for name in ("cluster", "node", "state")},
        "seen": NODE_STATES.dtypes["began"],
        "since": NODE_STATES.dtypes["began"],
        **{name: NODE_STATES.dtypes[name] for name in ("reason", "user", "file", "line_no")},
    }
)
"""One node at one instant; `since` is when its reason was given, null where that is not told."""


@dataclass(frozen=True)
class Stamp:
    """When the following snapshot was taken, or why that cannot be read."""

    at: datetime | None
    fault: str | None = None


def read_stamp(line: str, zone: str) -> Stamp | None:
    """The time that a line consists of; None for any other line."""
    if not (found := _STAMP.fullmatch(line)):
        return None
    said = found["iso"] or found["epoch"]
    if not said:
        if found["zone"] not in (None, "UTC", "GMT"):
            return Stamp(None, f"time of the snapshot: zone {found['zone']} is not known")
        if found["month"] not in _MONTHS:
            return Stamp(None, "time of the snapshot: unreadable")
        month, hour = _MONTHS.index(found["month"]) + 1, int(found["clock"].split(":")[0])
        if found["half"]:
            hour = hour % 12 + 12 * (found["half"] == " PM")
        rest = found["clock"].split(":", 1)[1]
        said = f"{found['year']}-{month:02}-{int(found['day']):02}T{hour:02}:{rest}"
        said += "Z" if found["zone"] else ""
    read = text.instants(pl.Series([said.replace(" UTC", "Z").replace(" Z", "Z")]), zone)
    at, fault = read.row(0)
    return Stamp(at, f"time of the snapshot: {fault or 'unreadable'}" if at is None else None)


def node_states(sightings: pl.DataFrame) -> pl.DataFrame:
    """Sightings in any order as rows of node_states; a node seen twice at once counts once."""
    node = ["cluster", "node"]
    seen = (
        classify(sightings.sort("seen", "line_no"))
        .unique([*node, "seen"], keep="first", maintain_order=True)
        .sort(*node, "seen", "line_no")
        .with_columns(said=pl.struct("state", "reason"))
    )
    is_new = (pl.col("said") != pl.col("said").shift(1)).fill_null(True)
    runs = (
        seen.with_columns(
            run=is_new.cum_sum().over(node), before=pl.col("seen").shift(1).over(node)
        )
        .group_by(*node, "run", maintain_order=True)
        .agg(
            pl.col("seen", "before", "state", "reason", "user", "file", "line_no").first(),
            pl.col("since", "service").first(),
        )
    )
    is_told = (
        (pl.col("service") != "up")
        & (pl.col("since") <= pl.col("seen"))
        & ((pl.col("since") > pl.col("before")) | pl.col("before").is_null())
    )
    spells = runs.with_columns(began=pl.when(is_told).then("since").otherwise("seen"))
    spells = spells.with_columns(ended=pl.col("began").shift(-1).over(node))
    return NODE_STATES.conform(spells.select(NODE_STATES.dtypes.names()))
