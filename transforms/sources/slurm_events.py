"""Slurm's record of nodes out of service (`sacctmgr -P show event`) to node states.

    Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User
    memphis|gpu007|2026-11-23T06:49:53|Unknown|DRAIN|XID 79 GPU has fallen off the bus|root(0)

Slurm records a node only while it is not simply up. Rows without a node say that the cluster
registered its resources: they are ignored.
"""

from collections.abc import Callable

import polars as pl

from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.slurm_pieces import ListingReading
from transforms.sources.slurm_text import Listing, Records, find_layout
from transforms.tables.observed import NODE_STATES

COLUMNS = ("cluster", "nodename", "timestart", "timeend", "state", "reason", "user")
_LABELS = {"nodename": "NodeName", "timestart": "TimeStart", "timeend": "TimeEnd", "state": "State"}
_NEEDED = ("nodename", "timestart", "state")
_TIME = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+ ?(?:Z|[+-][0-9:]+)?|[0-9]+|[A-Za-z/]*)"

LISTING = Listing(
    header=(
        frozenset({"nodename", "timestart"}),
        frozenset({"nodename", "timeend"}),
        frozenset({"nodename", "state", "reason"}),
    ),
    forms={
        "cluster": r"[^\s|]*",
        "nodename": r"[^\s|]*",
        "timestart": _TIME,
        "timeend": _TIME,
        "state": r"[A-Za-z_]*[^A-Za-z0-9\s|]*(?:\+[A-Za-z_]+)*",
        "user": r"(?:[^\s|()]+\([0-9]+\)|[^\s|()]*)",
    },
    free=frozenset({"reason"}),
    keys=("timestart", "timeend", "state"),
    keeps=frozenset(COLUMNS),
)


def sniff(head: str, name: str) -> int:
    """A header with NodeName and times, or with NodeName, State and Reason, is ours."""
    layout = find_layout(head.split("\n")[:200], LISTING)
    if layout is None or layout.header is None:
        return 0
    return 2 if "timestart" in layout.names else 1


def pieces(head: bytes, origin: Origin) -> ListingReading:
    return ListingReading(head, LISTING, COLUMNS, COLUMNS, _tell, origin)


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per node and state interval; an end of Unknown is still open (null)."""
    return pieces(data, origin).parse(data)


def _tell(records: Records, words: Callable[[int], str], origin: Origin) -> Parsed:
    absent = [name for name in COLUMNS if name not in records.rows.columns]
    told = records.rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    told = told.with_columns(text.told(pl.col(name)) for name in COLUMNS if name != "reason")
    # Registration records are the rows without a node, where nodes are named at all.
    is_node = pl.col("nodename").is_not_null() | pl.lit("nodename" in absent)
    states = told.filter(is_node)
    read = _node_states(states, origin, absent)
    good, refused = refuse_faulty(NODE_STATES, read, words)
    bad = sorted(records.rejects + refused)
    return Parsed(
        frames={NODE_STATES.name: good},
        rejects=rejects(bad),
        records=told.height + len(records.rejects) + records.repeated_headers,
        accepted=states.height - len(refused),
        rejected=len(bad),
        ignored=told.height - states.height + records.repeated_headers,
    )


def _node_states(rows: pl.DataFrame, origin: Origin, absent: list[str]) -> pl.DataFrame:
    """The columns of node_states, and `fault`: the first thing that cannot be read."""
    began = text.instants(rows["timestart"], origin.zone)
    ended = text.instants(rows["timeend"], origin.zone)
    is_missing = [name for name in _NEEDED if name in absent]
    return rows.select(
        pl.col("cluster").fill_null(origin.cluster),
        pl.col("nodename").alias("node"),
        began["at"].alias("began"),
        pl.col("state").str.to_uppercase(),
        ended["at"].alias("ended"),
        pl.col("reason").str.strip_chars().replace("", None),
        pl.col("user").str.replace(r"\(\d+\)$", ""),
        pl.lit(origin.file).alias("file"),
        "line_no",
        pl.coalesce(
            *(pl.lit(f"the header does not name {_LABELS[name]}") for name in is_missing),
            pl.when(pl.col("timestart").is_null()).then(pl.lit("TimeStart: not told")),
            pl.when(pl.col("state").is_null()).then(pl.lit("State: not told")),
            pl.lit("TimeStart: ") + began["fault"],
            pl.lit("TimeEnd: ") + ended["fault"],
        ).alias("fault"),
    )


SOURCE = Source(
    name="slurm_events",
    title="Slurm node events: sacctmgr -P show event",
    example="memphis|gpu007|2026-03-02T06:49:53|2026-03-02T06:51:03|DRAIN|XID 79 GPU has fallen off the bus|root(0)",
    makes=(NODE_STATES,),
    sniff=sniff,
    parse=parse,
    pieces=pieces,
)
