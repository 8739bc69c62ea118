"""Intervals and tests of the studies hold what they promise, over whole made fleets at once."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from transforms.comparison import _events_needed
from transforms.reliability.dispersion import dispersion
from transforms.studies import Asked
from transforms.studies.compare import compare
from transforms.studies.rates import rates, scatter_of
from transforms.studies.scatter import FEWEST_FOR_PHI
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
DAY_MS = 86_400_000


def exposure(clusters: int, nodes: int, days: int) -> pl.DataFrame:
    """Every node of every cluster in service all day, in order of cluster, node, day."""
    size = clusters * nodes * days
    number = np.arange(size)
    ms = ("wall_ms", "in_service_ms", "allocated_ms")
    none = ("down_ms", "planned_down_ms", "unobserved_ms")
    frame = pl.DataFrame(
        {
            "day": pl.Series(number % days).cast(pl.Int32) + (FIRST - date(1970, 1, 1)).days,
            "cluster": "c" + pl.Series(number // (nodes * days)).cast(pl.String).str.zfill(4),
            "node": "n" + pl.Series(number // days % nodes).cast(pl.String).str.zfill(3),
        }
    ).with_columns(
        *(pl.lit(DAY_MS).alias(name) for name in ms),
        *(pl.lit(0).alias(name) for name in none),
        *(pl.lit(None).alias(name) for name in ("provider", "hall", "rack")),
        gpus=8,
        gpu_capacity_ms=8 * DAY_MS,
    )
    return d.EXPOSURE.conform(frame.select(d.EXPOSURE.dtypes.names()).cast(dict(d.EXPOSURE.dtypes)))


def failures(risk: pl.DataFrame, counts: np.ndarray) -> pl.DataFrame:
    """`counts` in the order of `risk`."""
    rows = risk.select("day", "cluster", "node").with_columns(
        pl.Series("failures", counts.ravel()),
        pl.lit("GPU").alias("class"),
        component=pl.lit("lost"),
        definition=pl.lit("coalesced-180s"),
    )
    names = d.FAILURES.dtypes.names()
    return rows.filter(pl.col("failures") > 0).select(names).cast(dict(d.FAILURES.dtypes))


CLUSTERS, NODES, DAYS, RATE = 400, 60, 60, 0.02
SHAPE = (CLUSTERS, NODES, DAYS)


def poisson(rng):
    return rng.poisson(RATE, SHAPE)


def gamma_mixed_nodes(rng):
    return rng.poisson(RATE * rng.gamma(1, 1, (CLUSTERS, NODES, 1)) * np.ones(SHAPE))


def bursts_on_days(rng):
    return rng.poisson(RATE * rng.gamma(1, 1, (CLUSTERS, 1, DAYS)) * np.ones(SHAPE))


@pytest.mark.parametrize(
    ("world", "held"),
    [(poisson, (0.95, 1.0)), (gamma_mixed_nodes, (0.0, 0.2)), (bursts_on_days, (0.0, 0.2))],
)
def test_limits_of_rates_cover_the_truth_whatever_the_failures_do(world, held):
    """At least 93 of 100 clusters, and `assumption` tells the Poisson world from the others."""
    risk = exposure(*SHAPE)
    seen = failures(risk, world(np.random.default_rng(7)))
    found = rates(Asked(options={"by": "cluster"}), failures=seen, exposure=risk)
    assert found.height == CLUSTERS
    lo, hi = (pl.col(f"per_1000_node_days_{end}") for end in ("lo", "hi"))
    covered = found.select(((lo <= 1000 * RATE) & (hi >= 1000 * RATE)).mean()).item()
    assert covered >= 0.93
    assert held[0] <= (found["assumption"] == "held").mean() <= held[1]


def compared(rng, first: float, second: float, tries: int) -> float:
    """Share of `tries` in which `compare` says that two clusters of these rates differ."""
    risk = exposure(2, 10, 40)
    asked = Asked(options={"first": "cluster=c0000", "second": "cluster=c0001"})
    mean = np.array([first, second])[:, None, None] * np.ones((2, 10, 40))
    told = 0
    for _ in range(tries):
        seen = failures(risk, rng.poisson(mean))
        last = compare(asked, failures=seen, exposure=risk).row(2, named=True)
        told += last["verdict"] == "differs"
    return told / tries


def test_comparing_equal_rates_tells_a_difference_no_oftener_than_promised():
    told = compared(np.random.default_rng(8), 0.1, 0.1, 200)
    assert told <= 0.05 + 2.33 * (0.05 * 0.95 / 200) ** 0.5


def test_comparing_has_the_power_that_its_sample_size_formula_says():
    """80 % from the formula's number of failures, less what an exact test gives away."""
    needed = _events_needed(0.5)
    told = compared(np.random.default_rng(9), needed / 400, 0.5 * needed / 400, 200)
    assert 0.68 <= told <= 0.92


@pytest.mark.parametrize("world", [poisson, gamma_mixed_nodes, bursts_on_days])
def test_all_units_at_once_scatter_as_each_alone(world):
    """One pass over 400 clusters gives the phi of each cluster's own days and nodes."""
    risk = exposure(*SHAPE)
    counts = world(np.random.default_rng(10))
    found = rates(Asked(options={"by": "cluster"}), failures=failures(risk, counts), exposure=risk)
    told, seen = found.rows(named=True), 0
    for number in range(0, CLUSTERS, 8):
        of_days, of_nodes = (counts[number].sum(axis) for axis in (0, 1))
        ways = [
            scatter_of(cells, np.ones(len(cells)), np.random.default_rng(1))
            for cells in (of_days, of_nodes)
        ]
        if any(0.003 < way.p < 0.03 for way in ways):
            continue  # so near the limit that other draws may say otherwise
        seen += 1
        broken = [way for way in ways if not way.is_poisson]
        row = told[number]
        assert row["phi"] == pytest.approx(max(way.phi for way in broken or ways), rel=1e-9)
        assert row["assumption"] == ("not held" if broken else "held")
    assert seen >= 35


def test_sparse_units_are_judged_as_by_draws_though_most_need_none():
    """20 failures in 500 days: alone by 400 draws, at once by moments first."""
    rng = np.random.default_rng(11)
    risk = exposure(100, 1, 500)
    lumps = rng.poisson(0.04, (100, 1, 500))
    lumps[50:] = 5 * rng.poisson(0.008, (50, 1, 500))
    found = rates(Asked(options={"by": "node,cluster"}), failures=failures(risk, lumps), exposure=risk)  # fmt: skip
    wrong = 0
    for row, days in zip(found.sort("cluster").rows(named=True), lumps[:, 0], strict=True):
        if days.sum() < FEWEST_FOR_PHI:
            assert row["assumption"] == "too few failures to tell"
            continue
        alone = scatter_of(days, np.ones(500), np.random.default_rng(1))
        assert row["phi"] == pytest.approx(dispersion(days).phi)
        wrong += (row["assumption"] == "held") != alone.is_poisson
    assert wrong <= 3  # p near its limit: draws differ
    verdicts = found.sort("cluster")["assumption"]
    assert (verdicts[:50] == "held").sum() >= 46
    assert (verdicts[50:] == "held").sum() == 0
