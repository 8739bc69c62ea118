"""Where a node stood: a seat is a node at one place, one row of the fleet.

A node that moves to another rack takes another seat, and fails there with other neighbours.
"""

import polars as pl

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
    last_moment = pl.col("day").cast(pl.Datetime("us", "UTC")) + pl.duration(
        days=1, microseconds=-1
    )
    days = _placed(
        risk.filter(pl.col("node_days") > 0).select(
            "day", "cluster", "node", "node_days", at=last_moment
        ),
        fleet,
    )
    homes = fleet.with_row_index("seat").select("seat", "cluster", "gpu_model", *KINDS)
    return (
        days.group_by("seat")
        .agg(
            pl.col("node_days").sum(),
            pl.col("day").min().dt.truncate("1w").alias("came"),
            pl.col("day").max().dt.truncate("1w").alias("left"),
        )
        .join(homes, on="seat")
    )


def seated(failed: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """Failures with the seat of their node; those of no node of the fleet leave."""
    return _placed(failed, fleet).filter((pl.col("valid_to") > pl.col("at")).fill_null(True))
