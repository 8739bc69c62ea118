"""Rates and regressions from the grid of node-days against the same, grouped and joined by name."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.reliability.regression import (
    dispersion_slope,
    negative_binomial,
    pearson_phi,
    poisson,
)
from transforms.studies import Asked
from transforms.studies.rates import KINDS, PERIODS, PLACES, rates, with_periods
from transforms.studies.regress_cells import AGES, age_bands, cells_of
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


def homes_of(hours: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row or two of the fleet for most nodes, some of which begin too late."""
    nodes = hours.select("cluster", "node").unique().sort("cluster", "node")
    some = [nodes.sample(fraction=share, seed=int(rng.integers(9))) for share in (0.9, 0.4)]
    rows = [
        one.with_columns(
            valid_from=pl.Series(rng.integers(-100, 30, one.height)),
            gpu_model=pl.lit(f"M{turn}"),
            pdu=pl.Series([f"P{k % 3}" if k % 4 else None for k in range(one.height)]),
            evidence=pl.Series(["inventory" if k % 5 else "inferred" for k in range(one.height)]),
        )
        for turn, one in enumerate(some)
    ]
    start = pl.lit(FIRST).cast(pl.Datetime("us", "UTC"))
    told = pl.concat(rows).with_columns(valid_from=start + pl.duration(days="valid_from"), gpus=8)
    absent = [pl.lit(None, t).alias(n) for n, t in d.FLEET.dtypes.items() if n not in told.columns]
    told = told.with_columns(absent).select(pl.col(n).cast(t) for n, t in d.FLEET.dtypes.items())
    return told.unique(["cluster", "node", "valid_from"]).sort("cluster", "node", "valid_from")


def cells_plainly(hours, hits, fleet, factors) -> pl.DataFrame:
    keys = ["day", "cluster", "node"]
    seen = hits.group_by(keys).agg(pl.col("failures").cast(pl.Int64).sum())
    homes = fleet.with_columns(
        day=pl.col("valid_from").dt.date(),
        since=pl.col("valid_from").min().over("cluster", "node").dt.date(),
    )
    rows = hours.filter(pl.col("ms") > 0).join(seen, on=keys, how="left").sort("day")
    rows = rows.join_asof(
        homes.sort("day").drop("provider", "hall", "rack"),
        on="day",
        by=["cluster", "node"],
        check_sortedness=False,
    )
    age = (pl.col("day") - pl.col("since")).dt.total_days()
    band = pl.sum_horizontal(age >= edge for edge in AGES)
    known = (pl.col("evidence").cast(pl.String) == "inventory") & (age >= 0)
    rows = rows.with_columns(
        age=pl.when(known).then(
            band.replace_strict(dict(enumerate(age_bands())), return_dtype=pl.String)
        ),
        month=pl.col("day").dt.strftime("%Y-%m"),
        model="gpu_model",
    )
    by = list(dict.fromkeys(("cluster", "node", *factors)))
    return (
        rows.group_by(by)
        .agg(node_days=pl.col("ms").sum() / DAY_MS, failures=pl.col("failures").fill_null(0).sum())
        .with_columns(pl.col(factors).fill_null("not told"))
        .sort(by)
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "factors",
    [("model", "provider", "hall", "age"), ("month", "cluster"), ("pdu", "rack", "age", "month")],
)
def test_cells_of_a_regression_are_those_of_names(factors: tuple[str, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    exposure = fleet_days(rng)
    hits = hits_on(exposure, rng)
    fleet = homes_of(exposure, rng)
    hours = exposure.rename({"allocated_ms": "ms"})
    asked = hours.select("day", "cluster", "node", "provider", "hall", "rack", "ms")
    named = asked.drop(n for n in ("provider", "hall", "rack") if n not in factors)
    found = cells_of(named, hits, fleet, factors)
    assert found.equals(cells_plainly(asked, hits, fleet, factors))


def test_a_regression_on_rows_told_once_is_that_on_all_of_them() -> None:
    rng = np.random.default_rng(5)
    kinds = np.column_stack([np.ones(6), np.arange(6) % 2, np.arange(6) // 3]).astype(float)
    kind, node = rng.integers(0, 6, 500), rng.integers(0, 90, 500)
    days = rng.uniform(5, 30, 500)
    counts = rng.poisson(days * np.exp(-2 + kinds[kind, 1] / 3) * rng.gamma(2, 0.5, 90)[node])
    names = ("rate", "vendor", "hall")
    for fit in (poisson, negative_binomial):
        whole = fit(counts, days, kinds[kind], names, node)
        once = fit(counts, days, kinds, names, node, kind=kind)
        for what in ("coefficients", "std_errors", "p", "alpha", "log_likelihood"):
            assert getattr(once, what) == pytest.approx(getattr(whole, what), rel=1e-11), what
        phi = [
            pearson_phi(counts, days, kinds[kind], whole),
            pearson_phi(counts, days, kinds, once, kind),
        ]
        assert phi[0] == pytest.approx(phi[1], rel=1e-12)
    slope = dispersion_slope(counts, days * np.exp(kinds[kind] @ once.coefficients), once.alpha)
    assert once.alpha > 0.1
    assert abs(slope) < 1e-7
