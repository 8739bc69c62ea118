"""Long samples to the wide rows of the sample tables: one cell is one metric of one thing at once.

Nothing is overwritten in silence. Several samples that meet in one cell agree, or are reduced by
the metric's stated rule, or are a monotone counter told twice (the larger stands, methods Q-1),
or contradict each other: then none of them is kept and each is refused with the reason.
"""

from dataclasses import dataclass

import polars as pl

from transforms.contract import Table
from transforms.metrics import METRICS
from transforms.tables.samples import ALL as TABLES

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "line_no": pl.UInt32,
    "source_name": pl.String,
    "metric": pl.String,
    "value": pl.Float64,  # in the metric's unit; null where the source has no value
    "series": pl.UInt32,  # tells the series of one metric apart
    "cluster": pl.String,
    "node": pl.String,
    "gpu": pl.String,
    "gpu_instance": pl.String,
    "slot": pl.UInt16,
    "link": pl.String,
    "observed_at": pl.Datetime("us", "UTC"),
}
CELLS = pl.Schema(_COLUMNS)
THING = ("cluster", "node", "gpu", "gpu_instance", "link", "observed_at")
REFUSED = pl.Schema({"line_no": pl.UInt32, "reason": pl.String})

RULES = pl.DataFrame(
    {
        "metric": [m.name for m in METRICS],
        "table": [m.table for m in METRICS],
        "unit": [m.unit for m in METRICS],
        "low": [m.low for m in METRICS],
        "high": [m.high for m in METRICS],
        "is_counter": [m.kind == "counter" for m in METRICS],
        "reduce": [m.reduce for m in METRICS],
    },
    schema={
        "metric": pl.String,
        "table": pl.String,
        "unit": pl.String,
        "low": pl.Float64,
        "high": pl.Float64,
        "is_counter": pl.Boolean,
        "reduce": pl.String,
    },
)


@dataclass(frozen=True)
class Settled:
    """The sample tables that `cells` fill, and the cells that were refused: line_no, reason."""

    frames: dict[str, pl.DataFrame]
    refused: pl.DataFrame


def settle(cells: pl.DataFrame) -> Settled:
    """Check every cell against its metric's range, settle crowded ones, and widen the rest."""
    ruled = cells.join(RULES, on="metric", how="left", maintain_order="left")
    possible, impossible = _split_impossible(ruled)
    settled, contradicting = settle_crowds(possible)
    frames = {
        table.name: _widen(table, rows)
        for table in TABLES
        if (rows := settled.filter(pl.col("table") == table.name)).height
    }
    return Settled(frames, pl.concat([impossible, contradicting]).sort("line_no", "reason"))


def _split_impossible(cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Set aside the values that the quantity cannot have: a wrong unit or a broken sensor."""
    value = pl.col("value")
    possible = value.is_null() | (
        value.is_finite() & value.is_between(pl.col("low"), pl.col("high"))
    )
    reason = pl.format(
        "{}: {} {} {} is outside {} to {} {}",
        "source_name",
        "metric",
        "value",
        "unit",
        "low",
        "high",
        "unit",
    )
    impossible = cells.filter(~possible).select("line_no", reason.alias("reason"))
    return cells.filter(possible), impossible.cast(REFUSED)


def settle_crowds(cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bring the samples of each cell down to one, or refuse them all."""
    cell = ["metric", *THING]
    is_crowded = pl.struct(cell).is_duplicated()
    crowded = cells.filter(is_crowded)
    if crowded.is_empty():
        return cells, pl.DataFrame(schema=REFUSED)
    values = pl.col("value").drop_nulls()
    by_series = crowded.group_by([*cell, "series"]).agg(
        pl.col("table", "is_counter", "reduce").first(),
        pl.col("slot").min(),
        values.max().alias("value"),
        (values.n_unique() > 1).alias("is_torn"),
        pl.col("value").is_null().any().alias("is_blank"),
    )
    summed = pl.when(~pl.col("is_blank").any()).then(pl.col("value").sort().sum())
    by_cell = by_series.group_by(cell).agg(
        pl.col("table", "is_counter", "reduce").first(),
        pl.col("slot").min(),
        pl.when(pl.col("reduce").first() == "sum")
        .then(summed)
        .otherwise(values.max())
        .alias("value"),
        (pl.col("is_torn") & ~pl.col("is_counter")).any().alias("is_restless"),
        ((values.n_unique() > 1) & (pl.col("reduce").first() == "")).alias("is_disputed"),
    )
    wrong = by_cell.filter(pl.col("is_restless") | pl.col("is_disputed"))
    why = (
        pl.when("is_restless")
        .then(pl.lit("several values of one series at one instant: are time stamps missing?"))
        .otherwise(pl.lit("series that only differ in labels nobody here knows disagree"))
    )
    refused = crowded.join(
        wrong.select(*cell, why.alias("why")), on=cell, how="inner", nulls_equal=True
    ).select("line_no", pl.format("{}: {}", "source_name", "why").alias("reason"))
    right = by_cell.filter(~(pl.col("is_restless") | pl.col("is_disputed")))
    columns = [*cell, "table", "slot", "value"]
    alone = cells.filter(~is_crowded).select(columns)
    return pl.concat([alone, right.select(columns)]), refused.cast(REFUSED)


def _widen(table: Table, cells: pl.DataFrame) -> pl.DataFrame:
    """One row per key of `table`, one column per metric, sorted by key."""
    key = list(table.key)
    metrics = [m.name for m in METRICS if m.table == table.name]
    wide = cells.pivot(on="metric", index=key, values="value", aggregate_function="first")
    if "slot" in table.dtypes:
        wide = wide.join(cells.group_by(key).agg(pl.col("slot").min()), on=key, how="left")
    absent = [pl.lit(None, pl.Float64).alias(m) for m in metrics if m not in wide.columns]
    return table.conform(wide.with_columns(absent).select(table.dtypes.names()).sort(key))
