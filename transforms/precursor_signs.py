"""What foretells: every record that a catalogue calls a precursor, with a name for its kind.

xid 63: row remap                     by its number, whoever reported it
edac: DIMM                            a kernel record without a number
report: GPU, thermal / power capping  a health agent's word
board: Host, PSU / chassis / fan / BMC  a board controller's
link_down: NIC                        no precursor by itself: one loss of a link may be a flap
samples: thermal_slowdown             an episode that samples show; Xids of samples are left to the logs
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.catalogue import explain, may_foretell
from transforms.fleet import place
from transforms.node_days import combined
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
    parts = (
        (agent_reports(place(cluster_events, fleet)), "report"),
        (board_reports(place(bmc_events, fleet)), "board"),
    )
    rows = [_sampled(place(sample_signals, fleet)), _of_kernel(kernel_events, fleet)]
    for events, speaker in parts:
        plain = pl.format("{}: {}, {}", pl.lit(speaker), "class", "component")
        rows.append(
            events.filter(_is_sign(), pl.col("node") != "").select(
                "cluster", "node", pl.col("observed_at").alias("at"), sign=_sign(events, plain)
            )
        )
    return pl.concat(rows)


def _of_kernel(events: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    """The same of kernel records. What one means hangs on its words, and most say the same."""
    example, number = _wordings(events)
    said = _kernel_signs(example.with_row_index("wording"))
    signs = pl.Series(np.full(example.height + 1, None), dtype=pl.String)
    signs = signs.scatter(said["wording"], said["sign"])
    is_sign = signs.is_not_null().to_numpy()[number]
    mine = events.select("cluster", "node", pl.col("observed_at").alias("at")).with_columns(
        wording=pl.Series(number)
    )
    told = place(mine.filter(pl.Series(is_sign), pl.col("node") != ""), fleet)
    return told.select("cluster", "node", "at", sign=signs.gather(told["wording"]))


def _wordings(events: pl.DataFrame) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """An example of every distinct kind, code and detail, and the number of each record's."""
    own = pl.Categorical(pl.Categories.random())  # forgotten with this question
    number, example = combined([events["kind"], events["code"], events["detail"].cast(own)])
    return events.select("kind", "code", "detail")[example], number


def _kernel_signs(events: pl.DataFrame) -> pl.DataFrame:
    """Those of `events` that are signs, with `sign`."""
    lost = events.filter(_kind().is_in(ALSO))
    rest = may_foretell(events.filter(~_kind().is_in(ALSO)))
    told = explain(pl.concat([rest, lost])).filter(_is_sign())
    return told.with_columns(sign=_sign(told, pl.format("{}: {}", _kind(), "component")))


def _kind() -> pl.Expr:
    return pl.col("kind").cast(pl.String)


def _is_sign() -> pl.Expr:
    return (pl.col("counts") == "precursor") | _kind().is_in(ALSO)


def _sign(events: pl.DataFrame, plain: pl.Expr) -> pl.Expr:
    """By its number where it has one, else `plain`."""
    name = pl.coalesce("name", "component") if "name" in events.columns else pl.col("component")
    numbered = pl.format("{} {}: {}", _kind(), "code", name)
    return pl.when(pl.col("code") > 0).then(numbered).otherwise(plain)


def _sampled(signals: pl.DataFrame) -> pl.DataFrame:
    """The begin of every episode that samples show: a state that goes on is no further sign."""
    kind = pl.col("kind").cast(pl.String)
    return signals.filter(~pl.col("is_continued"), kind != "xid", pl.col("node") != "").select(
        "cluster", "node", pl.col("began").alias("at"), sign=pl.format("samples: {}", kind)
    )


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
