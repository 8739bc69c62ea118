"""When a run stopped making progress, and which incident explains it (methods 2.9 stage 5, G-7).

An attempt's end is an interruption when something was lost by it: its node failed, an incident
explains it, or the run was training or went on later. A run's last cancel is its end, and a lone
job that fails without a sign of trouble is its user's affair.

What may explain an end: a fault in the log, a recorded outage or a program's error explains any
unplanned end; a node that the scheduler lost explains only NODE_FAIL, for that is how Slurm ends
the jobs on it; a drain explains none, for it lets its jobs run on. A time limit or a cancel is
planned, unless the log shows that the run hung before it.
"""

from datetime import datetime, timedelta

import polars as pl

from transforms.ledger.lines import attempt_lines, on_lines
from transforms.tables.derived import INTERRUPTIONS

BEFORE, AFTER = timedelta(minutes=10), timedelta(minutes=5)
"""An incident is attributed when it touched a node of the attempt this near to its end."""
GOES_ON = timedelta(hours=24)
HANG = timedelta(minutes=10)
"""No progress for this long before a planned end means that it was no plan."""

NODE_LOST = ("NODE_FAIL", "BOOT_FAIL")
PLANNED = ("TIMEOUT", "CANCELLED", "PREEMPTED", "DEADLINE")
ENDS = (*NODE_LOST, *PLANNED, "FAILED", "OUT_OF_MEMORY", "REQUEUED")
EXPLAINS = ("counting", "corroborating", "outage", "program")

ATTEMPT = ["cluster", "job_id", "submitted"]


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
    """One row per interruption, in the columns of `interruptions`.

    `evidence` says which incident's errors touched which node when, `incidents` their class,
    component and confidence, `held` which attempt (row of run_attempts) had which node.
    """
    attempts = _in_order(
        run_attempts, horizon, _progress(run_attempts, horizon, steps, checkpoints, run_marks)
    )
    ended = attempts.filter(pl.col("state").is_in(ENDS), pl.col("ended").is_not_null())
    found = _attributed(ended, evidence, held)
    judged = _judged(ended.join(found, on="attempt", how="left"), incidents)
    return judged.select(
        pl.col(name).cast(dtype) for name, dtype in INTERRUPTIONS.dtypes.items()
    ).unique(INTERRUPTIONS.key, keep="first", maintain_order=True)


def _progress(
    run_attempts: pl.DataFrame,
    horizon: datetime,
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    run_marks: pl.DataFrame,
) -> pl.DataFrame:
    """What each attempt's log says of its progress: one row per attempt that logged."""
    lines = attempt_lines(run_attempts, horizon)
    # Logs are matched in whole milliseconds; instants are taken from the rows as they were told.
    logged = {
        name: on_lines(rows.with_row_index("row"), lines)
        .select("row", "line")
        .join(rows.with_row_index("row"), on="row")
        for name, rows in (
            ("steps", steps.select("cluster", "run", "job_id", "step", "began", "ended")),
            (
                "restores",
                checkpoints.filter(pl.col("kind") == "restore").select(
                    "cluster", "run", "job_id", "began", "block_ended"
                ),
            ),
            ("marks", run_marks.select("cluster", "run", "job_id", "kind", "began", "ended")),
        )
    }
    began, ended = pl.col("began"), pl.col("ended")
    kind = pl.col("kind").cast(pl.String)
    return (
        lines.select("line", "cluster", "job_id", pl.col("submitted_at").alias("submitted"))
        .join(
            logged["steps"]
            .group_by("line")
            .agg(
                pl.col("step").min().alias("first_step"),
                pl.col("step").max().alias("last_step"),
                began.min().alias("first_step_began"),
                ended.max().alias("last_step_ended"),
            ),
            on="line",
            how="left",
        )
        .join(
            logged["restores"]
            .group_by("line")
            .agg(
                pl.col("block_ended").min().alias("restored"),
                pl.col("block_ended").max().alias("last_restored"),
            ),
            on="line",
            how="left",
        )
        .join(
            logged["marks"]
            .group_by("line")
            .agg(
                began.filter(kind == "job_start").min().alias("process_began"),
                ended.filter(kind == "init").max().alias("init_ended"),
                began.filter(kind == "detected").sort().alias("detections"),
            ),
            on="line",
            how="left",
        )
        .drop("line")
    )


def _in_order(
    run_attempts: pl.DataFrame, horizon: datetime, progress: pl.DataFrame
) -> pl.DataFrame:
    """Attempts that held nodes, in the order of their run, each beside the one that followed.

    Instants of the next attempt carry the prefix next_; lost_from_step looks at the next attempt
    that trained at all.
    """
    is_over = pl.col("ended") <= horizon
    run = ["cluster", "run"]
    ordered = (
        run_attempts.with_row_index("attempt")
        .filter(pl.col("started").is_not_null())
        .with_columns(ended=pl.when(is_over).then("ended"))
        .join(progress, on=ATTEMPT, how="left")
        .sort(*run, "started", "submitted", "job_id")
    )
    following = {
        "next_started": "started",
        "next_process_began": "process_began",
        "next_restored": "restored",
        "next_first_step_began": "first_step_began",
    }
    logs = pl.any_horizontal(
        pl.col("first_step", "restored", "process_began", "init_ended").is_not_null()
    )
    last_progress = pl.coalesce(
        "last_step_ended",
        pl.max_horizontal("last_restored", "init_ended"),
        pl.when(logs).then("started"),
        "ended",
    )
    return (
        ordered.with_columns(pl.col(c).shift(-1).over(run).alias(n) for n, c in following.items())
        .with_columns(
            pl.col("first_step")
            .fill_null(strategy="backward")
            .shift(-1)
            .over(run)
            .alias("resumes_at_step"),
            logs.alias("logs"),
        )
        .with_columns(
            failed_at=pl.when("logs")
            .then(pl.max_horizontal("started", pl.min_horizontal(last_progress, "ended")))
            .otherwise("ended"),
            goes_on=(pl.col("next_started") - pl.col("ended") <= GOES_ON).fill_null(False),
        )
    )


def _attributed(ended: pl.DataFrame, evidence: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Per attempt, the incidents that may explain its end, best first: attempt, incident, co_causes.

    The best rank wins, of these the first seen. A run that hung is looked at from its last
    progress on: the cause lies there and not at the end. What a node said before the attempt
    began, or after the next one did, is theirs to explain.
    """
    window = ended.select(
        "attempt",
        "state",
        pl.max_horizontal("started", pl.min_horizontal("failed_at", "ended") - BEFORE).alias(
            "from"
        ),
        pl.min_horizontal("next_started", pl.col("ended") + AFTER).alias("to"),
    )
    hour = "1h"
    # Times are matched by the hour first: a node of a big fleet meets many jobs and many errors.
    places = (
        window.join(held.select("attempt", "cluster", "node"), on="attempt")
        .with_columns(
            hour=pl.datetime_ranges(
                pl.col("from").dt.truncate(hour), pl.col("to").dt.truncate(hour), hour
            )
        )
        .explode("hour")
    )
    errors = (
        evidence.filter(pl.col("evidence").is_in([*EXPLAINS, "down"]))
        .with_columns(
            hour=pl.datetime_ranges(
                pl.col("at").dt.truncate(hour), pl.col("last").dt.truncate(hour), hour
            )
        )
        .explode("hour")
    )
    may_explain = pl.col("evidence").is_in(EXPLAINS) | pl.col("state").is_in(NODE_LOST)
    return (
        places.join(errors, on=["cluster", "node", "hour"])
        .filter((pl.col("at") <= pl.col("to")) & (pl.col("last") >= pl.col("from")) & may_explain)
        .group_by("attempt", "incident")
        .agg(
            pl.col("rank").min(),
            pl.col("at").min(),
            (pl.col("evidence") == "program").all().alias("is_program"),
        )
        .sort("attempt", "rank", "at", "incident")
        .group_by("attempt", maintain_order=True)
        .agg(
            pl.col("incident").first(),
            pl.col("incident").slice(1).alias("co_causes"),
            pl.col("is_program").first(),
        )
    )


def _judged(ends: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    """Tell interruptions from other ends, planned from unplanned, and name the cause."""
    state = pl.col("state")
    hung = pl.col("logs") & (pl.col("ended") - pl.col("failed_at") > HANG)
    # A program's own error explains its end, but a lone job that dies of one lost no run.
    is_fault = pl.col("incident").is_not_null() & ~pl.col("is_program").fill_null(True)
    # Without a log, only a fault before a cancel says that a person saw a broken run and ended it.
    broken = pl.when("logs").then(hung).otherwise((state == "CANCELLED") & is_fault)
    is_planned = state.is_in(PLANNED) & ((state == "PREEMPTED") | ~broken)
    lost_something = (
        state.is_in(NODE_LOST)
        | pl.col("goes_on")
        | (~pl.col("planned") & (is_fault | pl.col("logs")))
    )
    facts = incidents.select("incident", "class", "component", pl.col("confidence").alias("sure"))
    detected = pl.col("detections").list.eval(pl.element())
    late = (
        ends.select("attempt", "failed_at", "ended", detected.alias("detected"))
        .explode("detected")
        .filter(pl.col("detected").is_between("failed_at", "ended"))
        .group_by("attempt")
        .agg(pl.col("detected").min())
    )
    step_back = pl.col("resumes_at_step") <= pl.col("last_step")
    return (
        ends.with_columns(planned=is_planned)
        .filter(lost_something)
        .with_columns(
            incident=pl.when(~pl.col("planned")).then("incident"),
            co_causes=pl.when(~pl.col("planned")).then("co_causes").fill_null([]),
        )
        .join(facts, on="incident", how="left")
        .join(late, on="attempt", how="left")
        .with_columns(_cause(hung))
        .with_columns(
            day=pl.col("failed_at").dt.date(),
            detected_at=pl.coalesce("detected", "ended"),
            decided_at=pl.col("ended"),
            allocated_at=pl.col("next_started"),
            started_at=pl.col("next_process_began"),
            restored_at=pl.col("next_restored"),
            resumed_at=pl.col("next_first_step_began"),
            nodes=pl.col("node_count"),
            lost_from_step=pl.when(step_back.fill_null(True)).then("resumes_at_step"),
        )
        .sort("cluster", "run", "failed_at", "job_id", "submitted")
    )


def _cause(hung: pl.Expr) -> list[pl.Expr]:
    """`cause`, `component` and `confidence`: the incident's, else what the end state tells."""
    state = pl.col("state")
    is_exit = (pl.col("exit_code").fill_null(0) != 0) & (pl.col("signal").fill_null(0) == 0)
    told = pl.col("class").is_not_null()
    by_state: list[tuple[pl.Expr, str, str, float]] = [
        (pl.col("planned") & (state == "CANCELLED"), "Human", "cancelled", 0.9),
        (pl.col("planned") & (state == "PREEMPTED"), "Planned", "preempted", 0.9),
        (pl.col("planned"), "Planned", "time limit", 0.9),
        (state.is_in(NODE_LOST), "Unknown", "unknown node loss", 0.3),
        (state == "OUT_OF_MEMORY", "Software (user)", "out of memory", 0.5),
        (hung & state.is_in(PLANNED), "Unknown", "hang", 0.3),
        (is_exit, "Software (user)", "user or unknown", 0.5),
        (pl.lit(True), "Unknown", "user or unknown", 0.3),
    ]

    def first(place: int) -> pl.Expr:
        chosen = pl.lit(None)
        for when, *what in reversed(by_state):
            chosen = pl.when(when).then(pl.lit(what[place])).otherwise(chosen)
        return chosen

    return [
        pl.when(told).then(pl.col("class").cast(pl.String)).otherwise(first(0)).alias("cause"),
        pl.when(told).then("component").otherwise(first(1)).alias("component"),
        pl.when(told).then("sure").otherwise(first(2)).alias("confidence"),
    ]
