"""How far each job attempt came, as its training log tells it."""

import numpy as np
import polars as pl

from transforms.ledger.lines import WRITER, Writers, on_lines
from transforms.ledger.timeline import starts_of


def progress(
    lines: pl.DataFrame, steps: pl.DataFrame, checkpoints: pl.DataFrame, run_marks: pl.DataFrame
) -> pl.DataFrame:
    """What the training log says of each attempt, instants in ms; null where it says nothing."""
    kind, ended = pl.col("kind").cast(pl.String), pl.col("ended")
    told = steps.select(*WRITER, "step", "began", "ended")
    trained, loads_and_saves, marks = on_lines(Writers.of(lines), told, checkpoints, run_marks)
    stepped = _trained(trained)
    saved = loads_and_saves.group_by("line")
    marked = marks.group_by("line")
    return (
        lines.select("line")
        .join(
            stepped,
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
        .join(_beyond(loads_and_saves.filter(kind == "save"), stepped), on="line", how="left")
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


def _beyond(saves: pl.DataFrame, stepped: pl.DataFrame) -> pl.DataFrame:
    """When a line last began to save a step that its log of steps does not reach: it trained on."""
    return (
        saves.join(stepped.select("line", "last_step"), on="line", how="left")
        .filter(pl.col("step") > pl.col("last_step").fill_null(-1))
        .group_by("line")
        .agg(pl.col("began").max().alias("saved_beyond"))
    )


def _trained(steps: pl.DataFrame) -> pl.DataFrame:
    """First and last step of each line, when the first began, and the last end."""
    told = steps.select("line", "step", "began", "ended")
    heads = starts_of(told["line"].to_numpy())
    step, began, ended = (told[name].to_numpy() for name in told.columns[1:])
    # Rows of one line mostly stand together.
    stretches = pl.DataFrame(
        {
            "line": told["line"].gather(heads),
            "first_step": np.minimum.reduceat(step, heads) if len(heads) else step,
            "last_step": np.maximum.reduceat(step, heads) if len(heads) else step,
            "first_began": np.minimum.reduceat(began, heads) if len(heads) else began,
            "stepped_at": np.maximum.reduceat(ended, heads) if len(heads) else ended,
        }
    )
    return stretches.group_by("line").agg(
        pl.col("first_step", "first_began").min(), pl.col("last_step", "stepped_at").max()
    )
