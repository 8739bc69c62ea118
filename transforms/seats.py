"""Where a node stood: a seat is a node at one place, one row of the fleet.

A node that moves to another rack takes another seat, and fails there with other neighbours.
"""

import polars as pl

from transforms.fleet import ID
from transforms.node_days import NodeDays, dates

KINDS = ("rack", "pdu", "leaf_switch", "nvlink_domain", "cooling_loop", "hall")
"""Kinds of domain that an inventory names, in the fleet's columns."""


def _placed(rows: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Add `seat`, the row of the fleet where each row's node stood at its `at`; others leave."""
    seats = fleet.with_row_index("seat").select("cluster", "node", "seat", "valid_from", "valid_to")
    return (
        rows.sort("at")
        .join_asof(
            seats.sort("valid_from"),
            left_on="at",
            right_on="valid_from",
            by=["cluster", "node"],
            check_sortedness=False,
        )
        .filter(pl.col("seat").is_not_null())
    )


def seats_at_risk(risk: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Each seat with its exposure, the weeks it came and left, and all its domains."""
    grid = NodeDays.of(risk.select("day", *ID, "node_days"))
    days = grid.rows["node_days"].to_numpy()
    first, last = grid.span(days > 0)
    is_served = last >= first
    by_node = grid.nodes.with_columns(node_days=pl.Series(grid.sums(days))).filter(is_served)
    by_node = by_node.with_columns(first=dates(first[is_served]), last=dates(last[is_served]))
    # Who always sat in one seat needs no look day by day.
    alone = fleet.with_row_index("seat").filter(pl.len().over(ID) == 1)
    settled = by_node.join(alone.select(*ID, "seat", "valid_from"), on=ID).filter(
        pl.col("valid_from") <= _last_moment("first")
    )
    others = by_node.join(settled, on=ID, how="anti")
    served = grid.rows.filter(pl.col("node_days") > 0) if others.height else grid.rows.clear()
    moving = served.join(others, on=ID, how="semi")
    sums = (pl.col("node_days").sum(), pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))  # fmt: skip
    moved = _placed(moving.with_columns(at=_last_moment("day")), fleet).group_by("seat").agg(sums)
    homes = fleet.with_row_index("seat").select("seat", "cluster", "gpu_model", *KINDS)
    weeks = [pl.col(a).dt.truncate("1w").alias(b) for a, b in (("first", "came"), ("last", "left"))]
    return (
        pl.concat([settled.select(moved.columns), moved])
        .select("seat", "node_days", *weeks)
        .join(homes, on="seat")
    )


def _last_moment(day: str) -> pl.Expr:
    return pl.col(day).cast(pl.Datetime("us", "UTC")) + pl.duration(days=1, microseconds=-1)


def seated(failed: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Failures with the seat of their node; those of no node of the fleet leave."""
    return _placed(failed, fleet).filter((pl.col("valid_to") > pl.col("at")).fill_null(True))
