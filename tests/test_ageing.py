"""Failures by age: halls compared over common ages, bathtubs told by three facts."""

import math

import numpy as np
import polars as pl
import pytest
from life_frames import MIDNIGHT, at, exposure, fleet, incidents
from scipy import stats

from transforms.comparison import rate_ratio
from transforms.studies import Asked, RefusalError
from transforms.studies.ageing import ageing
from transforms.studies.recurrence import recurrence
from transforms.tables import derived as d
from transforms.tables import observed as o

NONE = {"repairs": d.REPAIRS.empty(), "nodes": o.NODES.empty(), "gpus": o.GPUS.empty()}


def recur(known, hits=(), days=28, clock="in_service", klass="all", **options) -> pl.DataFrame:
    return recurrence(
        Asked(clock=clock, klass=klass, options=options),
        fleet=known,
        exposure=exposure(known, days),
        incidents=incidents(*hits),
        **NONE,
    )


def halls(old=10, new=10, came=0.0) -> pl.DataFrame:
    return fleet(
        *((f"a{k}", -5, None, {"hall": "H1"}) for k in range(old)),
        *((f"b{k}", came, None, {"hall": "H2"}) for k in range(new)),
    )


def test_mean_failures_add_up_over_those_at_risk():
    """10 nodes from age 5 on: 3 failures by age 10, 5 by age 33."""
    hits = [(1, "a0"), (1.5, "a0"), (3, "a1"), (20, "a2"), (25, "a0")]
    found = recur(halls(new=0), hits, at="10,33")
    assert found.select("age_days", "failures", "at_risk", "value").rows() == [
        (10, 3, 10, pytest.approx(0.3)),
        (33, 5, 10, pytest.approx(0.5)),
    ]
    assert found["from_days"].unique().to_list() == [5]
    assert found["watched_days"].to_list() == pytest.approx([50, 280])
    assert found["assumption"].unique().to_list() == ["indicative, below 10 failures"]


def test_a_hall_without_a_failure_has_a_bound():
    """28 days of 10 nodes: fewer than 3.689 / 10 failures a node by then, at 95 %."""
    found = recur(halls(), [(1, "a0")], at="28").filter(pl.col("group") == "H2")
    row = found.row(0, named=True)
    assert (row["failures"], row["value"], row["lo"]) == (0, 0.0, 0.0)
    assert row["hi"] == pytest.approx(-math.log(0.025) / 10)


def test_halls_are_compared_over_the_ages_that_both_were_watched_at():
    """H1 is 5 days old when the records begin: failures of H2 in its first 5 days do not count."""
    hits = [(0.5, f"b{k}") for k in range(10)]
    hits += [(7 + k, f"b{k}") for k in range(10)] + [(7 + k, f"a{k}") for k in range(10)]
    row = recur(halls(), hits).filter(pl.col("what") == "ratio").row(-1, named=True)
    assert row["group"] == "H2 over H1"
    assert (row["from_days"], row["age_days"]) == (5, 28)
    assert row["failures"] == 20
    assert row["value"] == pytest.approx(1)
    assert row["verdict"] == "no evidence of a difference"


def test_a_worse_hall_is_named_in_the_order_asked():
    hits = [(7 + j + k / 20, f"b{k}") for k in range(10) for j in range(4)] + [(9 + k, f"a{k}") for k in range(10)]  # fmt: skip
    worse = recur(halls(), hits, against="H1,H2").row(-1, named=True)
    better = recur(halls(), hits, against="H2,H1").row(-1, named=True)
    assert worse["verdict"] == "H2 fails more"
    assert better["verdict"] == "H1 fails less"
    assert worse["value"] == pytest.approx(1 / better["value"])


def test_halls_that_share_no_age_are_not_compared():
    known = fleet(*((f"a{k}", -300, None, {"hall": "H1"}) for k in range(6)), *((f"b{k}", 0, None, {"hall": "H2"}) for k in range(6)))  # fmt: skip
    row = recur(known, [(1, "a0"), (2, "b0")]).row(-1, named=True)
    assert row["verdict"].startswith("no common ages: H1 was watched from 300 to 328 days")
    assert row["value"] is None


def test_one_side_without_a_failure_is_not_compared():
    row = recur(halls(), [(10, "a0")]).row(-1, named=True)
    assert row["verdict"] == "too few failures (0 against 1)"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"by": "class"}, "cannot group by class"),
        ({"against": "H1,H9"}, "no H9"),
        ({"against": "H1"}, "name two"),
        ({"unit": "rack"}, "no unit 'rack'"),
        ({"at": "x"}, "cannot read the ages"),
        ({"klass": "Host"}, "no failure of class"),
        ({"clock": "allocated"}, "wall clock"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, reason):
    with pytest.raises(RefusalError, match=reason):
        recur(halls(), [(1, "a0")], **options)


def test_no_failure_at_all_is_no_comparison():
    with pytest.raises(RefusalError, match="no failure of a watched unit"):
        recur(halls())


def test_the_verdict_on_two_halls_keeps_its_size_with_lemons_among_them():
    """Nodes differ five-fold in rate, H2 is younger: 5 % of equal halls are called different."""
    rng = np.random.default_rng(43)
    draws, alarms, known = 120, 0, halls(60, 60, 2.0)
    risk, names = exposure(known), known["node"].to_list()
    for _ in range(draws):
        rate = 0.04 * rng.gamma(1.0, 1.0, len(names))
        count = rng.poisson(28 * rate)
        hits = [(float(t), name) for name, n in zip(names, count, strict=True) for t in rng.uniform(0, 28, n)]  # fmt: skip
        hits = [(t, name) for t, name in hits if name[0] == "a" or t > 2]
        found = recurrence(Asked(options={"at": "20"}), fleet=known, exposure=risk, incidents=incidents(*hits), **NONE)  # fmt: skip
        alarms += found["verdict"][-1] != "no evidence of a difference"
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= alarms <= high


def aged(known, hits=(), days=28, clock="in_service", klass="all", **options) -> pl.DataFrame:
    return ageing(
        Asked(clock=clock, klass=klass, options=options),
        fleet=known,
        exposure=exposure(known, days),
        incidents=incidents(*hits),
    )


def fact(found: pl.DataFrame, what: str) -> dict:
    return found.filter(pl.col("what") == what).row(0, named=True)


def test_bands_hold_the_exposure_and_failures_of_their_age():
    known = fleet(*((f"n{k}", 0, None) for k in range(10)))
    found = aged(known, [(0.5, "n0"), (8, "n1"), (20, "n2"), (27, "n3")], early="2", late="52")
    bands = found.filter(pl.col("what") == "per 1000 node-days")
    assert bands.select("weeks_from", "weeks_to", "failures", "node_days").rows() == [
        (0, 1, 1, 70),
        (1, 2, 1, 70),
        (2, 4, 2, 140),
    ]
    early = fact(found, "early over plateau")
    exact = rate_ratio(2, 140, 2, 140)
    assert (early["value"], early["lo"], early["hi"]) == pytest.approx(
        (exact.ratio, exact.low, exact.high)
    )
    assert early["verdict"] == "no evidence of a difference"
    assert fact(found, "late over plateau")["verdict"].startswith("not seen")
    assert fact(found, "together")["verdict"].startswith("no bathtub can be told")


def staggered(rng, young: float, flat: float, old: float) -> tuple[pl.DataFrame, list]:
    """200 nodes of all ages up to 400 days, watched for 28; rates per day by age in weeks."""
    known = fleet(*((f"n{k}", -int(rng.integers(0, 400)), None) for k in range(200)))
    hits = []
    for row in known.iter_rows(named=True):
        age = np.arange(28) + (MIDNIGHT - row["valid_from"]).days
        rate = np.where(age < 28, young, np.where(age < 364, flat, old))
        days = np.flatnonzero(rng.random(28) < rate)
        hits += [(float(day + rng.random()), row["node"]) for day in days]
    return known, hits


def test_a_planted_bathtub_is_found_and_none_where_there_is_none():
    """Power at 5-fold ends at least 80 %; a flat fleet is called one at most once in twelve."""
    rng = np.random.default_rng(42)
    draws = 12
    found = [fact(aged(*staggered(rng, 0.15, 0.03, 0.15)), "together") for _ in range(draws)]
    flat = [fact(aged(*staggered(rng, 0.03, 0.03, 0.03)), "together") for _ in range(draws)]
    assert sum(one["verdict"] == "bathtub" for one in found) >= 0.8 * draws
    assert sum(one["verdict"] == "bathtub" for one in flat) <= 1


def test_ages_nobody_knows_stay_out_and_are_told():
    always = (at(0) - at(0)).days - 20_514
    known = fleet(("n0", 0, None), ("n1", always, None))
    known = known.with_columns(
        valid_from=pl.when(pl.col("node") == "n1")
        .then(pl.lit(0).cast(pl.Datetime("us", "UTC")))
        .otherwise("valid_from")
    )
    found = aged(known, [(1, "n0"), (1, "n1")])
    assert fact(found, "node-days of unknown age")["node_days"] == 28
    assert found.filter(pl.col("what") == "per 1000 node-days")["failures"].sum() == 1
    with pytest.raises(RefusalError, match="no node's age is known"):
        aged(known.filter(pl.col("node") == "n1"), [(1, "n1")])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"early": "60"}, "no plateau lies between 60 and 52"),
        ({"late": "old"}, "late weeks 'old'"),
        ({"klass": "Host"}, "no failure of class 'Host'"),
    ],
)
def test_what_cannot_be_asked_of_ages_is_refused(options, reason):
    with pytest.raises(RefusalError, match=reason):
        aged(fleet(("n0", 0, None)), [(1, "n0")], **options)
