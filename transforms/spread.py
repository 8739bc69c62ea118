"""Bursts of different nodes that have one cause (methods 2.9, stage 3).

    fabric    NVLink signs in one NVLink domain, at most 60 s apart
    domain    three or more nodes of one leaf switch, PDU or rack that were lost, or lost the
              network, within 60 s, where chance would do that less than once in ten thousand
    symptom   a burst that only cleans up or only timed out, beside another node of the same job
              that shows a fault of its own: an effect, not a cause

Chance is judged by a fixed rate, that of a large published fleet, and not by this fleet's own:
what one day says must not hang on how many other days were read. Recorded outages take no part:
people write round times into tickets, and those coincide without a cause.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import poisson

from transforms.coalesce import Ints, chains
from transforms.codes import SECONDARY
from transforms.signs import is_instant

TOGETHER = timedelta(seconds=60)
REFERENCE_PER_NODE_DAY = 6.5 / 1000
"""Failures per node-day of RSC-1, 16,000 A100 over 11 months (methods 9.3)."""
CHANCE = 1e-4
FEWEST_NODES = 3
DOMAINS = ("leaf_switch", "pdu", "rack")
EFFECT_LAGS = (timedelta(seconds=180), timedelta(seconds=60))
"""A symptom may come this long after, or before, the fault it follows: clocks and logs differ."""
TIMED_OUT = r"(?i)timed? ?-?out|not responding|no respon"

Edges = list[tuple[Ints, Ints]]


def joined(signs: pl.DataFrame, fleet: pl.DataFrame, held: pl.DataFrame) -> Ints:
    """Number the incident of every sign, from its column `burst`.

    `held` has cluster, node, started and ended (not null) of every allocation, and `attempt`.
    """
    count = int(signs["burst"].max()) + 1 if len(signs) else 0  # type: ignore[arg-type]
    edges = [_fabric(signs, fleet)]
    edges += [_lost_together(signs, fleet, domain) for domain in DOMAINS]
    edges.append(_symptoms(signs, held))
    one, other = (np.concatenate([edge[side] for edge in edges]) for side in (0, 1))
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    label = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int32)
    return label[signs["burst"].to_numpy()].astype(np.int64)


def domain_of(rows: pl.DataFrame, fleet: pl.DataFrame, domain: str) -> pl.DataFrame:
    """Add `domain`: where each row's node stood at its `at`; rows without one are left out."""
    placed = fleet.select(
        "cluster", "node", "valid_from", "valid_to", pl.col(domain).alias("domain")
    )
    return (
        rows.sort("at")
        .join_asof(
            placed.sort("valid_from"),
            left_on="at",
            right_on="valid_from",
            by=["cluster", "node"],
            check_sortedness=False,
        )
        .filter(
            pl.col("domain").is_not_null() & (pl.col("valid_to") > pl.col("at")).fill_null(True)
        )
        .drop("valid_from", "valid_to")
    )


def is_beyond_chance(nodes: int, domain_size: int) -> bool:
    """Would `nodes` of a domain fail within a minute by chance less often than CHANCE?

    Given one failure, the others are Poisson with the reference rate.
    """
    expected = (domain_size - 1) * REFERENCE_PER_NODE_DAY * (TOGETHER / timedelta(days=1))
    return nodes >= FEWEST_NODES and float(poisson.sf(nodes - 2, expected)) < CHANCE


def _fabric(signs: pl.DataFrame, fleet: pl.DataFrame) -> tuple[Ints, Ints]:
    rows = signs.filter((pl.col("class") == "NVLink") & is_instant())
    placed = domain_of(rows.select("cluster", "node", "at", "burst"), fleet, "nvlink_domain")
    domain = placed.select(pl.struct("cluster", "domain").rank("dense").cast(pl.Int64)).to_series()
    at = placed["at"].dt.epoch("ms").to_numpy()
    chain = chains(domain.to_numpy(), at, int(TOGETHER.total_seconds() * 1000))
    return _with_first(placed.select("burst").with_columns(pl.Series("group", chain)))


def _lost_together(signs: pl.DataFrame, fleet: pl.DataFrame, domain: str) -> tuple[Ints, Ints]:
    is_loss = (pl.col("evidence") == "down") | (
        pl.col("class").is_in(["Network", "Facility"])
        & pl.col("evidence").is_in(["counting", "corroborating"])
    )
    firsts = (
        signs.filter(is_loss & (pl.col("node") != ""))
        .group_by("burst", "cluster", "node")
        .agg(pl.col("at").min())
    )
    placed = domain_of(firsts, fleet, domain).sort("cluster", "domain", "at", "node", "burst")
    sizes = {
        (cluster, name): size
        for cluster, name, size in fleet.group_by("cluster", domain)
        .agg(pl.col("node").n_unique())
        .iter_rows()
    }
    one: list[int] = []
    other: list[int] = []
    # Few bursts lose a node, so a loop over domains is cheap.
    for (cluster, name), rows in placed.group_by("cluster", "domain", maintain_order=True):
        if len(rows) < FEWEST_NODES:
            continue
        at, burst = rows["at"].dt.epoch("ms").to_numpy(), rows["burst"].to_numpy()
        nodes = rows["node"].to_list()
        ends = np.searchsorted(at, at + int(TOGETHER.total_seconds() * 1000), side="right")
        for begin, end in enumerate(ends):
            if end - begin >= FEWEST_NODES and is_beyond_chance(
                len(set(nodes[begin:end])), sizes[cluster, name]
            ):
                one += [int(burst[begin])] * (end - begin - 1)
                other += burst[begin + 1 : end].tolist()
    return np.array(one, np.int64), np.array(other, np.int64)


def _symptoms(signs: pl.DataFrame, held: pl.DataFrame) -> tuple[Ints, Ints]:
    """Tie each symptom to one fault on another node of its job: best rank, then the earliest."""
    cleans_up = (pl.col("evidence") == "none") & (pl.col("rank") == SECONDARY)
    waited = pl.col("class").is_in(["Network", "Storage"]) & pl.col("detail").str.contains(
        TIMED_OUT
    )
    bursts = (
        signs.filter(pl.col("node") != "")
        .group_by("burst", "cluster", "node")
        .agg(
            pl.col("at").min(),
            (is_instant() & (cleans_up | waited)).all().alias("is_symptom"),
            pl.col("rank").min(),
            pl.col("evidence").is_in(["counting", "corroborating", "down"]).any().alias("is_fault"),
        )
    )
    on_jobs = (
        bursts.filter(pl.col("is_symptom") | pl.col("is_fault"))
        .join(held.filter(pl.len().over("attempt") > 1), on=["cluster", "node"])
        .filter(pl.col("at") >= pl.col("started"), pl.col("at") <= pl.col("ended") + EFFECT_LAGS[0])
    )
    faults = on_jobs.filter(~pl.col("is_symptom")).select("attempt", "burst", "node", "at", "rank")
    after, before = EFFECT_LAGS
    tied = (
        on_jobs.filter("is_symptom")
        .select("attempt", "burst", "node", "at")
        .join(faults, on="attempt", suffix="_fault")
        .filter(
            pl.col("node") != pl.col("node_fault"),
            pl.col("at_fault") >= pl.col("at") - after,
            pl.col("at_fault") <= pl.col("at") + before,
        )
        .sort("rank", "at_fault", "node_fault", "burst_fault")
        .unique("burst", keep="first", maintain_order=True)
    )
    return tied["burst"].to_numpy(), tied["burst_fault"].to_numpy()


def _with_first(rows: pl.DataFrame, by: Sequence[str] = ("group",)) -> tuple[Ints, Ints]:
    """Edges from the first burst of each group to all of it."""
    tied = rows.with_columns(pl.col("burst").min().over(by).alias("first"))
    return tied["first"].to_numpy(), tied["burst"].to_numpy()
