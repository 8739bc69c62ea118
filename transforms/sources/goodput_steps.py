"""When steps ended of which only the start was written.

A step ends where the next one starts, or where its process ends. Not every next start tells: after
a crash it comes an hour late. So the end is guessed as the median step of the run where nothing
follows, where the process starts anew, where step numbers do not rise, and after a silence.
"""

import polars as pl

SPANS = {
    "tpu_init": "init",
    "training_prep": "init",
    "data_loading": "data_wait",
    "custom_badput_event": "eval",
}
SILENCE_STEPS = 10
SILENCE_US = 60_000_000
"""A gap is a silence beyond ten median steps and a minute, whatever entries lie in it apart."""


def timed_steps(moments: pl.DataFrame, spans: pl.DataFrame, saved: pl.DataFrame) -> pl.DataFrame:
    """Steps among the moments of each run, with `ended`; all frames have `run`.

    `spans` and `saved` have began and ended: time within a step that other entries explain.
    """
    anew = ["job_start", "tpu_init_begin", "training_prep_begin"]
    turns = moments.filter(pl.col("event").is_in(["step", "job_end", *anew]))
    restores = saved.filter(pl.col("kind") == "restore").select("run", "at", "line_no")
    ordered = (
        pl.concat([turns, restores.with_columns(event=pl.lit("restore"))], how="diagonal")
        .sort("run", "at", "line_no")
        .with_columns(
            pl.col("event", "step", "at").shift(-1).over("run").name.prefix("next_"),
            turn=pl.int_range(pl.len()),
        )
        .with_columns(gap=(pl.col("next_at") - pl.col("at")).dt.total_microseconds())
    )
    is_next = (pl.col("next_event") == "step") & (pl.col("next_step") > pl.col("step"))
    follows = is_next | (pl.col("next_event") == "job_end")
    steps = ordered.filter(pl.col("event") == "step").with_columns(
        follows=follows.fill_null(False),
        usual=pl.col("gap")
        .filter(is_next)
        .quantile(0.5, "lower")
        .over("run")
        .fill_null(0)
        .cast(pl.Int64),
    )
    explained = _explained(steps, spans, saved)
    silent = pl.col("gap") - pl.col("explained") > pl.max_horizontal(
        SILENCE_STEPS * pl.col("usual"), SILENCE_US
    )
    guess = pl.min_horizontal("usual", "gap")
    took = pl.when(pl.col("follows") & ~silent).then("gap").otherwise(guess)
    return (
        steps.join(explained, on="turn", how="left")
        .with_columns(pl.col("explained").fill_null(0))
        .with_columns(ended=pl.col("at") + pl.duration(microseconds=took))
    )


def _explained(steps: pl.DataFrame, spans: pl.DataFrame, saved: pl.DataFrame) -> pl.DataFrame:
    """How much of each step other entries account for: turn, explained (us)."""
    claims = pl.concat([frame.select("run", "began", "ended") for frame in (spans, saved)])
    lasting = claims.drop_nulls("ended").sort("run", "began", "ended")
    return (
        lasting.sort("began")
        .join_asof(
            steps.select("run", "turn", "at", "next_at").sort("at"),
            left_on="began", right_on="at", by="run", check_sortedness=False,
        )
        .drop_nulls("turn")
        .with_columns(until=pl.min_horizontal("ended", "next_at"))
        .filter(pl.col("until") > pl.col("began"))
        .group_by("turn")
        .agg((pl.col("until") - pl.col("began")).dt.total_microseconds().sum().alias("explained"))
    )  # fmt: skip
