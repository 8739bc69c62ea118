"""Who answers for lost time: one numbered list of owners, so that no slice has two (methods G-7).

Owners are the interruptions, the incidents that took nodes out, and a few standing ones: nobody,
a run's first start, the insurance that checkpoints are, a manual rollback, each failure class by
itself where no incident is known, and the price of going on with fewer GPUs.
"""

import numpy as np
import polars as pl

from transforms.ledger.lines import REACH_DAYS, REACH_MS
from transforms.ledger.timeline import DAY_MS, instant_ms
from transforms.tables.derived import CLASSES

NOBODY, START_UP, INSURANCE = 0, 1, 2
SECOND_ORDER = "second-order"
OVER_EVICTION = "over-eviction"
_STANDING = ("", "start-up", "insurance", *CLASSES, "elastic")
ELASTIC = len(_STANDING) - 1
CLASS_OWNER = {name: _STANDING.index(name) for name in CLASSES}
ROLLBACK = CLASS_OWNER["Human"]

_REACH = pl.duration(days=REACH_DAYS)


def owners(
    interruptions: pl.DataFrame, incidents: pl.DataFrame, lines: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Number all owners; give them, the interruptions with their attempts, and the incidents.

    Incidents have `owner`, and `eviction` for what was taken out with the nodes that they struck.
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
    last_day = (pl.col("day") + _REACH).alias("last_day")
    table = pl.concat(
        [
            standing,
            stops.select(
                pl.when(pl.col("second_order_of").is_not_null())
                .then(pl.lit(SECOND_ORDER))
                .when("planned")
                .then(pl.lit("Planned"))
                .otherwise(pl.col("cause").cast(pl.String))
                .alias("cause"),
                pl.coalesce("second_order_of", "incident", pl.lit("")).alias("incident"),
                last_day,
            ),
            found.select(pl.col("class").cast(pl.String).alias("cause"), "incident", last_day),
            found.select(pl.lit(OVER_EVICTION).alias("cause"), "incident", last_day),
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
        found.select(
            "incident",
            pl.col("owner").cast(pl.Int64),
            (pl.col("owner").cast(pl.Int64) + len(found)).alias("eviction"),
        ),
    )


def recovering(slices: pl.DataFrame, lines: pl.DataFrame, stops: pl.DataFrame) -> pl.DataFrame:
    """Add `after` and `recovery` to slices: which attempt the run comes from, and who answers.

    `after` is the line of the attempt that started last before the slice's own and ended within
    reach of the slice's day; `recovery` the interruption that ended it, start-up without one.
    """
    prev = lines["prev"].fill_null(-1).to_numpy()
    ended = lines["ended"].fill_null(0).to_numpy()
    line = slices["line"].to_numpy()
    limit = slices["began"].to_numpy() // DAY_MS * DAY_MS - REACH_MS
    within = lines["free_from"].fill_null(0).to_numpy()[line] > limit
    after = np.where(within, prev[line], -1)
    # Some attempt before it ended within reach: go back to it, past any that ended too long ago.
    while (stale := (after >= 0) & (ended[after] <= limit)).any():
        after[stale] = prev[after[stale]]
    last = np.full(len(lines) + 1, START_UP)
    last[stops["line"].to_numpy()] = stops["owner"].to_numpy()  # sorted: the last one stays
    return slices.with_columns(
        after=pl.Series(after).set(pl.Series(after < 0), None),
        recovery=pl.Series(last[after]),
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
