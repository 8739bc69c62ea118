"""Nodes as a clinical trial sees its patients: who was watched from when to when, and who failed.

Times are days since 1970, exact to the microsecond; nodes are numbered from 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.fleet import ID
from transforms.node_days import NodeDays
from transforms.node_failures import node_failures
from transforms.studies.base import Asked, last_known
from transforms.studies.rates import FEWEST_FOR_PHI, scatter_of

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Watch:
    """entry, leave and stratum (cluster, hall, model) by node number; `nodes` names them."""

    nodes: pl.DataFrame
    entry: np.ndarray
    leave: np.ndarray
    stratum: np.ndarray

    @property
    def node_months(self) -> float:
        return float((self.leave - self.entry).sum()) / 30.4375

    def numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with `number` and `day` (of their `at`), of watched nodes while they were watched."""
        return self.placed(rows).filter(
            (pl.col("day") >= pl.col("entry")) & (pl.col("day") < pl.col("leave"))
        )

    def placed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The same, while they were watched or not."""
        return rows.join(self.nodes, on=["cluster", "node"]).with_columns(
            day=pl.col("at").dt.epoch("us") / DAY_US
        )


def watched(exposure: pl.DataFrame, fleet: pl.DataFrame) -> Watch:
    """Every node from its first day of exposure to the end of its last."""
    grid = NodeDays.of(exposure.select("day", *ID))
    first, last = grid.span()
    nodes = (
        grid.nodes.with_columns(
            entry=pl.Series(first, dtype=pl.Float64), leave=pl.Series(last + 1, dtype=pl.Float64)
        )
        .join(last_known(fleet, "hall", "gpu_model"), on=ID, how="left", maintain_order="left")
        .with_row_index("number")
        .with_columns(stratum=pl.struct("cluster", "hall", "gpu_model").rank("dense"))
    )
    return Watch(
        nodes=nodes.select("cluster", "node", "number", "entry", "leave"),
        entry=nodes["entry"].to_numpy(),
        leave=nodes["leave"].to_numpy(),
        stratum=nodes["stratum"].to_numpy(),
    )


def failures_of(incidents: pl.DataFrame, members: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Nodes' failures that `asked` counts: incident, cluster, node, at, class, ended.

    A failure is at its node's own fault, so that an early sign in the same burst is before it.
    """
    kept = incidents.filter("counts", pl.col("definition").cast(pl.String) == asked.definition)
    found = node_failures(kept, members).join(kept.select("incident", "ended"), on="incident")
    return of_class(found, asked)


def of_class(found: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    return found if asked.klass == "all" else found.filter(pl.col("class") == asked.klass)


def between_nodes(number: np.ndarray, watch: Watch, seed: int) -> tuple[float | None, str]:
    """phi of events (their nodes' numbers) between nodes by time watched, and whether they came
    one by one: "held", "not held" or "too few to tell"."""
    found = scatter_of(
        np.bincount(number, minlength=len(watch.entry)).astype(float),
        watch.leave - watch.entry,
        np.random.default_rng(seed),
    )
    if len(number) < FEWEST_FOR_PHI or math.isnan(found.phi):
        return None, "too few to tell"
    return found.phi, "held" if found.is_poisson else "not held"
