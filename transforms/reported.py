"""What boards' controllers and health agents report, read as signs of trouble (methods 2.5, 2.6).

Boards speak in words that `transforms.boards` knows. An agent's report that names an Xid is what
that Xid is: another witness of the kernel's own line. A machine word that
`transforms.cluster_reasons` knows is what that catalogue says. All other words are free text, and
the class comes from the table that reads drain reasons (`transforms.reasons`): then a critical
report counts when a run was interrupted by it, a warning only foretells, and an end, a recovery or
mere information is no sign. One that says only that a node was lost says less than the
scheduler's own reason for the node's state.
"""

from datetime import timedelta

import polars as pl

from transforms.boards import explain_boards
from transforms.catalogue import explain
from transforms.cluster_reasons import read_reasons
from transforms.codes import ENGINE, NOISE, PRECURSOR, SECONDARY, USER
from transforms.reasons import classify_reasons
from transforms.tables.observed import KERNEL_KINDS

REPORT_RANK = ENGINE + 1
"""A report says less of the cause than the hardware's own sign."""

LOSS_RANK = ENGINE + 3
"""Behind node states, whose reason may name what broke."""

REPEATS_REACH = timedelta(days=3)
"""How far the last sight of a report may lie from its first to be a sign: what is read around a
day is bounded, and its incidents must not hang on what lies beyond."""


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
    """Records of `cluster_events` with kind, code, repeat and the columns of `meaning()`.

    What says nothing of trouble is left out: everyday events would tie one trouble to the next.
    A report that was counted up is a sign when seen first and, within REPEATS_REACH, when seen
    last: the server keeps no other instant.
    """
    judged = read_reasons(events)
    is_quiet = (pl.col("counts") == "no").fill_null(False)
    is_named, is_known = pl.col("code") > 0, pl.col("counts").is_not_null()
    bare = judged.filter(~is_quiet)
    xids = explain(
        bare.filter(is_named)
        .drop("class", "component", "counts")
        .with_columns(kind=pl.lit("xid").cast(pl.Enum(KERNEL_KINDS)), repeat=pl.lit(0, pl.UInt32))
    ).cast({"kind": pl.String})
    rest = bare.filter(~is_named).with_columns(
        kind=pl.lit("report"),
        words=pl.concat_str("reason", "detail", separator=" "),
        detail=pl.concat_str("reporter", "object", "reason", "detail", separator=" "),
    )
    known = _ranked(rest.filter(is_known).drop("words"))
    free = rest.filter(~is_known).drop("class", "component", "counts")
    parts = [xids, known, _read(free, pl.lit(False))]
    same = [name for name in known.columns if all(name in part.columns for part in parts)]
    once = pl.concat([part.select(same) for part in parts]).filter(pl.col("counts") != "no")
    again = once.filter(
        pl.col("last_at") > pl.col("observed_at"),
        pl.col("last_at") - pl.col("observed_at") <= REPEATS_REACH,
    ).with_columns(observed_at="last_at", repeat=pl.lit(1, pl.UInt32))
    return pl.concat([once, again])


def _ranked(judged: pl.DataFrame) -> pl.DataFrame:
    """Add what the catalogue of machine words leaves open: rank, prior, cause_code, repeat."""
    counts, names_nothing = pl.col("counts"), pl.col("class") == "Unknown"
    rank = (
        pl.when(counts == "corroborate")
        .then(pl.when(names_nothing).then(LOSS_RANK).otherwise(REPORT_RANK))
        .otherwise(
            counts.replace_strict(
                {"precursor": PRECURSOR, "no_user": USER, "no_secondary": SECONDARY},
                default=NOISE,
                return_dtype=pl.Int32,
            )
        )
    )
    return judged.with_columns(
        repeat=pl.lit(0, pl.UInt32),
        cause_code=pl.lit(0, pl.Int32),
        rank=rank.cast(pl.Int32),
        prior=pl.lit("ambiguous"),
    )


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
