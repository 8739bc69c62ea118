"""When a board's controller logged a record: its own stamp, or what stands beside it in the log.

A controller that lost its clock stamps records with 1970, 2000 or nothing until somebody sets it.
Such a record was still written in order: no later than the one after it. That neighbour's time
stands, since it is the same however often the log is collected; the file's time would make a new
event of the old record on every collection, and is taken only where no record of the node is
stamped.
"""

from datetime import UTC, datetime

import polars as pl

from transforms.contract import UTC as INSTANT
from transforms.tables.observed import BMC_EVENTS

CLOCK_SET_SINCE = datetime(2010, 1, 1, tzinfo=UTC)
"""A stamp before this is that of a clock which was never set."""


def place_in_time(records: pl.DataFrame, modified: datetime) -> pl.DataFrame:
    """Replace nullable `at` by `observed_at` and `clock`; needs `node`, in the order of the log.

    Logs are listed oldest first or newest first: the stamps of a node tell which.
    """
    records = records.with_columns(
        pl.when(pl.col("at") >= CLOCK_SET_SINCE).then("at").cast(INSTANT).alias("at")
    )
    stamps = pl.col("at").drop_nulls()
    below = pl.col("at").backward_fill().over("node")
    above = pl.col("at").forward_fill().over("node")
    is_newest_first = (stamps.first() > stamps.last()).over("node").fill_null(False)
    after = pl.when(is_newest_first).then(above).otherwise(below)
    beside = pl.coalesce(after, below, above)
    return records.with_columns(
        pl.coalesce("at", beside, pl.lit(modified).cast(INSTANT)).alias("observed_at"),
        pl.when(pl.col("at").is_not_null())
        .then(pl.lit("stamped"))
        .when(beside.is_not_null())
        .then(pl.lit("neighbour"))
        .otherwise(pl.lit("file"))
        .cast(BMC_EVENTS.dtypes["clock"])
        .alias("clock"),
    ).drop("at")
