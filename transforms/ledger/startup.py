"""How an attempt gets going: launch, initialisation, restore; and when that has become a hang.

Of a start-up whose end nobody wrote down the next step tells the end, or whoever noticed that
it failed. One that never came to a step is `init` for three times as long as the run's attempts
usually take to their first step, then a hang (methods G-2 rule 5, G-10).
"""

import polars as pl

from transforms.ledger.lines import REACH_MS
from transforms.ledger.logs import shared
from transforms.ledger.timeline import BOUNDS, DAY_MS, starts_of

PATIENCE = 3
"""Usual start-ups that one may take before it counts as hung."""
LONGEST_MS = 3 * DAY_MS
NEAR_MS = 7 * DAY_MS
"""Start-ups of attempts that began this near tell what is usual; with LONGEST_MS, twice, it stays
within the reach."""
STARTS = (*BOUNDS, "evidence")


def launches(
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    marks: pl.DataFrame,
    stops: pl.DataFrame,
    held: pl.DataFrame,
    heard: pl.DataFrame,
    lines: pl.DataFrame,
) -> pl.DataFrame:
    """Claims of `init`: init marks, and the time from the allocation to the first sign of work.

    Logs are on their lines; `held` has line, began and ended of the allocations, `heard` the
    parts of them that are known to have a log.
    Nobody knows of a first sign that comes later than the reach; such a wait stays unknown.
    Gives line, began, ended and evidence.
    """
    signs = ("init", "data_wait", "eval", "detected")
    first_steps = first_of_lines(steps)
    told = {
        "steps": first_steps,
        "checkpoints": checkpoints,
        "marks": marks.filter(pl.col("kind").is_in(signs)),
    }
    first = (
        pl.concat([rows.select("line", "began", evidence=pl.lit(e)) for e, rows in told.items()])
        .sort("line", "began", "evidence")
        .unique("line", keep="first", maintain_order=True)
        .rename({"began": "ended"})
    )
    launch = held.select("line", "began").join(first, on="line")
    launch = launch.filter(pl.col("ended") - pl.col("began") <= REACH_MS).select(STARTS)
    silent = (
        held.select("line", "began")
        .join(heard, on="line", how="semi")
        .join(first, on="line", how="anti")
        .join(_noticed(stops), on="line")
        .filter(pl.col("detected_at") - pl.col("began") <= REACH_MS)
        .select("line", "began", ended="detected_at", evidence=pl.lit("marks"))
    )
    silent = shared(silent, heard)
    marked = closed(marks.filter(pl.col("kind") == "init"), steps, stops, held)
    begun = pl.concat([launch, silent, marked.with_columns(evidence=pl.lit("marks"))])
    is_known = pl.col("line").is_in(first_steps["line"].implode())
    limit = _patience(first_steps, checkpoints, held, lines, stops).join(
        marks.filter(pl.col("kind") == "init", pl.col("ended").is_not_null()), on="line", how="anti"
    )
    return (
        begun.join(limit, on="line", how="left")
        .with_columns(
            ended=pl.when(is_known).then("ended").otherwise(pl.min_horizontal("ended", "limit"))
        )
        .filter(pl.col("began") < pl.col("ended"))
        .select(STARTS)
    )


def closed(
    begun: pl.DataFrame, steps: pl.DataFrame, stops: pl.DataFrame, held: pl.DataFrame
) -> pl.DataFrame:
    """Close what never ended: when the next step began, its failure was noticed, or at the end.

    A start-up that fails is start-up until somebody notices (methods G-10), not a hang.
    """
    still = begun.filter(pl.col("ended").is_null()).select("line", "began").sort("began")
    if still.is_empty():
        return begun.select(BOUNDS)
    later = steps.select("line", next_step="began").sort("next_step")
    ends = (
        still.join_asof(
            later, left_on="began", right_on="next_step", by="line", strategy="forward",
            check_sortedness=False,
        )
        .join(_noticed(stops), on="line", how="left")
        .join(held.select("line", stopped="ended"), on="line")
        .with_columns(
            ended=pl.min_horizontal(
                "next_step", "detected_at", "stopped", pl.col("began") + REACH_MS
            )
        )
    )  # fmt: skip
    return pl.concat(
        [begun.filter(pl.col("ended").is_not_null()).select(BOUNDS), ends.select(BOUNDS)]
    )


def first_of_lines(steps: pl.DataFrame) -> pl.DataFrame:
    """When each line's first step began, of steps sorted by line and begin."""
    return steps.select("line", "began")[starts_of(steps["line"].to_numpy())]


def _noticed(stops: pl.DataFrame) -> pl.DataFrame:
    return stops.group_by("line").agg(pl.col("detected_at").max())


def _patience(
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    held: pl.DataFrame,
    lines: pl.DataFrame,
    stops: pl.DataFrame,
) -> pl.DataFrame:
    """Until when a start-up that came to no step is believed to be one: line, limit.

    `steps` are the first of each line.
    """
    on_runs = held.select("line", "began").join(lines.select("line", "run_line"), on="line")
    dud = on_runs.join(stops.select("line").unique(), on="line", how="semi")
    dud = dud.join(steps.select("line").unique(), on="line", how="anti")
    if dud.is_empty():
        return dud.select("line", limit="began")
    restores = checkpoints.filter(pl.col("kind") == "restore")
    ready = (
        pl.concat([steps.select("line", "began"), restores.select("line", "began")])
        .group_by("line")
        .agg(pl.col("began").min().alias("ready"))
        .join(steps.select("line").unique(), on="line", how="semi")
    )
    took = (
        on_runs.join(ready, on="line")
        .with_columns(took=pl.col("ready") - pl.col("began"))
        .filter(pl.col("took").is_between(1, LONGEST_MS))
        .select("run_line", "took", other="began")
    )
    usual = (
        dud.join(took, on="run_line")
        .filter((pl.col("other") - pl.col("began")).abs() <= NEAR_MS)
        .group_by("line")
        .agg(pl.col("took").sort().get((pl.len() - 1) // 2).alias("usual"))
    )
    allowed = pl.min_horizontal(pl.col("usual") * PATIENCE, LONGEST_MS).fill_null(LONGEST_MS)
    return dud.join(usual, on="line", how="left").select("line", limit=pl.col("began") + allowed)
