"""How each report of a cluster manager or health agent was read, and each reason that a scheduler
keeps for a node; and which of them nobody could read.

    reporter kubelet, reason FailedMount      catalogue    4 events, 4 of them warnings
    reporter gpu-watcher, reason FluxOverrun  unclassified 9 events, 9 of them warnings
    reporter scheduler, reason frobnicated    unclassified 2 spells that began with that reason

The shares tell how much of what agents say reaches the incidents at all (methods 2.8: report the
share of unclassified reasons). A word in `transforms.cluster_reasons` is its cure, or for free
text a row in `transforms.reasons`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms.cluster_reasons import read_reasons
from transforms.reasons import classify_reasons
from transforms.tables.derived import REPORT_VERDICTS

if TYPE_CHECKING:
    from transforms.recipes import Window


SCHEDULER = "scheduler"


def verdicts(
    window: "Window", *, cluster_events: pl.DataFrame, node_states: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """Count the reports of each day by reporter, reason and the witness that read them.

    A scheduler's reason counts once for every spell that began with it, as a warning; spells
    without one are not counted.
    """
    inside = pl.col("observed_at").is_between(window.since, window.until, closed="left")
    judged = read_reasons(cluster_events.filter(inside)).with_columns(
        words=pl.concat_str("reason", "detail", separator=" ")
    )
    free = classify_reasons(judged.select("words").unique(), "words").select(
        "words", is_read=pl.col("component") != "unclassified"
    )
    how = (
        pl.when(pl.col("code") > 0)
        .then(pl.lit("xid"))
        .when(pl.col("counts").is_not_null())
        .then(pl.lit("catalogue"))
        .when("is_read")
        .then(pl.lit("text"))
        .otherwise(pl.lit("unclassified"))
    )
    counted = (
        judged.join(free, on="words", how="left")
        .with_columns(how.alias("how"), pl.col("observed_at").dt.date().alias("day"))
        .group_by("day", "cluster", "reporter", "reason", "how")
        .agg(
            pl.len().alias("events"),
            (pl.col("level").cast(pl.String) != "info").sum().alias("warnings"),
        )
    )
    counted = pl.concat([counted, _of_the_scheduler(window, node_states)], how="diagonal_relaxed")
    rows = counted.select(pl.col(n).cast(t) for n, t in REPORT_VERDICTS.dtypes.items())
    return {"report_verdicts": REPORT_VERDICTS.conform(rows.sort(REPORT_VERDICTS.key))}


def _of_the_scheduler(window: "Window", node_states: pl.DataFrame) -> pl.DataFrame:
    inside = pl.col("began").is_between(window.since, window.until, closed="left")
    spells = classify_reasons(node_states.filter(inside).select("began", "cluster", "reason"))
    is_read = pl.col("component") != "unclassified"
    return (
        spells.filter(pl.col("component") != "no reason given")
        .with_columns(
            pl.when(is_read).then(pl.lit("text")).otherwise(pl.lit("unclassified")).alias("how"),
            day=pl.col("began").dt.date(),
            reporter=pl.lit(SCHEDULER),
        )
        .group_by("day", "cluster", "reporter", "reason", "how")
        .agg(pl.len().alias("events"), pl.len().alias("warnings"))
    )
