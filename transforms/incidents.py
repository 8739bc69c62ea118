"""From signs of trouble to incidents, each with one presumed cause (methods 2.9).

Two definitions stand side by side and are never added up: `coalesced-180s`, where signs of one
unit join unless 180 s of silence divide them, and `as-recorded`, where every outage that someone
recorded is an incident by itself. Every sign that was folded in is kept as a member.

A burst in which links only came back is a recovery, and makes no incident. Bursts of program
errors, clean-up and precursors do, without counting as failures. A spell out of service that goes
on for weeks stays one incident; what joins it later than a week after its first sign opens no
new one, and is not listed among its members, so that a day's rows rest on the weeks around it.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from transforms import bursts, interruptions
from transforms.coalesce import chains
from transforms.emptiness import empty_from
from transforms.fleet import place
from transforms.sampled_signs import SAMPLED
from transforms.severity import confidence, severity
from transforms.signs import TOTAL_ORDER, is_instant, signs
from transforms.spread import joined
from transforms.tables.derived import INCIDENT_MEMBERS, INCIDENTS, INTERRUPTIONS, SENSITIVITY
from transforms.touched import gpus_touched, nodes_touched

if TYPE_CHECKING:
    from transforms.recipes import Window

CONTEXT_DAYS = 14
"""Days read before and behind: members reach a week, and steps say when a run last progressed."""
MEMBERS_REACH = timedelta(days=7)
SAME_ERROR_MS = 5_000
COALESCED, RECORDED = "coalesced-180s", "as-recorded"
IDENTITY = (
    *("source_table", "unit_kind", "cluster", "unit", "node", "kind", "code", "device", "detail"),
    *("repeat", "file", "line_no"),
)
"""Tells signs of one instant apart for the incident's id, whatever their files are called."""


def derive(
    window: "Window",
    *,
    kernel_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    node_states: pl.DataFrame,
    outages: pl.DataFrame,
    sample_signals: pl.DataFrame,
    silences: pl.DataFrame,
    run_attempts: pl.DataFrame,
    fleet: pl.DataFrame,
    gpus: pl.DataFrame,
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    run_marks: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """Incidents, their members, the interruptions they explain, and the gap's sensitivity."""
    seen = signs(
        kernel_events,
        bmc_events,
        cluster_events,
        node_states,
        outages,
        sample_signals,
        silences,
        fleet,
        window.horizon,
    )
    held = _allocations(run_attempts, fleet, window)
    started = held.select("cluster", "node", pl.col("started").alias("at"))
    members = _coalesced(seen, fleet, started, held)
    touched = nodes_touched(members, fleet)
    facts = _facts(members, touched, seen)
    stops = interruptions.find(
        window.horizon,
        run_attempts=run_attempts,
        steps=steps,
        checkpoints=checkpoints,
        run_marks=run_marks,
        evidence=touched,
        incidents=facts,
        held=held,
    )
    recorded = _recorded(seen)
    alone = _facts(recorded, nodes_touched(recorded, fleet), seen.clear())
    incidents = _finished(
        pl.concat([facts, alone]),
        stops,
        gpus_touched(pl.concat([members, recorded]), place(gpus, fleet)),
    )
    days = incidents.select("incident", "day")
    made = {
        INCIDENTS: incidents,
        INCIDENT_MEMBERS: pl.concat([members, recorded])
        .join(days, on="incident")
        .rename({"at": "observed_at"}),
        INTERRUPTIONS: stops,
        SENSITIVITY: bursts.sensitivity(seen, started),
    }
    inside = pl.col("day").is_between(window.since.date(), window.until.date(), closed="left")
    return {
        table.name: table.conform(
            rows.filter(inside)
            .select(pl.col(name).cast(dtype) for name, dtype in table.dtypes.items())
            .sort(table.key)
        )
        for table, rows in made.items()
    }


def _allocations(run_attempts: pl.DataFrame, fleet: pl.DataFrame, window: "Window") -> pl.DataFrame:
    """Which attempt held which node when: attempt (row of run_attempts), cluster, node, started, ended."""
    numbered = run_attempts.with_row_index("attempt")
    nodes = (
        numbered.filter(pl.col("started").is_not_null() & (pl.col("nodes").list.len() > 0))
        .select(
            "attempt",
            "cluster",
            pl.col("nodes").alias("node"),
            "started",
            pl.coalesce("ended", pl.lit(window.horizon)).alias("ended"),
        )
        .explode("node")
    )
    return place(nodes, fleet)


@empty_from("seen")
def _coalesced(
    seen: pl.DataFrame, fleet: pl.DataFrame, started: pl.DataFrame, held: pl.DataFrame
) -> pl.DataFrame:
    """Every sign with the incident it was folded into, under the coalescing definition."""
    folded = seen.with_columns(pl.Series("burst", bursts.bursts(seen, started)))
    folded = folded.filter(~bursts.only_recovers().over("burst"))
    folded = folded.with_columns(pl.Series("number", joined(folded, fleet, held)))
    reach = pl.col("at").min().over("number") + MEMBERS_REACH
    return _identified(folded.filter(pl.col("at") <= reach).drop("burst"), COALESCED)


@empty_from("seen")
def _recorded(seen: pl.DataFrame) -> pl.DataFrame:
    """Every recorded outage as an incident by itself."""
    outages = seen.filter(pl.col("source_table") == "outages")
    return _identified(outages.with_row_index("number").cast({"number": pl.Int64}), RECORDED)


def _identified(folded: pl.DataFrame, definition: str) -> pl.DataFrame:
    """Add `incident`, `definition`, `error` (stage 1) and `role`; signs in total order.

    The root is the sign of the best rank, of these the earliest. A sign that repeats its error
    within five seconds is another witness of it.
    """
    first = folded.group_by("number", maintain_order=True).agg(
        pl.concat_str(
            "source_table",
            "unit_kind",
            "cluster",
            pl.when(is_instant()).then("node").otherwise("unit"),
            pl.col("at").dt.epoch("us"),
            "kind",
            "code",
            "device",
            "detail",
            "repeat",
            separator="\x1f",
        )
        .sort_by("at", *IDENTITY)
        .first()
        .alias("key")
    )
    ids = [
        hashlib.sha256(f"{definition}\x1f{key}".encode()).hexdigest()[:16] for key in first["key"]
    ]
    what = ["number", "source_table", "unit", "kind", "code", "device"]
    errors = folded.select(what).unique(maintain_order=True).with_row_index("what")
    named = (
        folded.join(first.select("number", pl.Series("incident", ids, pl.String)), on="number")
        .join(errors, on=what, maintain_order="left")
        .sort(TOTAL_ORDER)
    )
    chain = chains(
        named["what"].cast(pl.Int64).to_numpy(),
        named["at"].dt.epoch("ms").to_numpy(),
        SAME_ERROR_MS,
    )
    numbered = named.with_columns(
        pl.Series("error", chain),
        pl.int_range(pl.len()).alias("row"),
        definition=pl.lit(definition),
    )
    return (
        numbered.with_columns(
            first_row=pl.col("row").min().over("error"),
            root_row=pl.col("row").sort_by("rank", "row").first().over("incident"),
        )
        .with_columns(
            role=pl.when(pl.col("row") == pl.col("root_row"))
            .then(pl.lit("root"))
            .when((pl.col("row") != pl.col("first_row")) | pl.col("source_table").is_in(SAMPLED))
            .then(pl.lit("witness"))
            .otherwise(pl.lit("effect"))
        )
        .drop("number", "what", "row", "first_row", "root_row")
    )


@empty_from("members")
def _facts(members: pl.DataFrame, touched: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """One row per incident, with everything that does not hang on whom it interrupted."""
    evidence = pl.col("evidence")
    is_fault = evidence.is_in(["counting", "corroborating"])
    witness = (
        pl.when(is_fault)
        .then(pl.format("{} {}", "kind", "cause_code"))
        .when(evidence.is_in(["outage", "down", "drain"]))
        .then("source_table")
    )
    root = members.filter(pl.col("role") == "root").select(
        *("incident", "definition", "unit_kind", "unit", "cluster", "node", "device", "class"),
        *("component", "prior", "evidence"),
        pl.col("kind").alias("root_kind"),
        pl.col("cause_code").alias("root_code"),
    )
    sums = members.group_by("incident").agg(
        pl.col("at").min().alias("began"),
        pl.col("until").max().alias("ended"),
        pl.len().alias("events"),
        witness.drop_nulls().n_unique().alias("witnesses"),
        pl.col("node").filter(evidence == "down").n_unique().alias("nodes_down"),
        evidence.is_in(["outage", "down", "drain"]).any().alias("is_out"),
        (pl.col("counts") == "yes").any().alias("has_fault"),
        (pl.col("counts") == "corroborate").any().alias("has_doubt"),
    )
    nodes = touched.group_by("incident").agg(pl.col("node").unique().sort().alias("nodes"))
    rows = root.join(sums, on="incident").join(nodes, on="incident", how="left")
    late = bursts.already_out(seen, rows.select(*bursts.UNIT, pl.col("began").alias("at")))
    return rows.with_columns(
        pl.col("nodes").fill_null([]),
        confidence().alias("confidence"),
        pl.col("began").dt.date().alias("day"),
        # What a node says that was out already is no new failure of a node at risk.
        was_out=pl.Series("late", late, pl.Boolean) & ~pl.col("is_out"),
    )


@empty_from("facts")
def _finished(facts: pl.DataFrame, stops: pl.DataFrame, gpus: pl.DataFrame) -> pl.DataFrame:
    """Add what hangs on the interruptions: whether it counts, and how bad it was."""
    blamed = (
        stops.filter(pl.col("incident").is_not_null())
        .group_by("incident")
        .agg(pl.len().alias("interrupts"), pl.col("gpus").max().alias("biggest_run_gpus"))
    )
    doubt_settled = pl.col("has_doubt") & (pl.col("interrupts") > 0)
    return (
        facts.join(blamed, on="incident", how="left")
        .join(gpus, on="incident", how="left")
        .with_columns(pl.col("interrupts").fill_null(0), pl.col("gpus").fill_null([]))
        .with_columns(
            severity().alias("severity"),
            counts=~pl.col("was_out") & (pl.col("has_fault") | doubt_settled),
        )
    )
