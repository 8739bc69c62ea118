"""Runs that were preempted because a failed one came back (methods G-9).

Their stop is planned, so that no rate counts it, but what it cost is laid to the incident that made
the other run come back. A preemption is one of these if, within ten minutes, an attempt that
returned from a failure began on one of the nodes given up.
"""

import polars as pl

GIVEN_UP_MS = 10 * 60_000
RETURN_MS = 3 * 86_400_000
"""Of a failure longer ago the return is another matter, and may lie beyond the days that are read."""


def second_order(stops: pl.DataFrame, lines: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Add `second_order_of` to interruptions: an incident, '' for a failure without one; else null.

    `stops` has line, state, planned and incident; `lines` are attempt_lines; `held` has line,
    cluster and node of every allocation. Of several returns the largest is blamed, then the first.
    """
    preempted = pl.col("planned") & (pl.col("state") == "PREEMPTED")
    on_run = lines.select("line", "run_line", "ended")
    victims = stops.filter(preempted).select("line").join(on_run, on="line")
    if victims.is_empty():
        return stops.with_columns(second_order_of=pl.lit(None, pl.String))
    failed = stops.filter(~pl.col("planned")).select(prev="line", blamed=pl.col("incident"))
    returns = (
        lines.select("line", "run_line", "started", "gpus", "prev")
        .join(failed, on="prev")
        .join(lines.select(prev="line", stopped="ended"), on="prev")
        .filter((pl.col("started") - pl.col("stopped")).is_between(0, RETURN_MS))
        .select(pl.all().exclude("prev", "stopped").name.prefix("heir_"))
    )
    places = ["cluster", "node"]
    pairs = (
        victims.join(held, on="line")
        .join(returns.join(held.rename({"line": "heir_line"}), on="heir_line"), on=places)
        .filter(
            pl.col("run_line") != pl.col("heir_run_line"),
            (pl.col("heir_started") - pl.col("ended")).is_between(0, GIVEN_UP_MS),
        )
        .sort("line", -pl.col("heir_gpus"), "heir_started", "heir_line")
        .unique("line", keep="first", maintain_order=True)
        .select("line", second_order_of=pl.col("heir_blamed").fill_null(""))
    )
    return stops.join(pairs, on="line", how="left", maintain_order="left")
