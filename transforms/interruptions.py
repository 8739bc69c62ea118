"""Runs that stopped making progress, when each thing happened, and why (methods 2.7, 2.9 stage 5).

A loss of a node always interrupts. Any other end does so if the run was training or was tried
again within a day, or if a fault explains it; the end of a run that had finished does not, nor
does a lone job that dies of its own error: no run was lost by it.
Ends on purpose (time limit, cancel, preemption) are planned unless a fault or a hang came before
them: people cancel jobs that hang.

The cause is looked for on the attempt's own nodes, from ten minutes before its last progress to
five minutes after its end, and never before the attempt began or after the run's next one did:
an incident that ended one attempt must not be blamed for the next. What can explain an end
depends on the end:

    lost node (NODE_FAIL), boot, requeue   faults, recorded outages, a node that went down
    FAILED                                 faults, recorded outages, a program's own error
    OUT_OF_MEMORY                          faults that count, outages, a program's own error
    CANCELLED, TIMEOUT                     faults that count and recorded outages, if no step was
                                           completed after them; any fault, if the run hung. A
                                           time limit without a log says nothing of a hang
    the others                             nothing

A drained node lets its job run on, so a drain by itself explains no end.
"""

from datetime import datetime

import polars as pl

from transforms.contract import UTC
from transforms.emptiness import empty_from
from transforms.ledger.lines import attempt_lines
from transforms.progress import progress
from transforms.second_order import second_order
from transforms.tables.derived import INTERRUPTIONS

MINUTE_MS = 60_000
BEFORE_MS, AFTER_MS = 10 * MINUTE_MS, 5 * MINUTE_MS
HANG_MS = 10 * MINUTE_MS
SKEW_MS = 5_000
AGAIN_MS = 24 * 60 * MINUTE_MS
NEXT_MS = 13 * 24 * 60 * MINUTE_MS
"""A return that took longer is not told: it may lie beyond the days that are read."""

ON_PURPOSE = ["TIMEOUT", "CANCELLED", "PREEMPTED", "DEADLINE", "REQUEUED", "COMPLETED"]
EXPLAINS = {
    **dict.fromkeys(
        ("NODE_FAIL", "BOOT_FAIL", "REQUEUED"), ("counting", "corroborating", "outage", "down")
    ),
    "FAILED": ("counting", "corroborating", "outage", "program"),
    "OUT_OF_MEMORY": ("counting", "outage", "program"),
    "TIMEOUT": ("counting", "outage"),
    "CANCELLED": ("counting", "outage"),
}
EXPLAINS_A_HANG = ("counting", "corroborating", "outage")

# Cause of an end that no incident explains: state, class, component, confidence.
UNEXPLAINED = pl.DataFrame(
    [
        ("NODE_FAIL", "Unknown", "unknown node loss", 0.3),
        ("BOOT_FAIL", "Unknown", "boot failure", 0.3),
        ("FAILED", "Unknown", "user or unknown", 0.3),
        ("OUT_OF_MEMORY", "Software (user)", "host out of memory", 0.8),
        ("TIMEOUT", "Planned", "time limit", 0.95),
        ("DEADLINE", "Planned", "deadline", 0.95),
        ("PREEMPTED", "Planned", "preempted", 0.95),
        ("COMPLETED", "Planned", "next job of the run", 0.95),
        ("CANCELLED", "Human", "cancelled", 0.8),
        ("REQUEUED", "Human", "requeued", 0.8),
    ],
    schema={
        "state": pl.String, "state_class": pl.String, "state_part": pl.String,
        "state_confidence": pl.Float64,
    },
    orient="row",
)  # fmt: skip


def find(
    horizon: datetime,
    *,
    run_attempts: pl.DataFrame,
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    run_marks: pl.DataFrame,
    evidence: pl.DataFrame,
    incidents: pl.DataFrame,
    held: pl.DataFrame,
) -> pl.DataFrame:
    """Every interruption among the attempts, in the columns of its table.

    `evidence` has incident, cluster, node, at, last, evidence and rank; `incidents` has incident,
    class, component and confidence; `held` has attempt (row of `run_attempts`), cluster, node.
    """
    lines = attempt_lines(run_attempts, horizon)
    ends = _ends(run_attempts, lines, progress(lines, steps, checkpoints, run_marks))
    causes = _causes(ends, evidence, held).join(incidents, on="incident", how="left")
    judged = (
        ends.join(causes, on="line", how="left")
        .join(UNEXPLAINED, on="state", how="left")
        .with_columns(is_explained=pl.col("incident").is_not_null())
    )
    explained, hung = pl.col("is_explained"), pl.col("hung")
    again, state = pl.col("is_again"), pl.col("state")
    is_stop = (
        pl.when(state == "NODE_FAIL")
        .then(True)
        .when("finished")
        .then(False)
        .when(state == "COMPLETED")
        .then(pl.col("logs") & again)
        .otherwise(pl.col("logs") | again | (explained & ~pl.col("is_program")))
    )
    on_purpose = state.is_in(ON_PURPOSE)
    exited = (pl.col("exit_code").fill_null(0) > 0) & (pl.col("signal").fill_null(0) == 0)
    # A program that ends itself by an exit code, no hang before: its own error, as far as known.
    own_error = (state == "FAILED") & exited
    is_hang = hung & (on_purpose | (state == "FAILED")) & (state != "COMPLETED")
    nothing_known = ~explained & is_hang
    rows = judged.filter(is_stop).with_columns(
        planned=on_purpose & ~explained & ~is_hang,
        cause=pl.when(explained)
        .then("class")
        .when(nothing_known)
        .then(pl.lit("Unknown"))
        .when(own_error)
        .then(pl.lit("Software (user)"))
        .otherwise(pl.col("state_class").fill_null("Unknown")),
        component=pl.when(explained)
        .then("component")
        .when(nothing_known)
        .then(pl.lit("hang"))
        .otherwise(pl.col("state_part").fill_null("ended in another state")),
        confidence=pl.when(explained)
        .then("confidence")
        .when(nothing_known)
        .then(0.3)
        .when(own_error)
        .then(0.5)
        .otherwise(pl.col("state_confidence").fill_null(0.3)),
        co_causes=pl.col("co_causes").fill_null([]),
        decided_at=pl.col("ended"),
        submitted=pl.col("submitted_at"),
        nodes=pl.col("node_count"),
    )
    on_nodes = held.select("attempt", "cluster", "node")
    spans = run_attempts.with_row_index("attempt").select(
        "attempt", "cluster", "job_id", submitted_at="submitted"
    )
    numbered = spans.join(
        lines.select("line", "cluster", "job_id", "submitted_at"),
        on=["cluster", "job_id", "submitted_at"],
    )
    places = on_nodes.join(numbered.select("attempt", "line"), on="attempt").drop("attempt")
    return _in_table(second_order(rows, lines, places))


def _in_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Instants from ms, one row per key: of two attempts that stop a run at once, the larger."""
    instants = [n for n in rows.columns if n.endswith("_at") and n != "submitted_at"]
    told = rows.with_columns(pl.col(n).cast(pl.Datetime("ms", "UTC")).cast(UTC) for n in instants)
    return (
        told.with_columns(pl.col("failed_at").dt.date().alias("day"))
        .sort("planned", pl.col("gpus") * -1, "job_id", "submitted")
        .unique(INTERRUPTIONS.key, keep="first", maintain_order=True)
        .select(pl.col(n).cast(t) for n, t in INTERRUPTIONS.dtypes.items())
        .sort(INTERRUPTIONS.key)
    )


def _ends(attempts: pl.DataFrame, lines: pl.DataFrame, progress: pl.DataFrame) -> pl.DataFrame:
    """Attempts that started and ended, with their last progress and the run's next attempt."""
    told = attempts.with_row_index("attempt").select(
        "attempt", "cluster", "job_id", "state", "exit_code", "signal", submitted_at="submitted"
    )
    has_started, is_pending = pl.col("started").is_not_null(), pl.col("ended").is_null()
    tried = lines.join(progress, on="line").filter(has_started | is_pending).sort("line")
    with_next = tried.with_columns(
        next_asked=pl.col("submitted").shift(-1).over("run_line"),
        allocated_at=pl.col("started").shift(-1).over("run_line"),
        started_at=pl.col("process_began").shift(-1).over("run_line"),
        restored_at=pl.col("restore_ended").shift(-1).over("run_line"),
        resumed_at=pl.col("first_began").shift(-1).over("run_line"),
        lost_from_step=pl.col("first_step").backward_fill().shift(-1).over("run_line"),
        stepped_again=pl.col("first_began").backward_fill().shift(-1).over("run_line"),
    )
    started, ended = pl.col("started"), pl.col("ended")
    starting = pl.max_horizontal("restore_ended", "init_ended", "started")
    # A checkpoint of a step that was never logged shows that records of steps are missing.
    stepped = pl.max_horizontal("stepped_at", "saved_beyond")
    last = pl.when("logs").then(pl.coalesce(stepped, starting)).otherwise("ended")
    active = pl.max_horizontal(
        "stepped_at", "saved_at", "started",
        # Somebody noticing is no activity.
        pl.when(pl.col("noticed").list.len().fill_null(0) == 0).then("marked_at"), "init_ended",
    )  # fmt: skip
    # Of jobs that run side by side the other is no return after this one's end.
    is_soon = (pl.col("allocated_at") - ended).is_between(0, NEXT_MS)
    is_behind = (pl.col("lost_from_step") <= pl.col("last_step")).fill_null(True)
    is_lost = is_behind & (pl.col("stepped_again") - ended <= NEXT_MS)
    soon = ("allocated_at", "started_at", "restored_at", "resumed_at")
    return (
        with_next.filter(has_started & ~pl.col("is_open") & ended.is_not_null())
        .join(told, on=["cluster", "job_id", "submitted_at"])
        .with_columns(
            *(pl.when(is_soon).then(name).alias(name) for name in soon),
            failed_at=pl.min_horizontal(pl.max_horizontal(last, started), "ended"),
            hung=pl.col("logs") & ~pl.col("finished") & (ended - active > HANG_MS),
            is_again=(pl.col("next_asked") - ended <= AGAIN_MS).fill_null(False),
            lost_from_step=pl.when(is_lost).then("lost_from_step"),
        )
        .with_columns(detected_at=_noticed_at())
    )


def _noticed_at() -> pl.Expr:
    """The first mark of detection at or after the last progress, at the latest the end."""
    late = pl.col("noticed").list.drop_nulls().fill_null([])
    far = pl.lit(2**62, pl.Int64)
    waits = (late - pl.col("failed_at")).list.eval(pl.when(pl.element() >= 0).then(pl.element()))
    wait = waits.list.min().fill_null(far)
    return pl.min_horizontal(pl.col("failed_at") + pl.min_horizontal(wait, 2**61), "ended")


@empty_from("evidence")
def _causes(ends: pl.DataFrame, evidence: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The incident that best explains each end, and the others: line, incident, co_causes."""
    allowed = pl.concat(
        [
            *(
                pl.DataFrame({"state": [s] * len(e), "evidence": e, "if_hung": False})
                for s, e in EXPLAINS.items()
            ),
            *(
                pl.DataFrame({"state": s, "evidence": EXPLAINS_A_HANG, "if_hung": True})
                for s in ("TIMEOUT", "CANCELLED")
            ),
        ]
    ).unique()
    places = ["cluster", "node"]
    on_request = pl.col("state").is_in(["TIMEOUT", "CANCELLED"])
    margin = (
        pl.when(on_request & pl.col("logs") & ~pl.col("hung")).then(SKEW_MS).otherwise(BEFORE_MS)
    )
    windows = ends.filter(~((pl.col("state") == "TIMEOUT") & ~pl.col("logs"))).select(
        "line",
        "attempt",
        "state",
        "hung",
        pl.max_horizontal(pl.col("failed_at") - margin, pl.col("started") - SKEW_MS).alias("since"),
        # People cancel because of what they saw, not of what came after.
        pl.when(on_request)
        .then("ended")
        .otherwise(pl.min_horizontal(pl.col("ended") + AFTER_MS, "allocated_at"))
        .alias("until"),
    )
    seen = evidence.with_columns(pl.col("at", "last").dt.epoch("ms"))
    nodes = held.select("attempt", *places).join(seen.select(places).unique(), on=places)
    found = (
        windows.join(allowed, on="state")
        .filter(pl.col("hung") | ~pl.col("if_hung"))
        .join(nodes, on="attempt")
        .join(seen, on=[*places, "evidence"])
        .filter(pl.col("at") <= pl.col("until"), pl.col("last") >= pl.col("since"))
        .group_by("line", "incident")
        .agg(
            pl.col("rank").min(),
            pl.col("at").min(),
            (pl.col("evidence") == "program").all().alias("is_program"),
        )
        .sort("line", "rank", "at", "incident")
    )
    return found.group_by("line", maintain_order=True).agg(
        pl.col("incident").first(),
        pl.col("incident").slice(1).alias("co_causes"),
        pl.col("is_program").first(),
    )
