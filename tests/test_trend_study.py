"""Trends over operation: growing fleets are no trend, real ones are found, few failures say nothing."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from transforms.reliability import trends
from transforms.studies import Asked, RefusalError
from transforms.studies.trend import trend
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
DAY_MS = 86_400_000


def exposure(sizes, **more) -> pl.DataFrame:
    """One row a day for a hall of so many nodes: a trend asks for sums alone."""
    rows = [
        {"day": FIRST + timedelta(days=k), "cluster": "c", "node": "n", "hall": "H1", "gpus": 8}
        | {"wall_ms": DAY_MS, "in_service_ms": int(size * DAY_MS), "allocated_ms": 0}
        | {"down_ms": 0, "planned_down_ms": 0, "unobserved_ms": 0, "gpu_capacity_ms": 0} | more
        for k, size in enumerate(sizes)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=d.EXPOSURE.dtypes)


def incidents(days, klass="GPU", node="n", cluster="c") -> pl.DataFrame:
    """One that counts at each of `days` since the first midnight (fractions allowed)."""
    at = [MIDNIGHT + timedelta(days=float(day)) for day in days]
    rows = [
        {"incident": f"{klass}{node}{k}", "day": t.date(), "cluster": cluster, "began": t, "ended": t}
        | {"node": node, "device": "", "nodes": [node], "gpus": [], "class": klass, "component": "x"}
        | {"root_kind": "xid", "root_code": 79, "severity": "S2", "confidence": 1.0, "events": 1}
        | {"definition": "coalesced-180s", "counts": True, "interrupts": 0}
        for k, t in enumerate(at)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=d.INCIDENTS.dtypes)


def asked(**more) -> Asked:
    return Asked(options={"by": more.pop("by", "cluster")}, **more)


def test_x12_through_the_study(golden):
    """A fleet of one node for 500 days: node-days are days."""
    x = golden["X12_trend_time_trunc"]
    half_us = 0.5 / 86_400e6
    found = trend(
        asked(), incidents=incidents([10, 30, 45, 80, 150, 250, 400]), exposure=exposure([1] * 500)
    ).row(0, named=True)
    assert found["laplace_u"] == pytest.approx(x["laplace_U"], rel=1e-9 + half_us)
    assert found["mil_chi_square"] == pytest.approx(x["mil_chi2"], rel=1e-9)
    assert found["growth_slope"] == pytest.approx(x["beta"], rel=1e-9)
    assert (found["growth_slope_lo"], found["growth_slope_hi"]) == pytest.approx(
        (x["beta_lo"], x["beta_hi"]), rel=1e-9
    )
    assert found["mtbf_now_hours"] == pytest.approx(24 * x["inst_mtbf"], rel=1e-9)
    assert found["mtbf_hours"] == pytest.approx(24 * x["avg_mtbf"], rel=1e-9)
    assert found["mtbf_now_hours_lo"] < found["mtbf_now_hours"] < found["mtbf_now_hours_hi"]
    assert found["reading"] == "improving"
    assert found["laplace_q"] == found["laplace_p"]  # one row: nothing else was tried


def test_failures_stand_at_the_node_days_gone_by():
    """2 nodes on day 0, 6 on day 1: noon of day 1 is after 2 + 3 of 8 node-days, whoever failed."""
    hits = incidents([0.25, 0.5, 1.5, 1.75])
    found = trend(asked(), incidents=hits, exposure=exposure([2, 6])).row(0, named=True)
    by_hand = trends.trend([0.5, 1.0, 5.0, 6.5], 8)
    assert found["laplace_u"] == pytest.approx(by_hand.laplace_u)
    assert found["growth_slope"] == pytest.approx(by_hand.growth_slope)
    assert found["node_days"] == 8


def test_the_last_day_ends_where_the_records_end():
    """The second day is observed for six hours: three hours into it half its operation is gone."""
    rows = pl.concat(
        [exposure([4]), exposure([0, 1], wall_ms=DAY_MS // 4).filter(pl.col("day") > FIRST)]
    )
    found = trend(asked(), incidents=incidents([0.5, 0.5, 0.5, 1.125]), exposure=rows)
    by_hand = trends.trend([2, 2, 2, 4.5], 5)
    assert found["laplace_u"][0] == pytest.approx(by_hand.laplace_u)


def grown(rng, slope, nodes, mean) -> pl.DataFrame:
    """Failures of a power law on operation, told in calendar days."""
    ends = np.append(0, np.cumsum(nodes))
    at = ends[-1] * rng.random(rng.poisson(mean)) ** (1 / slope)
    return incidents(np.sort(np.interp(at, ends, np.arange(len(ends)))))


GROWING = np.linspace(100, 300, 90)


def test_a_fleet_that_grows_threefold_shows_no_trend_more_often_than_chance():
    """Size 5 % of all three statements; on the calendar the same failures look ever worse."""
    rng = np.random.default_rng(12)
    draws, risk = 200, exposure(GROWING)
    laplace = mil = read = calendar = 0
    for _ in range(draws):
        hits = grown(rng, 1.0, GROWING, 40)
        found = trend(asked(), incidents=hits, exposure=risk).row(0, named=True)
        laplace += found["laplace_p"] <= 0.05
        mil += found["mil_p"] <= 0.05
        read += found["reading"] != "no evidence of a trend"
        days = (hits["began"] - MIDNIGHT).dt.total_microseconds().to_numpy() / 86_400e6
        calendar += trends.trend(days, 90).laplace_p <= 0.05
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    for alarms in (laplace, mil, read):
        assert low <= alarms <= high
    assert calendar > 0.3 * draws


@pytest.mark.parametrize(("slope", "reading"), [(2.0, "worsening"), (0.5, "improving")])
def test_a_real_trend_is_found_in_a_growing_fleet(slope, reading):
    """Power at 40 failures and a slope of 2 or 1/2: at least 95 %."""
    rng = np.random.default_rng(13)
    said = [
        trend(asked(), incidents=grown(rng, slope, GROWING, 40), exposure=exposure(GROWING))
        for _ in range(60)
    ]
    assert sum(one["reading"][0] == reading for one in said) >= 57


@pytest.mark.parametrize(("slope", "mean"), [(1.0, 8), (0.6, 30)])
def test_limits_of_the_present_mtbf_cover_it(slope, mean):
    rng = np.random.default_rng(14)
    truth, covered, draws = 1 / (mean * slope), 0, 300
    for _ in range(draws):
        at = rng.random(max(rng.poisson(mean), 2)) ** (1 / slope)
        low, high = trends.mtbf_now_limits(trends.trend(at, 1.0))
        covered += low <= truth <= high
    assert covered >= stats.binom.ppf(0.001, draws, 0.94)


def test_bursts_widen_the_tests():
    """Ten failures within each of four minutes are four events, and no trend."""
    days = [10, 70, 75, 80]
    bursts = incidents([day + k / 14400 for day in days for k in range(10)])
    found = trend(asked(), incidents=bursts, exposure=exposure([10] * 90)).row(0, named=True)
    plain = trends.trend([10 * day for day in days for _ in range(10)], 900)
    assert plain.reading == "worsening"
    assert found["assumption"] == "not held"
    assert found["phi"] > 5
    assert found["reading"] == "no evidence of a trend"
    assert found["laplace_p"] > plain.laplace_p


def test_fewer_than_four_failures_say_nothing_and_keep_their_rate():
    found = trend(asked(), incidents=incidents([1, 2, 3]), exposure=exposure([10] * 5))
    row = found.row(0, named=True)
    assert row["reading"] == "too few failures (3, at least 4 are needed)"
    assert row["growth_slope"] is None
    assert row["mtbf_hours"] == pytest.approx(24 * 50 / 3)


def test_no_failure_is_a_bound():
    row = trend(asked(), incidents=incidents([]), exposure=exposure([10] * 5)).row(0, named=True)
    assert (row["failures"], row["mtbf_hours"]) == (0, None)
    assert row["mtbf_hours_lo"] == pytest.approx(24 * 50 / 3.6888794541139363)


def test_a_failure_without_exposure_is_left_out_and_counted():
    hits = pl.concat([incidents([1, 2, 3, 4]), incidents([3], node="ghost")])
    found = trend(asked(by="hall"), incidents=hits, exposure=exposure([10] * 5))
    assert found.select("hall", "failures", "left_out").rows() == [("H1", 4, 0), (None, 0, 1)]


def test_kinds_share_the_operation_of_their_place():
    hits = pl.concat([incidents([1, 2, 3, 4]), incidents([1, 2, 3, 4.5], klass="Host")])
    found = trend(asked(by="class,hall"), incidents=hits, exposure=exposure([10] * 5))
    assert found.columns[:2] == ["hall", "class"]
    assert found["node_days"].to_list() == [50, 50]
    alone = trend(asked(klass="Host"), incidents=hits, exposure=exposure([10] * 5))
    assert alone["laplace_u"][0] == found.filter(pl.col("class") == "Host")["laplace_u"][0]
    assert alone["counted"][0] == "Host"


def test_what_cannot_be_asked_of_a_trend_is_refused():
    with pytest.raises(RefusalError, match="cannot group by week"):
        trend(asked(by="week"), incidents=incidents([1]), exposure=exposure([1]))
    with pytest.raises(RefusalError, match="no failure of class 'Host'"):
        trend(asked(klass="Host"), incidents=incidents([1]), exposure=exposure([1]))
    with pytest.raises(RefusalError, match="no exposure on the allocated clock"):
        trend(asked(clock="allocated"), incidents=incidents([1]), exposure=exposure([1]))
