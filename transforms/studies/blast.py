"""How far does a failure reach (D-3)? What broke, what was drained for it, what stood still, what
it cost.

    failed    the GPUs that an incident names, or all GPUs of the nodes it touched where it names none
    drained   GPUs of the nodes that went out of service with it
    stopped   GPUs of the runs that it interrupted; a synchronous run of N GPUs stops whole
    lost      GPU-hours that the ledger charges to it: every GPU-hour has one owner

Costs have a long tail: the mean is dear to the few, so the 95th percentile stands beside it. The
rows of one class by width (one GPU, one node, several nodes) add up to its row `any`; share times
mean over the widths is what a failure of that class is to be expected to cost.
"""

import polars as pl

from transforms.mtbf import ALL
from transforms.studies.base import Asked, RefusalError, Study, last_known
from transforms.tables import derived as d

WIDTHS = ("one GPU", "one node", "several nodes")
ANY = "any"
MEASURES = ("gpus_failed", "gpus_drained", "gpus_stopped", "gpu_hours_lost")
BY = ("class", "component")


def blast(
    asked: Asked,
    *,
    incidents: pl.DataFrame,
    interruptions: pl.DataFrame,
    repairs: pl.DataFrame,
    gpu_time: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """One row per class (or `by` = component) and width, and one per class for any width.

    Of each measure the mean and the 95th percentile over incidents that counted; amplification
    is GPUs stopped over GPUs failed, of sums. Incidents of the last days may still cost more.
    """
    by = asked.options.get("by", "class")
    if by not in BY:
        raise RefusalError(f"cannot group by {by}: there are {', '.join(BY)}")
    kept = incidents.filter("counts", pl.col("definition").cast(pl.String) == asked.definition)
    kept = kept.with_columns(pl.col("class").cast(pl.String))
    if asked.klass != ALL:
        kept = kept.filter(pl.col("class") == asked.klass)
    if kept.is_empty():
        raise RefusalError("no incident counted on the days asked")
    keys = ["class"] if by == "class" else ["class", "component"]
    each = _measured(kept, interruptions, repairs, gpu_time, fleet)
    whole = _told(each.with_columns(width=pl.lit(ANY)), keys)
    parts = _told(each, keys)
    answer = pl.concat([whole, parts]).with_columns(
        share=pl.col("incidents")
        / pl.col("incidents").filter(pl.col("width") == ANY).first().over(keys)
    )
    order = pl.col("width").replace_strict({w: n for n, w in enumerate((ANY, *WIDTHS))})
    return answer.sort(*keys, order).with_columns(
        definition=pl.lit(asked.definition), counted=pl.lit(asked.klass)
    )


def _measured(
    kept: pl.DataFrame,
    interruptions: pl.DataFrame,
    repairs: pl.DataFrame,
    gpu_time: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """Each incident with its width and the four measures."""
    sizes = last_known(fleet, "gpus").select(
        "cluster", "node", pl.col("gpus").cast(pl.Int64).alias("installed")
    )
    touched = (
        kept.select("incident", "cluster", pl.col("nodes").alias("node"))
        .explode("node")
        .join(sizes, on=["cluster", "node"], how="left")
        .group_by("incident")
        .agg(pl.col("installed").sum())
    )
    drained = (
        repairs.filter(pl.col("incident").is_not_null())
        .unique(["incident", "cluster", "node"])
        .join(sizes, on=["cluster", "node"], how="left")
        .group_by("incident")
        .agg(pl.col("installed").sum().alias("gpus_drained"))
    )
    stopped = (
        interruptions.filter(pl.col("incident").is_not_null())
        .group_by("incident")
        .agg(pl.col("gpus").cast(pl.Int64).sum().alias("gpus_stopped"))
    )
    lost = (
        gpu_time.filter(pl.col("incident") != "")
        .group_by("incident")
        .agg((pl.col("gpu_ms").sum() / 3_600_000).alias("gpu_hours_lost"))
    )
    named = pl.col("gpus").list.len().cast(pl.Int64)
    rows = kept.select("incident", "class", "component", "nodes", named.alias("named"))
    for part in (touched, drained, stopped, lost):
        rows = rows.join(part, on="incident", how="left")
    rows = rows.with_columns(pl.col("installed", *MEASURES[1:]).fill_null(0))
    return rows.with_columns(
        gpus_failed=pl.when(pl.col("named") > 0).then("named").otherwise("installed"),
        width=pl.when(pl.col("nodes").list.len() > 1)
        .then(pl.lit(WIDTHS[2]))
        .when(pl.col("named") == 1)
        .then(pl.lit(WIDTHS[0]))
        .otherwise(pl.lit(WIDTHS[1])),
    )


def _told(each: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    means = [pl.col(m).mean().alias(f"{m}_mean") for m in MEASURES]
    tails = [pl.col(m).quantile(0.95, "linear").alias(f"{m}_p95") for m in MEASURES]
    failed = pl.col("gpus_failed").sum()
    return each.group_by(*keys, "width").agg(
        pl.len().cast(pl.Int64).alias("incidents"),
        *(expression for pair in zip(means, tails, strict=True) for expression in pair),
        pl.when(failed > 0).then(pl.col("gpus_stopped").sum() / failed).alias("amplification"),
        pl.col("gpu_hours_lost").sum().alias("gpu_hours_lost"),
    )


STUDY = Study(
    name="blast",
    title="How far failures reach: GPUs failed, drained and stopped, GPU-hours lost, by class",
    reads=(d.INCIDENTS, d.INTERRUPTIONS, d.REPAIRS, d.GPU_TIME, d.FLEET),
    by=blast,
)
