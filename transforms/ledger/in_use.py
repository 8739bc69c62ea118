"""How many GPUs of its allocation a training process uses, as it says at its start (methods G-8).

An allocation may last for months, and what its process said on the first day still holds on the
last: so the starts are kept in a table of their own, `gpu_use`, and not looked for in the marks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms.emptiness import empty_from
from transforms.ledger.lines import WRITER, Writers, attempt_lines, on_lines
from transforms.ledger.timeline import DAY_MS, instant_ms
from transforms.tables.derived import GPU_USE

if TYPE_CHECKING:
    from transforms.recipes import Window

LEAST_SHARE = 0.5
"""A start that tells of fewer GPUs than this share of its allocation speaks for a part of the run."""
LOOK_BACK_DAYS = 62
"""Earlier starts of an attempt that tell what it has used at most."""
ATTEMPT = ["cluster", "job_id", "submitted"]


def gpu_use(
    window: "Window", *, run_attempts: pl.DataFrame, run_marks: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """Rows of GPU_USE for the days of the window: starts of attempts that have spared any GPU."""
    told = run_marks.filter(pl.col("kind") == "job_start", pl.col("gpus") > 0)
    if told.is_empty():
        return {"gpu_use": GPU_USE.empty()}
    lines = attempt_lines(run_attempts, window.horizon)
    (marks,) = on_lines(Writers.of(lines), told.select(*WRITER, "began", "gpus"))
    starts = (
        marks.select("line", "began", pl.col("gpus").cast(pl.Int64).alias("use"))
        .join(lines.select("line", *ATTEMPT[:2], "submitted_at", "started", held="gpus"), on="line")
        .filter(pl.col("use") >= LEAST_SHARE * pl.col("held"))
        .with_columns(
            pl.min_horizontal("use", "held").alias("use"),
            pl.max_horizontal("began", "started").alias("began"),
        )
        # Every rank may write its start.
        .group_by("line", "began", *ATTEMPT[:2], "submitted_at", "held")
        .agg(pl.col("use").max())
        .sort("line", "began")
    )
    before = starts.join(starts.select("line", at="began", used="use"), on="line").filter(
        pl.col("at") <= pl.col("began"), pl.col("at") // DAY_MS > pl.col("began") // DAY_MS - LOOK_BACK_DAYS
    )  # fmt: skip
    rows = (
        before.group_by("line", "began", maintain_order=True)
        .agg(pl.col(*ATTEMPT[:2], "submitted_at", "held", "use").first(),
             pl.col("used").max().alias("most"), pl.col("used").min().alias("least"))
        .filter(pl.col("least") < pl.col("held"))
        .rename({"submitted_at": "submitted"})
        .with_columns(
            pl.from_epoch(pl.col("began") * 1000, "us").dt.replace_time_zone("UTC"),
            forgotten=pl.lit(None, GPU_USE.dtypes["began"]),
        )
    )  # fmt: skip
    inside = (pl.col("began") >= window.since) & (pl.col("began") < window.until)
    typed = rows.filter(inside).select(pl.col(n).cast(t) for n, t in GPU_USE.dtypes.items())
    return {"gpu_use": GPU_USE.conform(typed.sort(GPU_USE.key))}


@empty_from("gpu_use")
def on_attempts(gpu_use: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """GPUs that each line's training uses from `began` (ms) on (use), and the most so far; sorted.

    Lines that use all they hold are left out.
    """
    return (
        gpu_use.select(*ATTEMPT, instant_ms("began"), "use", "most")
        .join(lines.select("line", *ATTEMPT[:2], submitted="submitted_at"), on=ATTEMPT)
        .select("line", "began", *(pl.col(name).cast(pl.Int64) for name in ("use", "most")))
        .sort("line", "began")
    )
