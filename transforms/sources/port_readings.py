"""Readings of fabric ports, one named number each, to rows of link_samples.

Shared by the sources that read ports at one moment: the names resolve through the one table of
metrics, the numbers are checked and widened by `cells`, and every reading is accounted for.
"""

import polars as pl

from transforms import cells
from transforms.contract import UTC
from transforms.metrics import CLAIMS, exact_factor
from transforms.sources.base import Origin, Parsed, rejects

READINGS = pl.Schema(
    {
        "line_no": pl.UInt32,
        "line": pl.String,
        "link": pl.String,
        "name": pl.String,  # as the source spells it; null where the record is none of ours
        "raw": pl.Float64,  # in the source's unit; null where it says that it has no value
        "fault": pl.String,  # why it cannot be read, else null
    }
)

_NAMES = pl.DataFrame(
    [
        (name, claim.metric.name, *exact_factor(factor))
        for name, (claim, *_) in CLAIMS.items()
        if claim.metric.table == "link_samples"
        for said, factor in claim.metric.names
        if said == name
    ],
    schema={"name": pl.String, "metric": pl.String, "times": pl.Float64, "over": pl.Float64},
    orient="row",
)


def sampled(readings: pl.DataFrame, origin: Origin) -> Parsed:
    """Every reading (`READINGS`) as a cell at the file's own time, a refusal, or set aside.

    A name that the table of metrics has not is counted as unknown, and set aside.
    """
    named = readings.join(_NAMES, on="name", how="left", maintain_order="left")
    is_faulty = pl.col("fault").is_not_null()
    is_known = pl.col("metric").is_not_null() & ~is_faulty
    strange = named.filter(pl.col("name").is_not_null() & pl.col("metric").is_null() & ~is_faulty)
    settled = cells.settle(
        named.filter(is_known)
        .select(
            "line_no",
            pl.col("name").alias("source_name"),
            "metric",
            (pl.col("raw") * pl.col("times") / pl.col("over")).alias("value"),
            pl.lit(0, pl.UInt32).alias("series"),
            pl.lit(origin.cluster).alias("cluster"),
            pl.lit(origin.node).alias("node"),
            pl.lit("").alias("gpu"),
            pl.lit("").alias("gpu_instance"),
            pl.lit(None, pl.UInt16).alias("slot"),
            "link",
            pl.lit(origin.modified).cast(UTC).alias("observed_at"),
        )
        .cast(cells.CELLS)
    )
    faulty = named.filter(is_faulty).select("line_no", pl.col("fault").alias("reason"))
    bad = pl.concat([faulty.cast(cells.REFUSED), settled.refused]).sort("line_no", "reason")
    texts = bad.join(
        readings.select("line_no", "line").unique("line_no"),
        on="line_no",
        how="left",
        maintain_order="left",
    )
    known = named.filter(is_known).height
    return Parsed(
        frames=settled.frames,
        rejects=rejects(texts.select("line_no", "reason", "line").rows()),
        unknown=strange.group_by(pl.col("name").alias("metric"))
        .agg(pl.len().cast(pl.Int64).alias("samples"))
        .sort("metric"),
        records=readings.height,
        accepted=known - settled.refused.height,
        rejected=bad.height,
        ignored=readings.height - known - faulty.height,
    )
