"""Failures by day, node, class and definition: the numerators of every rate, additive.

A failure is an incident that counts. It belongs to the day of its first event (methods T-5) and
to the node of its root, so an incident that touched nine nodes is one failure. One whose node
is not in the fleet stays, without a denominator.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from transforms.fleet import place
from transforms.tables.derived import FAILURES

if TYPE_CHECKING:
    from transforms.recipes import Window


def failures(
    window: "Window", *, incidents: pl.DataFrame, fleet: pl.DataFrame
) -> Mapping[str, pl.DataFrame]:
    """Count the window's incidents by (day, cluster, node, class, component, definition)."""
    in_window = pl.col("day").is_between(window.since.date(), window.until.date(), closed="left")
    counted = (
        place(incidents.filter(pl.col("counts") & in_window), fleet)
        .group_by(FAILURES.key)
        .agg(pl.len().cast(pl.UInt32).alias("failures"))
    )
    return {"failures": FAILURES.conform(counted.sort(FAILURES.key))}
