"""Training logs in our own NDJSON: one object a line, written by the training loop.

    {"t": "2026-03-02T10:15:04.120Z", "run": "llm-70b", "job_id": "4711", "restart": 2, "event": "step", "step": 1200, "seconds": 12.5, "tokens": 4194304}

Always: `t` (ISO 8601 with an offset, or seconds since 1970), `run`, `event`. Usually: `job_id` and
`restart` (the scheduler's restart count, 0 if absent); `cluster` if several share a lake. Events:

    job_start gpus              init_begin, init_end         or init seconds
    fault_detected note         restore_begin, restore_end   step, bytes, ok
    finished                    step_begin, step_end         or step seconds; step, tokens
    job_end                     data_wait_begin, _end        or data_wait seconds
                                eval_begin, eval_end         or eval seconds
    checkpoint_begin, checkpoint_unblocked, checkpoint_durable, checkpoint_failed   step, bytes

An event with `seconds` stands at its end. A begin that never ends stays open; only a step that was
begun and never completed leaves no row, because a step is what was completed.
"""

import json

import polars as pl

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.text import numbered_lines
from transforms.sources.train_fields import (
    boolean,
    duration_us,
    instant,
    integer,
    is_naive,
    raw_fields,
    text,
)
from transforms.sources.train_pairs import paired, saves
from transforms.tables.observed import CHECKPOINTS, MARK_KINDS, RUN_MARKS, STEPS

_INSTANTS = {
    "job_start": "job_start",
    "fault_detected": "detected",
    "finished": "finished",
    "job_end": "job_end",
}
_SPANS = ("init", "restore", "step", "data_wait", "eval")
_SINGLES = ("init", "step", "data_wait", "eval")
_SAVES = ("checkpoint_begin", "checkpoint_unblocked", "checkpoint_durable", "checkpoint_failed")
_EVENTS = (
    *_INSTANTS,
    *_SINGLES,
    *(f"{span}_{role}" for span in _SPANS for role in ("begin", "end")),
    *_SAVES,
)
_WITH_STEP = (
    *("step", "step_begin", "step_end", "restore_begin", "restore_end"),
    *_SAVES,
)
_U32 = 2**32 - 1
ATTEMPT = ("cluster", "run", "job_id", "restart")


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, checkpoints and marks; see the module's docstring for the format."""
    lines = numbered_lines(data).filter(~pl.col("line").str.contains(r"^\s*$"))
    said = _typed(raw_fields(lines), origin)
    good = said.filter(pl.col("trouble").is_null())
    is_role = pl.col("event").str.contains(r"^(?:init|restore|step|data_wait|eval)_(?:begin|end)$")
    spans, lonely_ends = paired(good.filter(is_role))
    checkpoints, lonely_marks = saves(good.filter(pl.col("event").is_in(_SAVES)))
    singles = good.filter(pl.col("event").is_in(_SINGLES)).with_columns(
        pl.col("event").alias("span"),
        (pl.col("at") - pl.duration(microseconds="lasted_us")).alias("began"),
        pl.col("at").alias("ended"),
    )
    spans = pl.concat([spans, singles.select(spans.columns)])
    marks = good.filter(pl.col("event").is_in(list(_INSTANTS))).with_columns(
        pl.col("event").replace_strict(_INSTANTS, return_dtype=pl.String).alias("span"),
        pl.col("at").alias("began"),
        pl.col("at").alias("ended"),
    )
    unfinished = spans.filter((pl.col("span") == "step") & pl.col("ended").is_null())
    refused = pl.concat(
        [
            said.filter(pl.col("trouble").is_not_null()).select("line_no", "trouble", "line"),
            lonely_ends,
            lonely_marks,
        ]
    ).sort("line_no")
    return Parsed(
        frames={
            STEPS.name: _steps(spans, origin),
            CHECKPOINTS.name: _checkpoints(checkpoints, spans, origin),
            RUN_MARKS.name: _marks(spans, marks.select(spans.columns), origin),
        },
        rejects=rejects(list(refused.iter_rows())),
        records=len(lines),
        accepted=len(lines) - len(refused) - len(unfinished),
        rejected=len(refused),
        ignored=len(unfinished),
    )


def _typed(raw: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Give every field its type, and every line that breaks the format its `trouble`."""
    typed = raw.select(
        "line_no",
        "line",
        "trouble",
        instant("t").alias("at"),
        text("cluster").fill_null(origin.cluster).alias("cluster"),
        text("run").alias("run"),
        text("job_id").fill_null("").alias("job_id"),
        pl.when(pl.col("restart").is_null()).then(0).otherwise(integer("restart")).alias("restart"),
        text("event").alias("event"),
        integer("step").alias("step"),
        duration_us("seconds").alias("lasted_us"),
        *[integer(name).alias(name) for name in ("tokens", "bytes", "gpus")],
        boolean("ok").alias("ok"),
        text("note").alias("note"),
        *[pl.col(n).is_not_null().alias(f"has_{n}") for n in ("t", "run", "event", "ok")],
        *[pl.col(n).is_not_null().alias(f"has_{n}") for n in ("tokens", "bytes", "gpus")],
        is_naive("t").alias("is_naive"),
        (pl.col("job_id").is_not_null() & text("job_id").is_null() & (pl.col("job_id") != '""'))
        .alias("has_bad_job"),
    )  # fmt: skip
    event = pl.col("event")

    def bad(name: str) -> pl.Expr:
        return pl.col(f"has_{name}") & pl.col(name).is_null()

    promises: list[tuple[pl.Expr, pl.Expr | str]] = [
        (pl.col("trouble").is_not_null(), pl.col("trouble")),
        (~pl.col("has_run"), "no run"),
        (bad("run"), "run is not a text"),
        (~pl.col("has_event"), "no event"),
        (
            ~event.is_in(_EVENTS).fill_null(False),
            pl.format("unknown event {}", event.fill_null("").str.slice(0, 40)),
        ),
        (~pl.col("has_t"), "no t"),
        (pl.col("is_naive"), "t is a time without an offset"),
        (pl.col("at").is_null(), "t is neither ISO 8601 nor seconds since 1970"),
        (pl.col("has_bad_job"), "job_id is not a text"),
        (~pl.col("restart").is_between(0, _U32).fill_null(False), "restart is not a count"),
        (event.is_in(_WITH_STEP) & pl.col("step").is_null(), "no step, or not a whole number"),
        (
            event.is_in(_SINGLES) & pl.col("lasted_us").is_null(),
            "no seconds, or not a duration in seconds",
        ),
        (bad("tokens"), "tokens is not a whole number"),
        (bad("bytes"), "bytes is not a whole number"),
        (bad("gpus") | (pl.col("gpus") > _U32), "gpus is not a count"),
        (bad("ok"), "ok is neither true nor false"),
    ]
    trouble = pl.coalesce(
        *[
            pl.when(broken).then(pl.lit(reason) if isinstance(reason, str) else reason)
            for broken, reason in promises
        ]
    )
    return typed.with_columns(trouble.alias("trouble"), pl.col("restart").cast(pl.UInt32, strict=False))  # fmt: skip


def _steps(spans: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    steps = spans.filter((pl.col("span") == "step") & pl.col("ended").is_not_null())
    return STEPS.conform(
        steps.sort("line_no")
        .with_columns(pl.lit(origin.file).alias("file"))
        .select(STEPS.dtypes.names())
    )


def _checkpoints(saved: pl.DataFrame, spans: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    restores = spans.filter(pl.col("span") == "restore").select(
        *ATTEMPT,
        "line_no",
        pl.lit("restore").alias("kind"),
        "step",
        "began",
        pl.col("ended").alias("block_ended"),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("durable_at"),
        pl.col("ok").fill_null(True),
        "bytes",
    )
    both = pl.concat([restores, saved.select(restores.columns)]).sort("line_no")
    return CHECKPOINTS.conform(
        both.with_columns(
            pl.col("kind").cast(CHECKPOINTS.dtypes["kind"]), pl.lit(origin.file).alias("file")
        ).select(CHECKPOINTS.dtypes.names())
    )


def _marks(spans: pl.DataFrame, instants: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    lasting = spans.filter(pl.col("span").is_in(["init", "data_wait", "eval"]))
    both = pl.concat([lasting, instants]).sort("line_no")
    return RUN_MARKS.conform(
        both.with_columns(
            pl.col("span").cast(pl.Enum(MARK_KINDS)).alias("kind"),
            pl.col("gpus").cast(pl.UInt32),
            pl.lit(origin.file).alias("file"),
        ).select(RUN_MARKS.dtypes.names())
    )


def sniff(head: str, name: str) -> int:
    """Surely, if one of the first lines is an object with run, event and t."""
    for line in [line for line in head.splitlines() if line.strip()][:20]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and {"run", "event", "t"} <= said.keys():
            return 2
    return 0


SOURCE = Source(
    name="train_log",
    title="Training log: our NDJSON of steps, checkpoints and marks",
    example='{"t": "2026-03-02T10:15:04.120Z", "run": "llm-70b", "job_id": "4711", "restart": 2, "event": "step", "step": 1200, "seconds": 12.5}',
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
