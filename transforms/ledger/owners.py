"""Who answers for lost time: one numbered list of owners, so that no slice has two (methods G-7).

Owners are the interruptions, the incidents that took nodes out, and a few standing ones: nobody,
a run's first start, the insurance that checkpoints are, a manual rollback, and each failure class
by itself where no incident is known.
"""

import polars as pl

from transforms.ledger.lines import REACH_DAYS
from transforms.ledger.timeline import instant_ms
from transforms.tables.derived import CLASSES

NOBODY, START_UP, INSURANCE = 0, 1, 2
_STANDING = ("", "start-up", "insurance", *CLASSES)
CLASS_OWNER = {name: _STANDING.index(name) for name in CLASSES}
ROLLBACK = CLASS_OWNER["Human"]

_REACH = pl.duration(days=REACH_DAYS)


def owners(
    interruptions: pl.DataFrame, incidents: pl.DataFrame, lines: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Number all owners; give them, the interruptions with their attempts, and the incidents.

    The owners are rows owner (its number and place), cause, incident and last_day: no day after
    it is an owner's to answer for. Interruptions gain `owner` and `line`, instants in ms.
    """
    standing = pl.DataFrame({"cause": _STANDING}).with_columns(
        incident=pl.lit(""), last_day=pl.lit(None, pl.Date)
    )
    stops = (
        interruptions.sort("cluster", "run", "failed_at")
        .with_row_index("owner", offset=len(standing))
        .with_columns(pl.col("owner").cast(pl.Int64))
    )
    found = incidents.sort("incident").with_row_index("owner", offset=len(standing) + len(stops))
    table = pl.concat(
        [
            standing,
            stops.select(
                pl.when("planned")
                .then(pl.lit("Planned"))
                .otherwise(pl.col("cause").cast(pl.String))
                .alias("cause"),
                pl.col("incident").fill_null(""),
                (pl.col("day") + _REACH).alias("last_day"),
            ),
            found.select(
                pl.col("class").cast(pl.String).alias("cause"),
                "incident",
                (pl.col("day") + _REACH).alias("last_day"),
            ),
        ]
    ).with_row_index("owner")
    on_lines = (
        stops.rename({"submitted": "submitted_at"})
        .join(
            lines.select("cluster", "job_id", "submitted_at", "line"),
            on=["cluster", "job_id", "submitted_at"],
        )
        .select(
            "line",
            "owner",
            *(instant_ms(name) for name in ("failed_at", "detected_at", "decided_at")),
        )
        .sort("line", "failed_at", "owner")
    )
    return (
        table.with_columns(pl.col("owner").cast(pl.Int64)),
        on_lines,
        found.select("incident", pl.col("owner").cast(pl.Int64)),
    )


def recoveries(lines: pl.DataFrame, stops: pl.DataFrame) -> pl.DataFrame:
    """Add `recovery` to the lines: who answers for getting the run back into this attempt.

    The interruption that ended the attempt before it; start-up where there was none.
    """
    last = (
        stops.group_by("line")
        .agg(pl.col("owner").last())
        .rename({"line": "prev", "owner": "recovery"})
    )
    return lines.join(last, on="prev", how="left", maintain_order="left").with_columns(
        pl.col("recovery").fill_null(START_UP)
    )


def settle(slices: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Name each slice's `cause` and `incident`; beyond its owner's last day the fallback answers.

    Slices have `day`, `owner` and `fallback` (a standing owner).
    """
    named = slices.join(
        table.select("owner", "last_day"), on="owner", how="left", maintain_order="left"
    )
    return (
        named.with_columns(
            owner=pl.when((pl.col("day") > pl.col("last_day")).fill_null(False))
            .then("fallback")
            .otherwise("owner")
        )
        .drop("last_day", "fallback")
        .join(
            table.select("owner", "cause", "incident"),
            on="owner",
            how="left",
            maintain_order="left",
        )
        .drop("owner")
    )
