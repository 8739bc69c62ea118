"""Failures day by day beside the exposure of the same day, for every series worth watching."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from transforms.node_days import day_sums
from transforms.operating import stood


@dataclass(frozen=True)
class Daily:
    """One series: failures and node-days of each day with exposure.

    sort is cluster, class, component or hall; klass and hall say what it is confined to.
    """

    cluster: str
    sort: str
    name: str
    klass: str | None
    hall: str | None
    days: list[date]
    failures: np.ndarray
    node_days: np.ndarray


def daily(failures: pl.DataFrame, risk: pl.DataFrame) -> list[Daily]:
    """The series of each cluster, and of each class, component and hall in it.

    `failures` are those to count, `risk` is exposure with node_days. A failure on a day without
    any exposure of its series is left out: it cannot be divided by anything.
    """
    hits = stood(failures, risk, ("hall",)).with_columns(
        pl.col("class").cast(pl.String), pl.col("failures").cast(pl.Int64).alias("n")
    )
    hits = hits.with_columns(part=pl.format("{}: {}", "class", "component"))
    whole, halls = (
        day_sums(risk, places, "node_days").filter(pl.col("node_days") > 0)
        for places in (["cluster"], ["cluster", "hall"])
    )
    return [
        *_of(hits, whole, "cluster", []),
        *_of(hits, whole, "class", ["class"]),
        *_of(hits, whole, "component", ["class", "part"]),
        *_of(hits, halls.drop_nulls("hall"), "hall", ["hall"]),
    ]


def _of(hits: pl.DataFrame, exposed: pl.DataFrame, sort: str, by: list[str]) -> Iterator[Daily]:
    where = [name for name in exposed.columns if name not in ("day", "node_days")]
    seen = hits.group_by("cluster", *by, "day").agg(pl.col("n").sum())
    names = (exposed if sort in ("cluster", "hall") else seen).select("cluster", *by).unique()
    for name in names.sort("cluster", *by).iter_rows(named=True):
        mine = exposed.filter(*(pl.col(n) == name[n] for n in where))
        counts = seen.filter(*(pl.col(n) == v for n, v in name.items())).select("day", "n")
        cells = mine.join(counts, on="day", how="left", maintain_order="left")
        if cells.height:
            yield Daily(
                cluster=name["cluster"],
                sort=sort,
                name=name[by[-1]] if by else name["cluster"],
                klass=name.get("class"),
                hall=name.get("hall"),
                days=cells["day"].to_list(),
                failures=cells["n"].fill_null(0).to_numpy().astype(float),
                node_days=cells["node_days"].to_numpy(),
            )
