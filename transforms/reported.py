"""What boards' controllers and health agents report, read as signs of trouble (methods 2.5, 2.6).

Boards speak in words that `transforms.boards` knows. Other words are free text, so the class
comes from the table that reads drain reasons (`transforms.reasons`), unless the event names an
Xid: then it is what that Xid is, another witness of the kernel's own line. A critical report counts when a run was interrupted by it; a
warning only foretells; an end, a recovery or mere information is no sign. A scheduler that takes
a node from a job says only that it lost it: less than its own reason for the node's state says.
"""

import polars as pl

from transforms.boards import explain_boards
from transforms.catalogue import explain
from transforms.codes import ENGINE, NOISE, PRECURSOR
from transforms.reasons import classify_reasons
from transforms.tables.observed import KERNEL_KINDS

REPORT_RANK = ENGINE + 1
"""A report says less of the cause than the hardware's own sign."""

LOSS_RANK = ENGINE + 3
"""Behind node states, whose reason may name what broke."""
LOSSES = ("RequeuedForNodeFailure", "KilledForNodeFailure", "RemovedFromJob", "MissingFromNode")
"""What `slurm_ctld` reports of a job whose node was lost."""

_LOST = {
    "class": pl.lit("Unknown"),
    "component": pl.lit("host unreachable"),
    "reason_kind": pl.lit("fault"),
    "counts": pl.lit("corroborate"),
    "rank": pl.lit(LOSS_RANK, pl.Int32),
}


def board_reports(events: pl.DataFrame) -> pl.DataFrame:
    """Records of `bmc_events` with kind, code, device, repeat and the columns of `meaning()`."""
    is_over = pl.col("direction") == "deasserted"
    worded = events.with_columns(
        kind=pl.lit("bmc"),
        code=pl.lit(0, pl.Int32),
        device=pl.col("sensor"),
        words=pl.concat_str("sensor", "event", pl.col("detail").fill_null(""), separator=" "),
        detail=pl.concat_str("sensor", "event", "direction", "record", separator=" "),
    )
    return _by_the_table(_read(worded, is_over), explain_boards(events))


def agent_reports(events: pl.DataFrame) -> pl.DataFrame:
    """Records of `cluster_events` with kind, code, repeat and the columns of `meaning()`."""
    named = pl.col("code") > 0
    xids = explain(
        events.filter(named).with_columns(
            kind=pl.lit("xid").cast(pl.Enum(KERNEL_KINDS)), repeat=pl.lit(0, pl.UInt32)
        )
    ).cast({"kind": pl.String})
    worded = events.filter(~named).with_columns(
        kind=pl.lit("report"),
        words=pl.concat_str("reason", "detail", separator=" "),
        detail=pl.concat_str("reporter", "object", "reason", "detail", separator=" "),
    )
    is_loss = (pl.col("reporter") == "slurmctld") & pl.col("reason").is_in(LOSSES)
    rest = _read(worded, pl.lit(False)).with_columns(
        pl.when(is_loss).then(value).otherwise(name).alias(name) for name, value in _LOST.items()
    )
    same = [name for name in rest.columns if name in xids.columns]
    return pl.concat([xids.select(same), rest.select(same)])


def _by_the_table(read: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Let the table of what boards say (`transforms.boards`) overrule words read freely.

    What the reporter calls information is none, and its warning only foretells, unless the event
    counts by itself.
    """
    known, level = explained["counts"], explained["level"].cast(pl.String)
    table = pl.DataFrame(
        {
            "known": known,
            "known_class": explained["class"],
            "known_component": explained["component"],
            "known_rank": explained["rank"],
            "said": level,
        }
    )
    counts = (
        pl.when(pl.col("said") == "info")
        .then(pl.lit("no"))
        .when((pl.col("said") == "warning") & (pl.col("known") == "corroborate"))
        .then(pl.lit("precursor"))
        .otherwise("known")
    )
    both = pl.concat([read, table.with_columns(counts.alias("known"))], how="horizontal")
    rank = (
        pl.when(pl.col("known") == "precursor")
        .then(PRECURSOR)
        .when(pl.col("known") == "no")
        .then(NOISE)
        .otherwise("known_rank")
        .cast(pl.Int32)
    )
    is_known = pl.col("known_class").is_not_null()
    overruled = {
        "class": pl.col("known_class"),
        "component": pl.col("known_component"),
        "counts": pl.col("known"),
        "rank": rank,
    }
    return both.with_columns(
        pl.when(is_known).then(value).otherwise(name).alias(name)
        for name, value in overruled.items()
    ).drop(table.columns)


def _read(worded: pl.DataFrame, is_over: pl.Expr) -> pl.DataFrame:
    verdicts = classify_reasons(worded.select("words").unique(), "words")
    is_fault = (pl.col("reason_kind") != "planned") & (pl.col("class") != "Unknown") & ~is_over
    level = pl.col("level").cast(pl.String)
    counts = (
        pl.when(is_fault & (level == "critical"))
        .then(pl.lit("corroborate"))
        .when(is_fault & (level == "warning"))
        .then(pl.lit("precursor"))
        .otherwise(pl.lit("no"))
    )
    rank = counts.replace_strict(
        {"corroborate": REPORT_RANK, "precursor": PRECURSOR}, default=NOISE, return_dtype=pl.Int32
    )
    joined = worded.join(verdicts, on="words", how="left", maintain_order="left").drop("words")
    return joined.with_columns(
        repeat=pl.lit(0, pl.UInt32),
        cause_code=pl.lit(0, pl.Int32),
        counts=counts,
        rank=rank,
        prior=pl.lit("ambiguous"),
    )
