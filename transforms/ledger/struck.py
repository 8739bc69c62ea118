"""Which incident struck the nodes of an attempt: what took GPUs out of it (G-8), or slowed it (G-4)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.emptiness import empty_from
from transforms.fleet import place
from transforms.ledger.logs import holding
from transforms.ledger.owners import NOBODY
from transforms.ledger.timeline import DAY_MS, disjoint, instant_ms, latest_before, pack

MINUTE_MS = 60_000
EARLY_MS = 10 * MINUTE_MS
"""A fault shows so long before the last progress that it ends."""
SILENCE_MS = 3 * MINUTE_MS
"""An incident's signs join unless so much silence divides them: so long it lasts behind its last."""
SLOW_FROM = 1.1
"""Steps that take so many times the ideal are fail-slow, as studies of it say."""
BLOCK, FEWEST = 20, 5
"""Steps are judged by the median of so many of one day, so that a stray one is no spell; of fewer at
a day's or an attempt's ends, but not below the second number."""
NO_HARDWARE = ["Software (user)", "Human", "Planned", "Unknown"]


@dataclass(frozen=True)
class Strikes:
    """Incidents on the nodes of attempts, while these held them.

    rows: line, incident, began, ended (ms), klass, struck (nodes), owner and eviction
    """

    rows: pl.DataFrame

    @classmethod
    def of(
        cls, incidents: pl.DataFrame, owned: pl.DataFrame, lines: pl.DataFrame, fleet: pl.DataFrame
    ) -> "Strikes":
        """`owned` has the owners of incidents; an outage as recorded is not counted beside the folded."""
        return cls(
            _strikes(incidents, lines, fleet).join(owned, on="incident", maintain_order="left")
        )

    def latest(self, asked: pl.DataFrame) -> pl.DataFrame:
        """The incident that began last in (since, until] on each asked line, at most a day before `until`.

        `asked` has line, since and until (ms) and keeps its rows. Gains owner, eviction and struck,
        null where there was none.
        """
        if self.rows.is_empty():
            nothing = {n: self.rows.schema[n] for n in ("owner", "eviction", "struck")}
            return asked.with_columns(pl.lit(None, kind).alias(n) for n, kind in nothing.items())
        told = self.rows.select("line", "owner", "eviction", "struck", struck_at="began")
        numbered = asked.with_row_index("asked")
        found = (
            numbered.join(told, on="line")
            .filter(
                pl.col("struck_at") > pl.max_horizontal("since", pl.col("until") - DAY_MS),
                pl.col("struck_at") <= pl.col("until"),
            )
            .sort("asked", "struck_at", "owner")
            .unique("asked", keep="last")
            .select("asked", "owner", "eviction", "struck")
        )
        return numbered.join(found, on="asked", how="left", maintain_order="left").drop("asked")


@empty_from("incidents")
def _strikes(incidents: pl.DataFrame, lines: pl.DataFrame, fleet: pl.DataFrame) -> pl.DataFrame:
    folded = incidents.filter(pl.col("definition") == "coalesced-180s").select(
        "cluster", "incident", pl.col("nodes").alias("node"), pl.col("class").cast(pl.String).alias("klass"),
        began=instant_ms("began"), ended=instant_ms("ended"),
    )  # fmt: skip
    seen = folded.explode("node").drop_nulls("node").unique()
    near = holding(lines).select("line", "cluster", "started", stopped="ended", node="nodes")
    if seen.is_empty() or near.is_empty():
        return _no_strikes()
    near = near.explode("node").filter(pl.col("node").is_in(seen["node"].unique().implode()))
    return (
        place(near, fleet)
        .join(seen, on=["cluster", "node"])
        .filter(
            pl.col("began") < pl.col("stopped"), pl.col("ended") >= pl.col("started") - EARLY_MS
        )
        .group_by("line", "incident", "began", "ended", "klass")
        .agg(pl.col("node").n_unique().cast(pl.Int64).alias("struck"))
        .sort("line", "began", "incident")
    )


def _no_strikes() -> pl.DataFrame:
    whole = dict.fromkeys(("began", "ended"), pl.Int64)
    return pl.DataFrame(
        schema={"line": pl.Int64, "incident": pl.String, **whole, "klass": pl.String, "struck": pl.Int64}
    )  # fmt: skip


def slowed_by(
    steps: pl.DataFrame,
    rows: np.ndarray | slice,
    pace_ms: np.ndarray,
    strikes: Strikes,
) -> np.ndarray:
    """Who answers for what each wanted step (of `rows`) took beyond its pace: an incident, or nobody.

    A step is an incident's if it ran while that lasted on one of the attempt's nodes, in a block of
    slow steps. No log that is read tells ranks apart, so that evidence of the nodes must name them.
    """
    line, step, began, ended = (steps[n].to_numpy() for n in ("line", "step", "began", "ended"))
    nobody = np.full(len(line[rows]), NOBODY)
    spans = disjoint(
        strikes.rows.filter(~pl.col("klass").is_in(NO_HARDWARE)).select(
            "line", "began", pl.col("ended") + SILENCE_MS, "owner"
        )
    )
    if spans.is_empty() or steps.is_empty():
        return nobody
    # The last that began before the step's end.
    during = latest_before(spans, steps["line"], steps["ended"] - 1)
    is_during = during >= 0
    is_during[is_during] = spans["ended"].to_numpy()[during[is_during]] > began[is_during]
    if not is_during.any():
        return nobody
    blocks = pl.DataFrame(
        {
            "line": line,
            "block": pack(began // DAY_MS, step // BLOCK),
            "row": np.arange(len(line)),
            "share": (ended - began) / np.maximum(pace_ms, 1),
            "is_during": is_during,
        }
    ).filter(pl.col("is_during").any().over("line", "block"))
    slow = pl.col("share").median().over("line", "block") >= SLOW_FROM
    many = pl.len().over("line", "block") >= FEWEST
    found = blocks.filter(slow & many & pl.col("is_during"))["row"].to_numpy()
    owner = np.full(len(line), NOBODY)
    owner[found] = spans["owner"].to_numpy()[during[found]]
    return owner[rows]


@empty_from("used")
def missing(
    used: pl.DataFrame, lines: pl.DataFrame, strikes: Strikes, within_ms: int = DAY_MS
) -> pl.DataFrame:
    """Who took the GPUs that each row of `used` is short of: row, low, high (of GPUs), owner.

    `used` has line, began (ms), use and most, sorted. A row with fewer GPUs than the one before it
    lost those between to the incident that struck the attempt's nodes in the meantime, and no longer
    than `within_ms` ago; more of them than its nodes hold were evicted with them. A row
    with more gives back the last that were lost. The parts fill all of (use, most] of their row.
    """
    starts = used.with_row_index("row").join(
        lines.select("line", "started", per_node=pl.col("gpus") // pl.col("node_count").clip(1)),
        on="line", how="left", maintain_order="left",
    ).with_columns(
        before=pl.col("use").shift(1).over("line").fill_null(pl.col("most")),
        since=pl.max_horizontal(
            pl.col("began").shift(1).over("line").fill_null(pl.col("started") - EARLY_MS),
            pl.col("began") - within_ms,
        ),
        until="began",
    )  # fmt: skip
    falls = strikes.latest(starts.filter(pl.col("use") < pl.col("before")))
    later = starts.select("line", now="row", now_use="use", now_most="most")
    lost = (
        falls.join(later, on="line")
        .filter(pl.col("now") >= pl.col("row"))
        .sort("row", "now")
        .with_columns(low=pl.col("now_use").cum_max().over("row"))
        .with_columns(high=pl.min_horizontal("before", "now_most"))
        .filter(pl.col("low") < pl.col("high"))
    )
    # What was evicted with the struck nodes comes back before they do, and so stands below them.
    lowest_struck = pl.col("before") - pl.col("struck") * pl.col("per_node")
    turn = (
        pl.when(pl.col("owner").is_null()).then("low").otherwise(lowest_struck.clip("low", "high"))
    )
    parts = [
        lost.select("now", "low", turn.alias("high"), owner="eviction"),
        lost.select("now", turn.alias("low"), "high", pl.col("owner").fill_null(NOBODY)),
    ]
    known = pl.concat(parts).rename({"now": "row"}).cast({"owner": pl.Int64})
    return (
        pl.concat([known, _untaken(known, starts)])
        .filter(pl.col("low") < pl.col("high"))
        .cast({"row": pl.Int64})
        .sort("row", "low")
    )


def _untaken(known: pl.DataFrame, starts: pl.DataFrame) -> pl.DataFrame:
    """The parts of (use, most] of each start that no fall tells of: nobody's."""
    nobody = pl.lit(NOBODY, pl.Int64).alias("owner")
    tops = starts.select("row", low="most", high="most").with_columns(nobody)
    taken = pl.concat([known, tops]).join(starts.select("row", "use"), on="row")
    below = pl.col("high").cum_max().shift(1).over("row")
    return taken.sort("row", "low", "high").select(
        "row", pl.coalesce(below, "use").alias("low"), pl.col("low").alias("high"), nobody
    )
