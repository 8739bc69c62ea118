"""Entries of Google's ml-goodput-measurement, one JSON object a line as its logger writes them.

    {"job_name": "llm-70b", "job_start_time": 1772445600.0}
    {"job_name": "llm-70b", "tpu_init_start_time": 1772445601.5}
    {"job_name": "llm-70b", "step_count": 0, "step_start_time": 1772445660.25}
    {"job_name": "llm-70b", "step": 100, "event_type": "save", "checkpoint_manager_blocking_start_time": 1772446660.0, "checkpoint_manager_blocking_duration_secs": 2.5}

Times are seconds since 1970. The job's name is the run; entries without one belong to the file's
only job. Each job_start_time begins an attempt, counted from 0. TPU start-up and the preparation
of training are `init`, waits for data `data_wait`, custom events `eval` with their type as note.

A step has a start only. It ends where the next step starts or the process does; if nothing
follows, if the process starts anew, if step numbers fall, or after a silence (more than ten
median steps and a minute that no other entry explains), it took the median step of its run.
"""

import json

import numpy as np
import polars as pl

from transforms.alike import heads
from transforms.contract import UTC
from transforms.sources import step_lines
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.goodput_steps import SPANS, timed_steps
from transforms.sources.train_fields import boolean, duration_us, instant, integer, raw_fields, text
from transforms.sources.train_pairs import paired
from transforms.tables.observed import CHECKPOINTS, MARK_KINDS, RUN_MARKS, STEPS

_CUSTOM = "custom_badput_event"
_MOMENTS = {
    "job_start_time": "job_start",
    "job_end_time": "job_end",
    "step_start_time": "step",
    **{f"{span}_start_time": f"{span}_begin" for span in SPANS},
    **{f"{span}_end_time": f"{span}_end" for span in SPANS},
}
_PARTS = {
    "save": (
        "checkpoint_manager_blocking", "checkpointer_blocking", "wait_for_prev", "get_old_steps",
    ),
    "restore": ("checkpoint_manager", "checkpointer"),
}  # fmt: skip
_SPLITS = {"save": "save", "restore": "restore", "emergency_restore": "restore"}
_STEP_FIELDS = ("job_name", "step_count", "step_start_time")
_FIELDS = (
    *("job_name", "step_count", f"{_CUSTOM}_type", "step", "event_type", "synchronous"),
    *_MOMENTS,
    *(f"{part}_start_time" for parts in _PARTS.values() for part in parts),
    *(f"{part}_duration_secs" for parts in _PARTS.values() for part in parts),
)
_ATTEMPT = ("cluster", "run", "job_id", "restart")


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, checkpoints and marks; see the module's docstring for the format."""
    steps, rest = step_lines.read(data, _STEP_FIELDS)
    steps = steps.rename({"job": "run"})
    lines = rest.filter(~pl.col("line").str.contains(r"^\s*$"))
    saved, moments, broken = _judged(_entries(lines), origin, steps["run"])
    is_step = pl.col("event") == "step"
    others = moments.filter(is_step).with_columns(pl.col("at").dt.epoch("us"))
    if not others.is_empty():
        steps = pl.concat([steps, others.select(steps.columns)]).sort("line_no")
    moments = moments.filter(~is_step)
    started = (
        moments.filter(pl.col("event") == "job_start")
        .sort("run", "at", "line_no")
        .with_columns(pl.int_range(pl.len()).over("run").cast(pl.UInt32).alias("restart"))
        .select("run", "at", "restart")
        .unique(["run", "at"], keep="last", maintain_order=True)
        .sort("at")
    )
    moments, saved = (_on_attempts(rows, started, origin) for rows in (moments, saved))
    spans, lonely = paired(moments.filter(~pl.col("event").is_in(["job_start", "job_end"])))
    steps = timed_steps(steps, moments, spans, saved)
    refused = pl.concat([broken, lonely]).unique("line_no", keep="first").sort("line_no")
    records = len(lines) + len(steps) - len(others)
    return Parsed(
        frames={
            STEPS.name: _steps(steps, started, origin),
            CHECKPOINTS.name: _checkpoints(saved, origin),
            RUN_MARKS.name: _marks(moments, spans, origin),
        },
        rejects=rejects(list(refused.iter_rows())),
        records=records,
        accepted=records - len(refused),
        rejected=len(refused),
    )


def _entries(lines: pl.DataFrame) -> pl.DataFrame:
    """Raw texts of the fields; nearly all lines are steps, which have but three."""
    is_step = lines["line"].str.contains('"step_start_time"', literal=True)
    step = raw_fields(lines.filter(is_step), _STEP_FIELDS)
    other = raw_fields(lines.filter(~is_step), _FIELDS)
    return pl.concat([other, step], how="diagonal").sort("line_no")


def _judged(
    raw: pl.DataFrame, origin: Origin, others: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Split entries into checkpoints (timed), moments (run, event, at) and refused lines.

    `others` are the jobs of entries that were read before.
    """
    kind = text("event_type").replace_strict(_SPLITS, default=None, return_dtype=pl.String)
    is_save = pl.col("event_type").is_not_null()
    count = pl.sum_horizontal(pl.col(name).is_not_null() for name in _MOMENTS)
    # Of two times in an entry neither counts: it is refused.
    typed = _timed(raw.with_columns(pl.coalesce(*_MOMENTS).alias("at"))).with_columns(
        text("job_name").alias("run"), kind.alias("kind"), is_save.alias("is_save"),
        count.alias("count"), integer("step_count").alias("step_count"),
        integer("step").alias("step"), boolean("synchronous").alias("synchronous"),
        text(f"{_CUSTOM}_type").alias("note"),
        pl.coalesce(
            *(
                pl.when(pl.col(name).is_not_null()).then(pl.lit(event))
                for name, event in _MOMENTS.items()
            )
        ).alias("event"),
        *(_stall(kind, parts) for kind, parts in _PARTS.items()),
    )  # fmt: skip
    names = pl.concat([typed["run"].drop_nulls().unique(), others.unique()]).unique()
    only = names[0] if len(names) == 1 else None
    typed = typed.with_columns(
        run=pl.when(pl.col("job_name").is_null()).then(pl.lit(only, pl.String)).otherwise("run"),
        began=pl.when(pl.col("kind") == "save").then("save_began").otherwise("restore_began"),
        ended=pl.when(pl.col("kind") == "save").then("save_ended").otherwise("restore_ended"),
    )
    is_custom = pl.col("event").str.starts_with(_CUSTOM)
    promises = [
        (pl.col("trouble").is_not_null(), pl.col("trouble")),
        (~is_save & (count == 0), pl.lit("no entry of ml-goodput-measurement")),
        (pl.col("run").is_null(), pl.lit("no job_name, or not a text")),
        (is_save & pl.col("kind").is_null(), pl.lit("unknown event_type")),
        (is_save & pl.col("step").is_null(), pl.lit("no step, or not a whole number")),
        (is_save & pl.col("began").is_null(), pl.lit("no start time, or not seconds since 1970")),
        (~is_save & (count > 1), pl.lit("more than one time in an entry")),
        (~is_save & pl.col("at").is_null(), pl.lit("time is not seconds since 1970")),
        (
            (pl.col("event") == "step") & pl.col("step_count").is_null(),
            pl.lit("no step_count, or not a whole number"),
        ),
        (is_custom & pl.col("note").is_null(), pl.lit("no custom_badput_event_type")),
    ]
    judged = typed.with_columns(
        pl.coalesce(pl.when(broken).then(reason) for broken, reason in promises).alias("trouble"),
    )
    good = judged.filter(pl.col("trouble").is_null())
    saved = good.filter("is_save").select(
        "line_no", "run", "kind", "step", "began", "ended", "synchronous", at="began"
    )
    moments = good.filter(~pl.col("is_save")).select(
        "line_no",
        "line",
        "run",
        # Events of different types may overlap: each type is a span of its own.
        pl.when(is_custom)
        .then(pl.format("{}:{}", pl.col("note"), pl.col("event")))
        .otherwise("event")
        .alias("event"),
        "at",
        pl.col("step_count").alias("step"),
        "note",
        *(pl.lit(None, pl.Int64).alias(name) for name in ("tokens", "bytes", "gpus")),
        pl.lit(None, pl.Boolean).alias("ok"),
    )
    broken = judged.filter(pl.col("trouble").is_not_null()).select("line_no", "trouble", "line")
    return saved, moments, broken


def _timed(raw: pl.DataFrame) -> pl.DataFrame:
    """Read the time of each entry and of the parts of a checkpoint, once each and only where told."""
    parts = [part for parts in _PARTS.values() for part in parts]
    reads = {"at": instant} | {f"{part}_start_time": instant for part in parts}
    reads |= {f"{part}_duration_secs": duration_us for part in parts}
    is_told = raw.select(pl.col(name).is_not_null().any() for name in reads).row(0, named=True)
    nothing = {instant: UTC, duration_us: pl.Int64()}
    return raw.with_columns(
        (read(name) if is_told[name] else pl.lit(None, nothing[read])).alias(name)
        for name, read in reads.items()
    )


def _stall(kind: str, parts: tuple[str, ...]) -> pl.Expr:
    """When the whole, or else its first part told, began and let go."""
    starts = [pl.col(f"{part}_start_time") for part in parts]
    lasted = [pl.col(f"{part}_duration_secs") for part in parts]
    whole = pl.coalesce(starts[0], pl.min_horizontal(starts[1:]))
    until = [s + pl.duration(microseconds=d) for s, d in zip(starts, lasted, strict=True)]
    end = pl.coalesce(whole + pl.duration(microseconds=lasted[0]), pl.max_horizontal(until[1:]))
    return pl.struct(whole.alias(f"{kind}_began"), end.alias(f"{kind}_ended")).struct.unnest()


def _on_attempts(rows: pl.DataFrame, started: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Add the columns that name an attempt: how many starts of its run came before, less one."""
    return (
        rows.sort("at", "line_no")
        .join_asof(started, on="at", by="run", check_sortedness=False)
        .with_columns(
            pl.col("restart").fill_null(0),
            pl.lit(origin.cluster).alias("cluster"),
            pl.lit("").alias("job_id"),
        )
    )


def _steps(steps: pl.DataFrame, started: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """`steps` are by run and time, so that each start of a run begins a stretch of them."""
    runs, counts = heads(steps, ("run",))
    stop = np.cumsum(counts)
    at = steps["at"].to_numpy()
    restart = np.zeros(len(steps), np.uint32)
    for run, low, high in zip(runs["run"], stop - counts, stop, strict=True):
        starts = started.filter(pl.col("run") == run)
        passed = np.searchsorted(starts["at"].dt.epoch("us").to_numpy(), at[low:high], side="right")
        numbers = np.append(0, starts["restart"].to_numpy())
        restart[low:high] = numbers[passed]
    rows = steps.select(
        file=pl.lit(origin.file),
        line_no="line_no",
        cluster=pl.lit(origin.cluster),
        run="run",
        job_id=pl.lit(""),
        restart=pl.Series(restart),
        step="step",
        began=pl.from_epoch("at", "us").dt.replace_time_zone("UTC"),
        ended=pl.from_epoch("ended", "us").dt.replace_time_zone("UTC"),
        tokens=pl.lit(None, pl.Int64),
    )
    lines = rows["line_no"].to_numpy()
    in_order = bool((lines[1:] >= lines[:-1]).all())
    return STEPS.conform(rows if in_order else rows.sort("line_no"))


def _checkpoints(saved: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """An asynchronous save does not say when it was safe; a synchronous one is when it lets go."""
    is_safe = (pl.col("kind") == "save") & pl.col("synchronous").fill_null(False)
    return CHECKPOINTS.conform(
        saved.sort("line_no")
        .with_columns(
            pl.col("kind").cast(CHECKPOINTS.dtypes["kind"]),
            pl.lit(origin.file).alias("file"),
            pl.lit(True).alias("ok"),
            pl.lit(None, pl.Int64).alias("bytes"),
            block_ended="ended",
            durable_at=pl.when(is_safe).then("ended"),
        )
        .select(CHECKPOINTS.dtypes.names())
    )


def _marks(moments: pl.DataFrame, spans: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    kinds = {**SPANS, "job_start": "job_start", "job_end": "job_end"}
    instants = moments.filter(pl.col("event").is_in(["job_start", "job_end"])).with_columns(
        began="at", ended="at", span="event"
    )
    name = pl.col("span").str.replace(f"^.*:{_CUSTOM}$", _CUSTOM)
    both = pl.concat([spans, instants.select(spans.columns)]).sort("line_no")
    return RUN_MARKS.conform(
        both.with_columns(
            name.replace_strict(kinds, return_dtype=pl.String)
            .cast(pl.Enum(MARK_KINDS))
            .alias("kind"),
            pl.coalesce(
                "note", pl.when(name.is_in(["tpu_init", "training_prep"])).then(name)
            ).alias("note"),
            pl.col("gpus").cast(pl.UInt32),
            pl.lit(origin.file).alias("file"),
        ).select(RUN_MARKS.dtypes.names())
    )


def sniff(head: str, name: str) -> int:
    """Surely, if one of the first lines is an object with a time that only this logger writes."""
    own = {*_MOMENTS, *(name for name in _FIELDS if name.startswith("checkpoint"))}
    for line in [line for line in head.splitlines() if line.strip()][:20]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and own & said.keys() and "event" not in said:
            return 2
    return 0


SOURCE = Source(
    name="ml_goodput",
    title="Entries of ml-goodput-measurement: NDJSON of step starts, init, data, checkpoints",
    example='{"job_name": "llm-70b", "step_count": 1200, "step_start_time": 1772446504.12}',
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
