"""Rates, their limits and what follows from them; repair times with open ones; definitions."""

import json
import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from transforms import mtbf, tables
from transforms.comparison import rate_ratio
from transforms.definitions import REGISTRY, DefinedRate, DefinitionMismatchError
from transforms.mtbf import mean_time_between, rate, rates
from transforms.poisson import count_limits
from transforms.repair_times import repair_times

MONDAY = date(2026, 3, 2)


def test_exact_limits_cover_at_least_95_in_100_for_every_true_count():
    """P-5: draws from each true mean, seeded; conservative by construction, never below."""
    random = np.random.default_rng(20260302)
    lower, upper = count_limits(np.arange(200))
    for mean in [0.05, 0.5, *range(1, 51)]:
        seen = random.poisson(mean, 20_000)
        covered = ((lower[seen] <= mean) & (mean <= upper[seen])).mean()
        # The exact coverage of this interval, so that the draws are held to something sharp.
        counts = np.arange(200)
        inside = (lower <= mean) & (mean <= upper)
        exact = stats.poisson.pmf(counts, mean)[inside].sum()
        assert exact >= 0.95
        assert covered == pytest.approx(exact, abs=5 * math.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize("count", [0, 1, 7, 50, 20_000])
def test_limits_leave_2_5_percent_on_either_side(count):
    lower, upper = (float(x) for x in count_limits(count))
    assert stats.poisson.cdf(count, upper) == pytest.approx(0.025, rel=1e-9)
    if count:
        assert stats.poisson.sf(count - 1, lower) == pytest.approx(0.025, rel=1e-9)
    else:
        assert lower == 0


def test_silence_has_no_mtbf_but_a_bound():
    silent = rate(0, 1000)
    assert (silent.per_1000_node_days, silent.lo) == (0, 0)
    assert math.isnan(silent.mtbf_node_days)
    assert math.isnan(silent.mtbf_hi)
    assert silent.mtbf_lo == pytest.approx(1000 / 3.6888794541139354)
    mean, low, high = mean_time_between(0, 24)
    assert math.isnan(mean)
    assert math.isnan(high)
    assert low == pytest.approx(24 / 3.6888794541139354)
    assert math.isnan(rate(0, 1000, stopped_by="failure").hi)


def test_a_rate_without_exposure_is_refused():
    with pytest.raises(ValueError, match="needs exposure"):
        rate(1, 0)


def exposed(*days: tuple[date, str, str, float]) -> pl.DataFrame:
    """Exposure rows of whole days in service, `allocated` of them held by jobs."""
    blank = dict.fromkeys(("provider", "hall", "rack"))
    return pl.DataFrame(
        [
            {"day": d, "cluster": c, "node": n, "gpus": 8, **blank}
            | {"wall_ms": mtbf.DAY_MS, "in_service_ms": mtbf.DAY_MS, "down_ms": 0}
            | {"allocated_ms": int(a * mtbf.DAY_MS), "planned_down_ms": 0, "unobserved_ms": 0}
            | {"gpu_capacity_ms": 8 * mtbf.DAY_MS}
            for d, c, n, a in days
        ],
        schema=tables.BY_NAME["exposure"].dtypes,
    )


def failed(*counts: tuple[date, str, str, str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(d, c, n, k, "x", i, f) for d, c, n, k, i, f in counts],
        schema=tables.BY_NAME["failures"].dtypes,
        orient="row",
    )


SILENT = timedelta(days=7)
EXPOSED = exposed(
    (MONDAY, "x", "a", 0.5), (MONDAY, "x", "b", 0), (MONDAY + SILENT, "x", "a", 0),
    (MONDAY, "y", "c", 1),
)  # fmt: skip
FAILED = failed(
    (MONDAY, "x", "a", "GPU", "coalesced-180s", 2),
    (MONDAY, "x", "a", "Network", "coalesced-180s", 1),
    (MONDAY, "x", "a", "GPU", "as-recorded", 4),
    (MONDAY, "x", "ghost", "GPU", "coalesced-180s", 1),
)


def picked(frame: pl.DataFrame, *columns: str) -> list[tuple]:
    return frame.select(columns).rows()


def test_all_is_the_total_and_every_class_has_the_whole_exposure():
    found = rates(FAILED, EXPOSED, clock="wall", definition="coalesced-180s").filter(cluster="x")
    assert picked(found, "class", "failures", "node_days") == [
        ("all", 4, 3.0),
        ("GPU", 3, 3.0),
        ("Network", 1, 3.0),
    ]
    assert found["per_1000_node_days"][0] == pytest.approx(4 / 3 * 1000)
    assert found["mtbf_hours"][0] == pytest.approx(3 / 4 * 24)


def test_every_node_with_exposure_has_a_row_and_a_failure_without_it_stays():
    found = rates(FAILED, EXPOSED, ["cluster", "node"], "in_service", "coalesced-180s")
    alls = found.filter(pl.col("class") == "all")
    columns = ("node", "failures", "node_days", "mtbf_hours", "per_1000_node_days_hi")
    ghost, silent = alls.filter(node="ghost"), alls.filter(node="b")
    assert picked(alls, "cluster", "node") == [("x", "a"), ("x", "b"), ("x", "ghost"), ("y", "c")]
    assert picked(ghost, *columns) == [("ghost", 1, 0.0, None, None)]
    assert picked(silent, *columns[:4]) == [("b", 0, 1.0, None)]
    assert silent["mtbf_hours_lo"][0] == pytest.approx(24 / 3.6888794541139354)
    assert silent["mtbf_hours_hi"][0] is None


def test_weeks_begin_on_monday_and_a_silent_week_is_a_row():
    found = rates(FAILED, EXPOSED, ["week", "cluster"], "allocated", "coalesced-180s")
    found = found.filter((pl.col("class") == "all") & (pl.col("cluster") == "x"))
    assert picked(found, "week", "failures", "node_days") == [
        (MONDAY, 4, 0.5),
        (MONDAY + SILENT, 0, 0.0),
    ]
    assert found["per_1000_node_days"].to_list() == [8000.0, None]


def test_a_definition_is_answered_only_where_somebody_recorded_under_it():
    found = rates(FAILED, EXPOSED, clock="wall")
    alls = found.filter(pl.col("class") == "all")
    assert picked(alls, "cluster", "definition", "failures") == [
        ("x", "as-recorded", 4),
        ("x", "coalesced-180s", 4),
        ("y", "coalesced-180s", 0),
    ]


@pytest.mark.parametrize("by", [["cluster"], ["cluster", "node"], ["week", "cluster"], ["node"]])
def test_rate_times_exposure_is_the_count_on_every_row(by):
    """P-13."""
    found = rates(FAILED, EXPOSED, by).filter(pl.col("node_days") > 0)
    again = found["per_1000_node_days"] * found["node_days"] / 1000
    assert again.to_list() == pytest.approx(found["failures"].to_list())
    assert (found["per_1000_node_days_lo"] <= found["per_1000_node_days"]).all()
    assert (found["per_1000_node_days"] <= found["per_1000_node_days_hi"]).all()


# --- repair times


def test_open_repairs_are_censored_not_dropped():
    """Kaplan-Meier by hand: at risk 4, 3, 1; S = 3/4, 1/2, 0."""
    found = repair_times([1, 2, 3, 5], [False, False, True, False])
    assert (found.n, found.open, found.open_share) == (4, 1, 0.25)
    assert found.median == (2 + 5) / 2
    assert found.p90 == 5
    assert found.mean == pytest.approx(8 / 3)
    assert found.lognormal_mean > repair_times([1, 2, 3, 5]).lognormal_mean


def test_a_quantile_that_nobody_reached_is_not_invented():
    found = repair_times([1, 5, 5, 5], [False, True, True, True])
    assert math.isnan(found.median)
    nothing = repair_times([])
    assert (nothing.n, math.isnan(nothing.median), math.isnan(nothing.mean)) == (0, True, True)
    assert math.isnan(repair_times([3.0], [True]).log_mean)


def test_a_repair_of_no_length_counts_but_has_no_logarithm():
    found = repair_times([0, 1, 1, math.e**2])
    assert (found.n, found.empty, found.log_mean) == (4, 1, pytest.approx(2 / 3))


def test_the_censored_fit_finds_the_planted_lognormal():
    random = np.random.default_rng(7)
    true = random.lognormal(1.2, 0.9, 4_000)
    cut = random.uniform(1, 12, 4_000)
    found = repair_times(np.minimum(true, cut).tolist(), (true > cut).tolist())
    assert found.open > 800
    assert found.log_mean == pytest.approx(1.2, abs=0.05)
    assert found.log_sd == pytest.approx(0.9, abs=0.05)
    assert found.median == pytest.approx(math.exp(1.2), rel=0.05)


def test_the_sample_of_repairs_and_rates_of_infinitehbd(shared_data):
    """Recorded outages of 400 servers in 348 days, straight from the trace."""
    trace = json.loads((shared_data / "infinitehbd" / "fault_trace.json").read_text())
    waiting: dict[tuple[str, str], list[float]] = {}
    took = []
    for event in trace:
        fault = (event["node_id"], event["fault_type"]["Desc"])
        if event["event_type"] == "fault_start":
            waiting.setdefault(fault, []).append(event["event_time"])
        else:
            took.append((event["event_time"] - waiting[fault].pop(0)) * 24)
    found = repair_times(took)
    assert (found.n, found.empty) == (584, 14)
    assert found.mean == pytest.approx(132.84, abs=0.005)
    assert found.median == pytest.approx(20.389, abs=0.0005)
    whole = rate(584, 400 * 348)
    assert whole.mtbf_node_days == pytest.approx(238.36, abs=0.005)
    assert whole.mtbf_node_days / 400 * 24 == pytest.approx(14.301, abs=0.0005)


# --- definitions


def test_rates_of_one_definition_divide_exactly():
    one = DefinedRate(30, 5000, "coalesced-180s", "in_service")
    other = DefinedRate(15, 5000, "coalesced-180s", "in_service")
    assert one / other == rate_ratio(30, 5000, 15, 5000)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (DefinedRate(1, 1, "as-recorded", "wall"), "definition 'coalesced-180s' against"),
        (DefinedRate(1, 1, "coalesced-180s", "in_service"), "clock 'wall' against 'in_service'"),
        (DefinedRate(1, 1, "coalesced-180s", "wall", frozenset({"GPU"})), "classes 'all' against"),
    ],
)
def test_rates_of_different_definitions_refuse_to_be_divided(other, named):
    """P-14."""
    with pytest.raises(DefinitionMismatchError, match=named):
        DefinedRate(1, 1, "coalesced-180s", "wall") / other


def test_the_registry_knows_every_definition_of_the_dictionary():
    found = tables.BY_NAME["failures"].dtypes["definition"]
    assert set(found.categories) == set(REGISTRY)
    with pytest.raises(ValueError, match="no definition 'mine'"):
        DefinedRate(1, 1, "mine", "wall")
