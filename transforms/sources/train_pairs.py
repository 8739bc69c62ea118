"""Begins and their ends in a training log, put together.

Within one attempt and kind (and step, where it has one) the records stand in time order, equal
times in file order. An end belongs to the begin right before it; a begin followed by another
begin was never ended; an end after an end, or before any begin, belongs to nothing and is refused.
"""

import polars as pl

_ATTEMPT = ("cluster", "run", "job_id", "restart")
_REFUSED = ("line_no", "trouble", "line")
_WITH_STEP = ("step", "restore")


def paired(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split `*_begin` and `*_end` records into spans (ended null while open) and refused ends.

    Spans carry the begin's line, and of each told value the end's or else the begin's.
    """
    named = records.with_columns(
        pl.col("event").str.replace("_(?:begin|end)$", "").alias("span"),
        pl.col("event").str.ends_with("_end").alias("is_end"),
    ).with_columns(
        pl.when(pl.col("span").is_in(_WITH_STEP)).then("step").otherwise(-1).alias("step")
    )
    key = (*_ATTEMPT, "span", "step")
    ordered = named.sort(*key, "at", "line_no")
    follows = _same_as_previous(key)
    ends_here = (follows.shift(-1) & pl.col("is_end").shift(-1)).fill_null(False)
    is_lonely = pl.col("is_end") & ~(follows & ~pl.col("is_end").shift(1)).fill_null(False)

    def told(name: str) -> pl.Expr:
        at_end = pl.when(ends_here).then(pl.col(name).shift(-1))
        return pl.coalesce(at_end, name).alias(name)

    judged = ordered.with_columns(
        is_lonely.alias("is_lonely"),
        pl.when(ends_here).then(pl.col("at").shift(-1)).alias("ended"),
        *[told(name) for name in ("tokens", "bytes", "ok", "gpus", "note")],
    )
    spans = judged.filter(~pl.col("is_end")).select(
        *_ATTEMPT,
        "line_no",
        "span",
        "step",
        pl.col("at").alias("began"),
        "ended",
        *("tokens", "bytes", "ok", "gpus", "note"),
    )
    lonely = judged.filter("is_lonely").with_columns(
        pl.format("{} without its {}_begin", "event", "span").alias("trouble")
    )
    return spans, lonely.select(_REFUSED)


def saves(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Gather each checkpoint's begin, unblocked, durable and failed; refuse what lacks a begin.

    `block_ended` is when training could go on: told, or at the latest when the save was over,
    durable or failed. `ok` is false only where a failure was reported.
    """
    key = (*_ATTEMPT, "step")
    kind = pl.col("event").str.strip_prefix("checkpoint_")
    ordered = records.with_columns(kind.alias("mark")).sort(*key, "at", "line_no")
    ordered = ordered.with_columns(
        (~_same_as_previous(key)).fill_null(True).cast(pl.Int64).cum_sum().alias("series"),
        (pl.col("mark") == "begin").cast(pl.Int64).cum_sum().alias("save"),
    ).with_columns(
        pl.when(pl.col("mark") == "begin").then("series").forward_fill().alias("series_of_begin")
    )
    has_begin = (pl.col("series_of_begin") == pl.col("series")).fill_null(False)
    is_repeat = pl.int_range(pl.len()).over("save", "mark") > 0
    judged = ordered.with_columns(
        pl.when(~has_begin)
        .then(pl.format("{} without its checkpoint_begin", "event"))
        .when(has_begin & is_repeat)
        .then(pl.format("second {} of one checkpoint_begin", "event"))
        .alias("trouble")
    )

    def at(mark: str) -> pl.Expr:
        return pl.col("at").filter(pl.col("mark") == mark).first()

    saved = (
        judged.filter(pl.col("trouble").is_null())
        .group_by("save", *key, maintain_order=True)
        .agg(
            pl.col("line_no").filter(pl.col("mark") == "begin").first(),
            at("begin").alias("began"),
            pl.coalesce(at("unblocked"), at("durable"), at("failed")).alias("block_ended"),
            at("durable").alias("durable_at"),
            (pl.col("mark") != "failed").all().alias("ok"),
            pl.col("bytes").drop_nulls().last(),
        )
        .with_columns(pl.lit("save").alias("kind"))
    )
    return saved, judged.filter(pl.col("trouble").is_not_null()).select(_REFUSED)


def _same_as_previous(key: tuple[str, ...]) -> pl.Expr:
    """Whether a row continues the key of the row before; null on the first."""
    return pl.all_horizontal(*[pl.col(name) == pl.col(name).shift(1) for name in key])
