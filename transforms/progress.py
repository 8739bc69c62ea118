"""How far each job attempt came, as its training log tells it."""

import polars as pl

from transforms.ledger.lines import on_lines


def progress(
    lines: pl.DataFrame, steps: pl.DataFrame, checkpoints: pl.DataFrame, run_marks: pl.DataFrame
) -> pl.DataFrame:
    """What the training log says of each attempt, instants in ms; null where it says nothing."""
    kind, ended = pl.col("kind").cast(pl.String), pl.col("ended")
    stepped = on_lines(steps, lines).group_by("line")
    saved = on_lines(checkpoints, lines).group_by("line")
    marked = on_lines(run_marks, lines).group_by("line")
    return (
        lines.select("line")
        .join(
            stepped.agg(
                pl.col("step").min().alias("first_step"),
                pl.col("step").max().alias("last_step"),
                pl.col("began").min().alias("first_began"),
                ended.max().alias("stepped_at"),
            ),
            on="line",
            how="left",
        )
        .join(
            saved.agg(
                pl.col("block_ended").filter(kind == "restore").max().alias("restore_ended"),
                pl.col("block_ended").max().alias("saved_at"),
                pl.lit(True).alias("saves"),
            ),
            on="line",
            how="left",
        )
        .join(
            marked.agg(
                pl.col("began").filter(kind == "job_start").min().alias("process_began"),
                ended.filter(kind == "init").max().alias("init_ended"),
                ended.max().alias("marked_at"),
                (kind == "finished").any().alias("finished"),
                pl.col("began").filter(kind == "detected").sort().alias("noticed"),
                pl.lit(True).alias("marks"),
            ),
            on="line",
            how="left",
        )
        .with_columns(
            logs=pl.any_horizontal(pl.col("first_step", "saves", "marks").is_not_null()),
            finished=pl.col("finished").fill_null(False),
        )
    )
