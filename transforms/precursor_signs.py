"""What foretells: every record that a catalogue calls a precursor, with a name for its kind.

xid 63: row remap                     by its number, whoever reported it
edac: DIMM                            a kernel record without a number
report: GPU, thermal / power capping  a health agent's word
board: Host, PSU / chassis / fan / BMC  a board controller's
link_down: NIC                        no precursor by itself: one loss of a link may be a flap
samples: thermal_slowdown             an episode that samples show; Xids of samples are left to the logs
"""

import polars as pl

from transforms.catalogue import explain, may_foretell
from transforms.fleet import place
from transforms.reported import agent_reports, board_reports

ALSO = ("link_down",)


def foretelling(
    kernel_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    sample_signals: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """cluster, node, at, sign of every early sign that names its node; told twice, it is there twice."""
    kind = pl.col("kind").cast(pl.String)
    lost = kernel_events.filter(kind.is_in(ALSO))
    kernel = pl.concat([may_foretell(kernel_events.filter(~kind.is_in(ALSO))), lost])
    parts = (
        (explain(place(kernel, fleet)), ""),
        (agent_reports(place(cluster_events, fleet)), "report"),
        (board_reports(place(bmc_events, fleet)), "board"),
    )
    rows = [_sampled(place(sample_signals, fleet))]
    for events, speaker in parts:
        if "name" not in events.columns:
            events = events.with_columns(name=pl.lit(None, pl.String))
        plain = (
            pl.format("{}: {}", kind, "component")
            if not speaker
            else pl.format("{}: {}, {}", pl.lit(speaker), "class", "component")
        )
        sign = pl.when(pl.col("code") > 0).then(pl.format("{} {}: {}", kind, "code", _name()))
        rows.append(
            events.filter(
                (pl.col("counts") == "precursor") | kind.is_in(ALSO), pl.col("node") != ""
            ).select(
                "cluster", "node", pl.col("observed_at").alias("at"), sign=sign.otherwise(plain)
            )
        )
    return pl.concat(rows)


def _sampled(signals: pl.DataFrame) -> pl.DataFrame:
    """The begin of every episode that samples show: a state that goes on is no further sign."""
    kind = pl.col("kind").cast(pl.String)
    return signals.filter(~pl.col("is_continued"), kind != "xid", pl.col("node") != "").select(
        "cluster", "node", pl.col("began").alias("at"), sign=pl.format("samples: {}", kind)
    )


def _name() -> pl.Expr:
    return pl.coalesce("name", "component")


def outside(signs: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Signs that are no part of a failure: between its instant and its end all belongs to it.

    Both have the `number` of their node and `at`; failures have `ended` too.
    """
    spells = failures.select("number", "ended", failed="at").sort("failed")
    spells = spells.with_columns(ended=pl.col("ended").cum_max().over("number"))
    return (
        signs.sort("at")
        .join_asof(spells, left_on="at", right_on="failed", by="number", check_sortedness=False)
        .filter((pl.col("at") > pl.col("ended")).fill_null(True))
        .drop("failed", "ended")
    )
