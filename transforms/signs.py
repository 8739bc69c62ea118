"""Every sign of trouble, whoever saw it, in one shape: what incidents are made of.

Five witnesses speak. The kernel log names a fault at an instant. A board's controller or a health
agent reports one, at an instant too. The scheduler says that a node is out of service, unplanned,
for a while. A ticket or trace records an outage. Samples
show some faults too, mostly after a log has told them (`sampled_signs`). A planned state, and one that the scheduler only
does not know, is no sign of trouble.

    unit         what the sign is about: a node, or the switch, rack, ... of a recorded outage
    at, until    instants; `until` equals `at` for kernel records, and open ends are the horizon
    counts       rule of the catalogue (methods 2.3); an unplanned spell out of service is "yes"
    rank         precedence as a root cause, smaller explains larger (methods 2.9, stage 4)
    cause_code   the code to name as root cause; Xid 45 names the one it follows
    evidence     what the sign can explain: see EVIDENCE
"""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from transforms.catalogue import explain
from transforms.codes import ENGINE
from transforms.contract import UTC
from transforms.fleet import place
from transforms.node_states import classify, closed
from transforms.reasons import classify_reasons
from transforms.reported import agent_reports, board_reports
from transforms.sampled_signs import SAMPLED, sampled

EVIDENCE = ("counting", "corroborating", "program", "outage", "down", "drain", "none")
"""What a sign can explain, before any rank:

counting       a fault that counts by itself
corroborating  counts if a run was interrupted by it
program        a program's own error
outage         someone recorded that it was out
down           the scheduler lost the node: ends the jobs on it
drain          taken out of the queue: the jobs on it run on
none           precursors, clean-up, recovery: explains nothing
"""

OUTAGE_RANK = ENGINE + 1
STATE_RANK = ENGINE + 2
"""Recorded outages and node states say less of the cause than any hardware sign, and more than a
program's error."""

INSTANT = ("kernel_events", "bmc_events", "cluster_events", *SAMPLED)

_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "source_table": pl.String,
    "unit_kind": pl.String,
    "unit": pl.String,
    "cluster": pl.String,
    "node": pl.String,
    "at": UTC,
    "until": UTC,
    "kind": pl.String,
    "code": pl.Int32,
    "device": pl.String,
    "detail": pl.String,
    "repeat": pl.UInt32,
    "file": pl.String,
    "line_no": pl.UInt32,
    "class": pl.String,
    "component": pl.String,
    "cause_code": pl.Int32,
    "rank": pl.Int32,
    "counts": pl.String,
    "prior": pl.String,
    "evidence": pl.String,
}
SIGN_SCHEMA = pl.Schema(_TYPES)
TOTAL_ORDER = (
    *("at", "file", "line_no", "source_table", "unit_kind", "unit", "cluster", "node"),
    *("kind", "code", "device", "detail", "repeat"),
)


def signs(
    kernel_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    node_states: pl.DataFrame,
    outages: pl.DataFrame,
    sample_signals: pl.DataFrame,
    silences: pl.DataFrame,
    fleet: pl.DataFrame,
    horizon: datetime,
) -> pl.DataFrame:
    """All signs in the columns of SIGN_SCHEMA; rows that name no cluster take their node's."""
    told: list[tuple[pl.DataFrame, Callable[[pl.DataFrame], pl.DataFrame]]] = [
        (kernel_events, lambda rows: _at_an_instant(pl.lit("kernel_events"), explain(rows))),
        (bmc_events, lambda rows: _at_an_instant(pl.lit("bmc_events"), board_reports(rows))),
        (
            cluster_events,
            lambda rows: _at_an_instant(pl.lit("cluster_events"), agent_reports(rows)),
        ),
        (node_states, lambda rows: _from_states(rows, horizon)),
        (outages, lambda rows: _from_outages(rows, fleet, horizon)),
    ]
    parts = [
        _shaped(read(rows if rows is outages else place(rows, fleet)))
        for rows, read in told
        if not rows.is_empty()
    ]
    seen = pl.concat([pl.DataFrame(schema=SIGN_SCHEMA), *parts])
    if sample_signals.is_empty() and silences.is_empty():
        return seen
    more = sampled(sample_signals, silences, fleet, seen.filter(pl.col("unit_kind") == "node"))
    return pl.concat([seen, _shaped(_at_an_instant(pl.col("source_table"), more))])


def _shaped(part: pl.DataFrame) -> pl.DataFrame:
    return part.select(pl.col(n).cast(t) for n, t in SIGN_SCHEMA.items())


def is_instant() -> pl.Expr:
    """True for a sign of one moment; the others are spells."""
    return pl.col("source_table").is_in(INSTANT)


def _at_an_instant(table: pl.Expr, events: pl.DataFrame) -> pl.DataFrame:
    # Logs that name no node are one machine's each, as far as anybody can tell: two unnamed files
    # must not become one incident because their clocks agree.
    unit = pl.when(pl.col("node") == "").then(pl.format("file {}", "file")).otherwise("node")
    evidence = pl.col("counts").replace_strict(
        {"yes": "counting", "corroborate": "corroborating", "no_user": "program"}, default="none"
    )
    return events.rename({"observed_at": "at"}).with_columns(
        source_table=table,
        unit_kind=pl.lit("node"),
        unit=unit,
        until=pl.col("at"),
        evidence=evidence,
    )


def _from_states(states: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
    words = pl.col("state").str.to_uppercase()
    is_lost = words.str.contains(r"\bDOWN\b|\*|NOT_RESPONDING|NO_RESPOND|NOTREADY")
    return (
        closed(classify(states))
        .filter(pl.col("service") == "down")
        .with_columns(
            source_table=pl.lit("node_states"),
            unit_kind=pl.lit("node"),
            unit=pl.col("node"),
            at=pl.col("began"),
            until=pl.max_horizontal("began", pl.col("ended").fill_null(horizon)),
            kind=pl.lit("node_state"),
            code=pl.lit(0),
            device=pl.lit(""),
            detail=pl.col("state"),
            repeat=pl.lit(0),
            cause_code=pl.lit(0),
            rank=pl.lit(STATE_RANK),
            # Out on suspicion, nothing told that broke, or found sound: no failure unless a run
            # went down with it.
            counts=pl.when(pl.col("reason_kind").is_in(["precautionary", "false alarm"]))
            .then(pl.lit("corroborate"))
            .otherwise(pl.lit("yes")),
            prior=pl.lit("ambiguous"),
            evidence=pl.when(is_lost).then(pl.lit("down")).otherwise(pl.lit("drain")),
        )
    )


def _from_outages(outages: pl.DataFrame, fleet: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
    is_node = pl.col("unit_kind").cast(pl.String) == "node"
    nodes = outages.with_columns(node=pl.when(is_node).then("unit").otherwise(pl.lit("")))
    return _outage_classes(place(nodes, fleet)).with_columns(
        source_table=pl.lit("outages"),
        unit_kind=pl.col("unit_kind").cast(pl.String),
        at=pl.col("began"),
        until=pl.max_horizontal("began", pl.col("ended").fill_null(horizon)),
        kind=pl.lit("outage"),
        code=pl.lit(0),
        device=pl.when(pl.col("node") == "").then("unit").otherwise(pl.lit("")),
        detail=pl.col("record"),
        repeat=pl.lit(0),
        cause_code=pl.lit(0),
        rank=pl.lit(OUTAGE_RANK),
        counts=pl.when(pl.col("class") == "Planned").then(pl.lit("no")).otherwise(pl.lit("yes")),
        prior=pl.lit("ambiguous"),
        evidence=pl.lit("outage"),
    )


def _outage_classes(outages: pl.DataFrame) -> pl.DataFrame:
    """Add `class` and `component` from what was recorded: what broke, else why, else the note.

    An outage is planned where those words say so that exposure takes for the reason: what leaves
    the failures then also leaves the hours out of service unplanned.
    """
    told = ["component", "cause", "note"]
    words = outages.select(told).unique()
    verdicts = words.with_columns(reason=pl.coalesce("cause", "note", "component"))
    verdicts = verdicts.with_columns(
        is_plan=classify_reasons(verdicts.select("reason"))["reason_kind"] == "planned"
    )
    for name in told:
        judged = classify_reasons(words.select(reason=name))
        verdicts = verdicts.with_columns(
            judged["class"].alias(f"{name}_class"), judged["component"].alias(f"{name}_part")
        )
    names_class = [pl.when(pl.col(f"{n}_class") != "Unknown").then(f"{n}_class") for n in told]
    names_part = [pl.when(pl.col(f"{n}_class") != "Unknown").then(f"{n}_part") for n in told]
    # "GPU" says which part broke, and its cause "double bit ECC" says how.
    finer = pl.when(
        (pl.col("component_part") == "unspecified")
        & (pl.col("cause_class") == pl.col("component_class"))
    ).then("cause_part")
    verdicts = verdicts.select(
        *told,
        pl.when("is_plan")
        .then(pl.lit("Planned"))
        .otherwise(pl.coalesce(*names_class, pl.lit("Unknown")))
        .alias("class"),
        pl.when("is_plan")
        .then(pl.lit("maintenance"))
        .otherwise(pl.coalesce(finer, *names_part, "component_part"))
        .alias("part"),
    )
    joined = outages.join(verdicts, on=told, how="left", nulls_equal=True, maintain_order="left")
    return joined.drop("component").rename({"part": "component"})
