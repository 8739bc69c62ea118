"""Rates from the grid of node-days against the same, grouped and joined name by name."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.studies import Asked
from transforms.studies.rates import KINDS, PERIODS, PLACES, rates, with_periods
from transforms.studies.scatter import scatter, strewn
from transforms.studies.strewing import strewn as compiled
from transforms.tables import derived as d

FIRST = date(2026, 1, 26)
DAY_MS = 86_400_000
EVERYTHING = "everything"


def fleet_days(rng: np.random.Generator) -> pl.DataFrame:
    """A few weeks of nodes that come, go, move between halls, and bear one name in two clusters."""
    rows = []
    for number in range(24):
        came, left = sorted(rng.integers(0, 40, 2).tolist())
        moved = int(rng.integers(0, 40))
        for day in range(came, left + 1):
            seen = int(rng.integers(0, 2) * rng.integers(0, DAY_MS))
            rows.append(
                {"day": FIRST + timedelta(days=day), "cluster": "ab"[number % 2], "node": f"n{number // 2 * 3 % 7}-{number // 4}"}
                | {"provider": ["p", "q", None][number % 3], "hall": f"H{number % 3 + (day > moved)}", "rack": f"r{number // 3}"}
                | {"gpus": 8, "wall_ms": DAY_MS, "in_service_ms": DAY_MS - seen, "allocated_ms": (DAY_MS - seen) * (number % 4 > 0)}
                | {"down_ms": seen, "planned_down_ms": 0, "unobserved_ms": seen // 30, "gpu_capacity_ms": 8 * DAY_MS}
            )  # fmt: skip
    return pl.DataFrame(rows, schema=d.EXPOSURE.dtypes).unique(d.EXPOSURE.key).sort(d.EXPOSURE.key)


def hits_on(exposure: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Failures, most of them on weak nodes, some where or when nothing was at risk."""
    weak = rng.choice(exposure.height, 400, p=(p := rng.gamma(0.4, size=exposure.height)) / p.sum())
    rows = exposure[weak].select("day", "cluster", "node")
    astray = rng.random(len(weak)) < 0.1
    rows = rows.with_columns(
        day=pl.when(pl.Series(astray)).then(pl.col("day") + timedelta(days=9)).otherwise("day"),
        node=pl.when(pl.Series(rng.random(len(weak)) < 0.02)).then(pl.lit("no such")).otherwise("node"),
        component=pl.Series(np.array(["lost", "memory", "link"])[rng.integers(0, 3, len(weak))]),
        definition=pl.lit("coalesced-180s"),
        failures=pl.Series(rng.integers(1, 3, len(weak))),
    ).with_columns(
        pl.when(pl.col("component") == "link").then(pl.lit("NVLink")).otherwise(pl.lit("GPU")).alias("class")
    )  # fmt: skip
    rows = rows.cast({name: d.FAILURES.dtypes[name] for name in rows.columns})
    return d.FAILURES.conform(rows.unique(d.FAILURES.key).sort(d.FAILURES.key))


def told_plainly(by: Sequence[str], clock: str, hits: pl.DataFrame, hours: pl.DataFrame):
    units = [name for name in by if name not in KINDS] or [EVERYTHING]
    kinds = [name for name in by if name in KINDS]
    both = [frame.with_columns(pl.lit(1).alias(EVERYTHING)) for frame in (hits, hours)]
    stands = [name for name in PLACES[1:4] if name in units]
    keys = ["day", "cluster", "node"]
    hits = both[0].join(both[1].select(*keys, *stands), on=keys, how="left")
    hits, hours = (with_periods(one, units) for one in (hits, both[1].rename({clock: "ms"})))
    hits = hits.cast({"class": pl.String, "failures": pl.Int64})
    counts = hits.group_by([*units, *kinds]).agg(pl.col("failures").sum())
    times = ("ms", "unobserved_ms") if clock == "wall_ms" else ("ms", "wall_ms", "unobserved_ms")
    exposed = hours.group_by(units).agg(pl.col(times).sum())
    rows = counts.join(
        exposed, on=units, how="left" if kinds else "full", coalesce=True, nulls_equal=True
    ).with_columns(
        pl.col("failures").fill_null(0),
        node_days=pl.col("ms").fill_null(0) / DAY_MS,
        coverage=1 - pl.col("unobserved_ms") / pl.col("ms" if clock == "wall_ms" else "wall_ms"),
    )
    return scatter(rows, hits, hours, units, kinds, 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "by",
    [
        "",
        "cluster",
        "node",
        "cluster,node",
        "hall",
        "hall,week",
        "rack,class",
        "day",
        "node,day",
        "provider,component,month",
        "hall,node,month,week",
        "cluster,node,day",
    ],
)
def test_rates_from_the_grid_are_those_of_names(by: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hours = fleet_days(rng)
    hits = hits_on(hours, rng)
    clock = ("in_service", "wall", "allocated")[seed % 3]
    named = [name for name in (*PLACES, *PERIODS, *KINDS) if name in by.split(",")]
    found = rates(Asked(clock=clock, options={"by": by}), failures=hits, exposure=hours)
    plain = told_plainly(named, f"{clock}_ms", hits, hours).sort(
        named or "failures", nulls_last=True
    )
    columns = [*named, "failures", "node_days", "coverage"]
    found = found.sort(named or "failures", nulls_last=True)
    assert found.select(columns).equals(plain.select(columns))
    phi, plain_phi = (one["phi"].fill_null(-1).to_list() for one in (found, plain))
    assert phi == pytest.approx(plain_phi, rel=1e-12)
    told = {None: "too few failures to tell", True: "held", False: "not held"}
    assert found["assumption"].to_list() == [
        told[is_poisson] if days else "no exposure"
        for is_poisson, days in plain.select("is_poisson", "node_days").iter_rows()
    ]


def test_failures_are_strewn_alike_by_the_compiled_loop() -> None:
    rng = np.random.default_rng(3)
    for cells in (1, 2, 7, 400):
        exposure = rng.gamma(0.2, size=cells) + 1e-9
        reach = np.cumsum(exposure / exposure.sum())
        at = rng.random((20, 90))
        expected = 90 * exposure / exposure.sum()
        assert np.array_equal(strewn(at, reach, expected), compiled(at, reach, expected))
