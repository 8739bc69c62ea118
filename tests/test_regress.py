"""Rates told apart: what is confounded comes out right, what cannot be told apart is refused."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.studies import Asked, RefusalError
from transforms.studies.regress import regress
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY_MS = 86_400_000
DAYS = 120


def asked(klass="all", level=0.95, **options) -> Asked:
    return Asked(klass=klass, level=level, options=options)


def fleet(nodes: list[dict]) -> pl.DataFrame:
    rows = [
        dict.fromkeys(d.FLEET.dtypes)
        | {"cluster": "c", "node": f"n{i}", "valid_from": T0 - timedelta(days=200), "gpus": 8}
        | {"evidence": "inventory"}
        | node
        for i, node in enumerate(nodes)
    ]
    return pl.DataFrame(rows, schema=d.FLEET.dtypes)


def exposure(there: pl.DataFrame, **more) -> pl.DataFrame:
    day = pl.DataFrame({"day": [FIRST + timedelta(days=k) for k in range(DAYS)]})
    full = dict.fromkeys(("wall_ms", "in_service_ms", "allocated_ms"), DAY_MS)
    none = dict.fromkeys(("down_ms", "planned_down_ms", "unobserved_ms"), 0)
    return (
        there.join(day, how="cross")
        .with_columns(pl.lit(v).alias(n) for n, v in (full | none | more).items())
        .with_columns(gpu_capacity_ms=8 * DAY_MS)
        .select(pl.col(n).cast(t) for n, t in d.EXPOSURE.dtypes.items())
    )


def drawn(there: pl.DataFrame, per_day, seed=1, frailty=0.0) -> pl.DataFrame:
    """Failures by chance; `per_day` gives a node's rate from its row of the fleet."""
    rng = np.random.default_rng(seed)
    rows = []
    for node in there.iter_rows(named=True):
        own = rng.gamma(1 / frailty, frailty) if frailty else 1.0
        for k in np.flatnonzero(rng.random(DAYS) < own * per_day(node)):
            rows.append(
                {"day": FIRST + timedelta(days=int(k)), "cluster": "c", "node": node["node"]}
                | {"class": "GPU", "component": "lost", "definition": "coalesced-180s"}
                | {"failures": 1}
            )
    return pl.DataFrame(rows, schema=d.FAILURES.dtypes)


def confounded(nodes=400) -> pl.DataFrame:
    """Provider B has most of its nodes in the hot hall; A most of its in the cool one."""
    rng = np.random.default_rng(2)
    rows = []
    for i in range(nodes):
        provider = "A" if i % 2 else "B"
        hot = rng.random() < (0.15 if provider == "A" else 0.85)
        rows.append({"provider": provider, "hall": "hot" if hot else "cool", "gpu_model": "H100"})
    return fleet(rows)


def by_level(found: pl.DataFrame) -> dict:
    return {(row["factor"], row["level"]): row for row in found.rows(named=True)}


def test_a_provider_is_not_blamed_for_its_halls():
    there = confounded()
    hits = drawn(there, lambda node: 0.02 if node["hall"] == "hot" else 0.005)
    exposed = exposure(there)
    crude = by_level(regress(asked(by="provider"), failures=hits, exposure=exposed, fleet=there))
    assert crude["provider", "A"]["verdict"] != crude["provider", "B"]["verdict"]
    assert {r["verdict"] for r in crude.values()} & {"fails more", "fails less"}
    options = {"by": "provider,hall", "reference": "provider=A,hall=cool"}
    both = by_level(regress(asked(**options), failures=hits, exposure=exposed, fleet=there))
    assert both["provider", "B"]["verdict"] == "no evidence of a difference"
    assert both["provider", "B"]["reference"] == "A"
    hot = both["hall", "hot"]
    assert hot["verdict"] == "fails more"
    assert hot["ratio_lo"] < 4 < hot["ratio_hi"]
    assert hot["q"] >= hot["p"]
    assert sum(r["failures"] for (f, _), r in both.items() if f == "hall") == hits.height
    assert hot["node_days"] * hot["per_1000_node_days"] / 1000 == pytest.approx(hot["failures"])


def test_two_levels_alone_give_the_plain_ratio_of_their_rates():
    there = fleet([{"hall": "H1" if i < 60 else "H2"} for i in range(160)])
    hits = drawn(there, lambda node: 0.01)
    options = {"by": "hall", "reference": "hall=H2", "law": "poisson"}
    found = regress(asked(**options), failures=hits, exposure=exposure(there), fleet=there)
    h2, h1 = found.rows(named=True)
    assert (h2["level"], h2["verdict"], h2["ratio"]) == ("H2", "reference", 1.0)
    assert h1["ratio"] == pytest.approx(h1["per_1000_node_days"] / h2["per_1000_node_days"])
    assert h1["ratio_lo"] < 1 < h1["ratio_hi"]


def test_alike_nodes_are_poisson_and_unlike_ones_negative_binomial():
    there = fleet([{"hall": "H1" if i % 2 else "H2"} for i in range(400)])
    exposed = exposure(there)
    calm = drawn(there, lambda node: 0.01)
    rough = drawn(there, lambda node: 0.01, frailty=2.0)
    laws = [
        regress(asked(by="hall"), failures=hits, exposure=exposed, fleet=there).row(1, named=True)
        for hits in (calm, rough)
    ]
    assert [row["law"] for row in laws] == ["poisson", "negative binomial"]
    assert laws[0]["alpha"] == 0
    assert laws[1]["alpha"] == pytest.approx(2, rel=0.35)
    assert laws[1]["phi"] > 1.5


def test_robust_errors_hold_their_level_where_nodes_differ():
    there = fleet([{"hall": "H1" if i % 2 else "H2"} for i in range(100)])
    exposed = exposure(there)
    wrong = 0
    for seed in range(60):
        hits = drawn(there, lambda node: 0.02, seed=seed, frailty=1.0)
        options = {"by": "hall", "law": "poisson"}
        row = regress(asked(**options), failures=hits, exposure=exposed, fleet=there).row(1)
        wrong += row[11] != "no evidence of a difference"
    assert wrong <= 8  # 3 are expected; plain Poisson errors would give about 15


def test_age_is_counted_from_the_day_a_node_came_and_unknown_where_that_is_inferred():
    there = fleet(
        [{"valid_from": T0 - timedelta(days=60)} for _ in range(40)]
        + [{"evidence": "inferred"} for _ in range(40)]
    )
    hits = drawn(there, lambda node: 0.02)
    found = regress(asked(by="age"), failures=hits, exposure=exposure(there), fleet=there)
    days = dict(found.select("level", "node_days").rows())
    assert days == {
        "30 to 89 days": 40 * 30,
        "90 to 179 days": 40 * 90,
        "not told": 40 * DAYS,
    }


def test_a_level_without_a_failure_is_left_out_and_keeps_its_row():
    there = fleet([{"hall": f"H{i % 4}"} for i in range(80)])
    hits = drawn(there, lambda node: 0.0 if node["hall"] == "H3" else 0.02)
    found = regress(asked(by="hall"), failures=hits, exposure=exposure(there), fleet=there)
    row = by_level(found)["hall", "H3"]
    assert (row["failures"], row["ratio"], row["verdict"]) == (0, None, "no failure: left out")
    assert found.filter(pl.col("ratio").is_not_null()).height == 3


def test_the_usual_factors_are_those_that_vary():
    there = confounded()
    hits = drawn(there, lambda node: 0.01)
    found = regress(asked(), failures=hits, exposure=exposure(there), fleet=there)
    assert found["factor"].unique(maintain_order=True).to_list() == ["provider", "hall"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"by": "moon"}, "no factor moon"),
        ({"by": "model"}, "model has one level with a failure, H100"),
        ({"by": "provider", "reference": "hall=hot"}, "write FACTOR=LEVEL"),
        ({"by": "provider", "reference": "provider=Z"}, "'Z' is no reference.*A, B"),
        ({"by": "provider", "law": "normal"}, "no law 'normal'"),
        ({"by": "hall,pdu"}, "pdu cannot be told from hall"),
        ({"by": "provider,hall,rack"}, "rack cannot be told from provider with hall"),
    ],
)
def test_what_cannot_be_regressed_is_refused_by_name(options, reason):
    there = confounded().with_columns(
        pdu=pl.col("hall") + "-p",
        rack=((pl.col("hall") == "hot").cast(int) + (pl.col("provider") == "B")).cast(str),
    )
    hits = drawn(there, lambda node: 0.01)
    with pytest.raises(RefusalError, match=reason):
        regress(asked(**options), failures=hits, exposure=exposure(there), fleet=there)


def test_a_factor_whose_other_levels_had_no_failure_is_refused():
    there = fleet([{"hall": f"H{i % 2}"} for i in range(80)])
    hits = drawn(there, lambda node: 0.0 if node["hall"] == "H1" else 0.02)
    with pytest.raises(RefusalError, match="one level with a failure, H0"):
        regress(asked(by="hall"), failures=hits, exposure=exposure(there), fleet=there)


def test_few_failures_and_unwatched_fleets_are_refused():
    there = confounded()
    hits = drawn(there, lambda node: 0.01)
    with pytest.raises(RefusalError, match="9 failures, and a regression needs 10"):
        regress(asked(by="hall"), failures=hits.head(9), exposure=exposure(there), fleet=there)
    dark = exposure(there, unobserved_ms=DAY_MS // 10, in_service_ms=DAY_MS * 9 // 10)
    with pytest.raises(RefusalError, match=r"90\.0% of its time was observed"):
        regress(asked(by="hall"), failures=hits, exposure=dark, fleet=there)
