"""Attempts as numbered lines, in the order in which each run lived them, and what belongs to each.

attempt_lines  run_attempts -> one row per attempt: line, run_line, started, ended, asked, prev
on_lines       log rows -> the attempt that wrote them, by job or run and by time
               (Writers: who that may be, found once for all logs)
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from transforms.alike import heads, looked_up
from transforms.ledger.timeline import DAY_MS, instant_ms, ms, pack, ranges

REACH_DAYS = 14
"""How far one fact bears on another. The rows of a day rest on no evidence farther away than
this, so that they are the same whichever days are derived together."""
REACH_MS = REACH_DAYS * DAY_MS
WRITER = ("cluster", "run", "job_id")


def end_of_reach(at: str) -> pl.Expr:
    """The first midnight (ms) whose day an instant (column of ms) does not bear on any more."""
    return (pl.col(at) // DAY_MS + 1) * DAY_MS + REACH_MS


def attempt_lines(run_attempts: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
    """One row per attempt, ordered within its run; instants are integer ms.

    line       its number; rises with the order of attempts within a run
    run_line   the number of its run
    started    null while it waits; ended (or the horizon while it is open)
    asked      could have started from; null when nothing says that it may start
    prev       line of the run's attempt that started last before it; null for the first
    free_from  since when none of the attempts before it held GPUs; null for the first
    is_open    still running at the horizon
    """
    end = ms(horizon)
    is_open = pl.col("ended").is_null() | (pl.col("ended") > end)
    has_started = pl.col("started").is_not_null()
    nodes = pl.col("nodes").list.unique().list.sort()
    return (
        run_attempts.select(
            "cluster",
            "run",
            "job_id",
            pl.col("submitted").alias("submitted_at"),
            *(instant_ms(name).alias(name) for name in ("submitted", "eligible")),
            *(instant_ms(name).alias(name) for name in ("started", "ended")),
            pl.col("gpus").cast(pl.Int64),
            nodes.alias("nodes"),
            pl.max_horizontal(nodes.list.len(), "node_count").cast(pl.Int64).alias("node_count"),
            "logs_steps",
        )
        .with_columns(
            is_open=has_started & is_open,
            ended=pl.when(is_open).then(pl.lit(end)).otherwise("ended"),
            asked=pl.coalesce("eligible", pl.when(has_started).then("submitted")),
        )
        .with_columns(order=pl.coalesce("started", "asked", "submitted"))
        # A request comes after an attempt that begins with it.
        .sort("cluster", "run", "order", ~has_started, "submitted", "job_id")
        .with_row_index("line")
        .with_columns(
            pl.col("line").cast(pl.Int64),
            pl.struct("cluster", "run").rle_id().cast(pl.Int64).alias("run_line"),
        )
        .with_columns(
            prev=pl.when(has_started).then("line").forward_fill().shift(1).over("run_line"),
            free_from=pl.when(has_started)
            .then("ended")
            .cum_max()
            .forward_fill()
            .shift(1)
            .over("run_line"),
        )
        .drop("order")
    )


@dataclass(frozen=True)
class Writers:
    """Everything that may have written a log, numbered: first jobs, then runs.

    spans      the allocations of each: writer, started, ended, line; sorted
    jobs, runs who is behind a job's or run's name in a cluster; any_job and any_run the same where
               only one cluster has the name
    """

    spans: pl.DataFrame
    jobs: pl.DataFrame
    runs: pl.DataFrame
    any_job: pl.DataFrame
    any_run: pl.DataFrame

    @classmethod
    def of(cls, lines: pl.DataFrame) -> "Writers":
        held = lines.filter(pl.col("started").is_not_null())
        jobs = held.select("cluster", "job_id").unique().sort("cluster", "job_id")
        jobs = jobs.with_row_index("job").with_columns(pl.col("job").cast(pl.Int64))
        keyed = held.join(jobs, on=["cluster", "job_id"]).with_columns(
            as_run=pl.col("run_line") + len(jobs)
        )
        spans = pl.concat(
            [
                keyed.select(pl.col(key).alias("writer"), "started", "ended", "line")
                for key in ("job", "as_run")
            ]
        ).sort("writer", "started", "line")
        runs = keyed.select("cluster", "run", "as_run").unique()
        anywhere = [
            frame.group_by(name)
            .agg(pl.col(key).first().alias(f"any_{key}"), pl.len().alias("clusters"))
            .filter(pl.col("clusters") == 1)
            .drop("clusters")
            for frame, name, key in ((jobs, "job_id", "job"), (runs, "run", "as_run"))
        ]
        return cls(spans, jobs, runs, *anywhere)

    def behind(self, named: pl.DataFrame) -> pl.DataFrame:
        """Who wrote under each cluster, run and job_id: WRITER and `writer`.

        A log without cluster is matched by job and run alone where only one cluster has them.
        """
        is_anywhere = pl.col("cluster") == ""
        return (
            named.join(self.jobs, on=["cluster", "job_id"], how="left")
            .join(self.runs, on=["cluster", "run"], how="left")
            .join(self.any_job, on="job_id", how="left")
            .join(self.any_run, on="run", how="left")
            .select(
                *WRITER,
                pl.coalesce(
                    "job",
                    pl.when(is_anywhere).then("any_job"),
                    "as_run",
                    pl.when(is_anywhere).then("any_as_run"),
                ).alias("writer"),
            )
            .drop_nulls("writer")
        )


def on_lines(writers: Writers, *logs: pl.DataFrame) -> list[pl.DataFrame]:
    """Add to the rows of each log the `line` of the attempt that wrote them; instants become ms.

    An attempt is found by its job, or by its run where the log names no job that is known. Of
    several allocations of one job the one that holds the row's begin counts, else the nearest:
    a requeued job writes on under the same id, and clocks of nodes run seconds apart.
    Rows that belong to no attempt are left out.
    """
    told = [heads(rows, WRITER) for rows in logs]
    named = [names for names, _ in told if not names.is_empty()]
    known = writers.behind(pl.concat(named or [told[0][0]]).unique())
    return [
        _on_spans(rows, looked_up(*heads, known), writers.spans)
        for rows, heads in zip(logs, told, strict=True)
    ]


def _on_spans(rows: pl.DataFrame, writer: pl.Series, spans: pl.DataFrame) -> pl.DataFrame:
    instants = [n for n, t in rows.schema.items() if isinstance(t, pl.Datetime)]
    found = rows.with_columns(*(instant_ms(n) for n in instants), writer)
    if found["writer"].null_count():
        found = found.drop_nulls("writer")
    if found.is_empty():
        return found.rename({"writer": "line"})
    who, began = found["writer"].to_numpy(), found["began"].to_numpy()
    owner, started, ended = (spans[n].to_numpy() for n in ("writer", "started", "ended"))
    keys = pack(who, began)
    marks = pack(owner, started)
    lines = spans["line"].to_numpy()
    if len(marks) < len(keys) and bool((keys[1:] >= keys[:-1]).all()):
        count, outside = _among_sorted(keys, marks, pack(owner, ended))
        line = np.repeat(lines[np.maximum(np.arange(len(count)) - 1, 0)], count)
    else:
        before = np.maximum(np.searchsorted(marks, keys, side="right") - 1, 0)
        outside = np.flatnonzero((owner[before] != who) | (began >= ended[before]))
        line = lines[before]
    if len(outside):
        far = np.iinfo(np.int64).max
        position = np.searchsorted(marks, keys[outside], side="right")
        who, began = who[outside], began[outside]
        before, after = np.maximum(position - 1, 0), np.minimum(position, len(spans) - 1)
        since = np.where(owner[before] == who, np.maximum(began - ended[before], 0), far)
        until = np.where(
            (owner[after] == who) & (position < len(spans)), started[after] - began, far
        )
        line[outside] = lines[np.where(since <= until, before, after)]
    return found.drop("writer").with_columns(pl.Series("line", line))


def _among_sorted(
    keys: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many of the sorted `keys` lie behind the begin of none, one, two, ... spans, and which
    lie in none of them.

    The few spans, in order of `starts`, are looked up among the many keys.
    """
    first = np.append(np.searchsorted(keys, starts, side="left"), len(keys))
    # A span holds the keys from its start on, until it ends or the next one begins.
    beyond = np.clip(np.searchsorted(keys, ends, side="left"), first[:-1], first[1:])
    since, until = np.append(0, beyond), first
    row, nth = ranges(until - since)
    return np.diff(first, prepend=0), since[row] + nth
