"""Signs of trouble out of samples, beside what logs say of the same fault (methods 2.5, 2.9, Q-4).

Uncorrected ECC errors, a row that could not be remapped and another last Xid are told by counters
and gauges at the next poll, seconds or minutes after the kernel log told them. Where a log of the
node says something in that time, the sample is a further witness of it and takes its instant: one
fault stays one incident however slow the polling. What no log says stands by itself.

A GPU that falls silent while its node goes on is missing: it counts if a run was interrupted.
"""

from datetime import timedelta

import polars as pl

from transforms.catalogue import explain
from transforms.codes import LOSS, MEMORY
from transforms.fleet import place
from transforms.heard import CARRIED_INTERVALS
from transforms.tables.observed import KERNEL_KINDS

_KINDS = pl.Enum(KERNEL_KINDS)
SAMPLED = ("sample_signals", "silences")
"""The tables that such signs come from."""
_SAME_EVENT = timedelta(seconds=5)
_LONGEST_POLL = timedelta(minutes=30)

# A notch below what a log says of the same: samples come after the fact.
_COUNTING: dict[str, tuple[str, str, str, int]] = {
    "ecc_uncorrected": ("GPU", "HBM uncorrectable", "yes", MEMORY + 1),
    "row_remap_failed": ("GPU", "HBM uncorrectable", "yes", MEMORY + 2),
    "dimm_uncorrected": ("Host", "DIMM", "yes", MEMORY + 3),
    "missing": ("GPU", "GPU lost", "corroborate", LOSS + 1),
}


def sampled(
    sample_signals: pl.DataFrame, silences: pl.DataFrame, fleet: pl.DataFrame, told: pl.DataFrame
) -> pl.DataFrame:
    """Signs of samples; `told` are those of logs, reports and states (cluster, node, at, counts).

    Columns: those of signs but for `until` and `evidence`, with `observed_at`.
    """
    shown = place(sample_signals, fleet).filter(
        ~pl.col("is_continued"), pl.col("node") != "", pl.col("kind").cast(pl.String).is_in([*_COUNTING, "xid"])
    )  # fmt: skip
    shown = shown.select(
        *("cluster", "node", "device", "since"),
        what=pl.col("kind").cast(pl.String),
        observed_at="began",
        code=pl.when(pl.col("kind") == "xid").then(pl.col("to_value")).otherwise(0).cast(pl.Int32),
        detail=pl.format("{} in samples: {}", "metric", "to_value"),
        source_table=pl.lit("sample_signals"),
    )
    gone = place(silences, fleet).filter(
        pl.col("device_kind").cast(pl.String) == "gpu", pl.col("sort").cast(pl.String) == "alone"
    )
    gone = gone.select(
        *("cluster", "node", "device"),
        since="last_ok",
        what=pl.lit("missing"),
        # Known missing once it could have been carried no further (methods Q-2).
        observed_at=pl.col("last_ok")
        + pl.duration(milliseconds=pl.col("interval_ms") * CARRIED_INTERVALS),
        code=pl.lit(0, pl.Int32),
        detail=pl.lit("silent while its node reports"),
        source_table=pl.lit("silences"),
    ).select(shown.columns)
    rows = pl.concat([shown, gone]).sort(
        "observed_at", "cluster", "node", "device", "what", "detail"
    )
    # Volatile, aggregate and part counters tell one error several times over.
    rows = rows.unique(
        ["cluster", "node", "device", "what", "code", "observed_at"], keep="first", maintain_order=True
    )  # fmt: skip
    return _explained(_at_its_log(rows, told))


def _at_its_log(rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Move each sign to the latest counting one that the node's logs told since the sample before."""
    logs = (
        told.filter(pl.col("counts").is_in(["yes", "corroborate"]), pl.col("node") != "")
        .select("cluster", "node", pl.col("at").alias("told_at"))
        .unique()
        .sort("told_at")
    )
    near = rows.with_columns(by=pl.col("observed_at") + _SAME_EVENT).sort("by", maintain_order=True)
    near = near.join_asof(
        logs,
        left_on="by",
        right_on="told_at",
        by=["cluster", "node"],
        check_sortedness=False,
        coalesce=False,
    )
    earliest = pl.max_horizontal(
        pl.col("since").fill_null(pl.col("observed_at") - _LONGEST_POLL),
        pl.col("observed_at") - _LONGEST_POLL,
    )
    is_told = (pl.col("told_at") >= earliest - _SAME_EVENT).fill_null(False)
    return near.with_columns(
        observed_at=pl.when(is_told).then("told_at").otherwise("observed_at")
    ).drop("by", "told_at", "since")


def _explained(rows: pl.DataFrame) -> pl.DataFrame:
    kind = pl.when(pl.col("what") == "xid").then(pl.lit("xid")).otherwise(pl.lit("signal"))
    named = explain(
        rows.with_columns(
            kind=kind,
            repeat=pl.lit(0, pl.UInt32),
            file=pl.lit(""),
            line_no=pl.lit(0, pl.UInt32),
        ).cast({"kind": _KINDS})
    )
    is_known = pl.col("what").is_in(list(_COUNTING))
    fields = ("class", "component", "counts", "rank")
    known = {
        name: pl.col("what").replace_strict(
            {what: about[k] for what, about in _COUNTING.items()}, default=None
        )
        for k, name in enumerate(fields)
    }
    return (
        named.with_columns(
            **{
                name: pl.when(is_known).then(known[name]).otherwise(pl.col(name)) for name in fields
            },
        )
        .with_columns(
            rank=pl.when(is_known).then("rank").otherwise(pl.col("rank") + 1).cast(pl.Int32),
            prior=pl.when(is_known).then(pl.lit("hardware")).otherwise(pl.col("prior")),
        )
        .drop("what")
    )
