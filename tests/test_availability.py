"""Time up and rates under gaps: every reading, limits that cover, bounds where nobody looked."""

import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from transforms import mtbf
from transforms.reliability.availability import (
    bootstrap_limits,
    f_limits,
    looks_exponential,
    redrawn_limits,
)
from transforms.reliability.coverage import rate_over_gaps
from transforms.studies import Asked, RefusalError
from transforms.studies.availability import availability
from transforms.studies.compare import compare
from transforms.studies.rates import rates
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def asked(clock="in_service", level=0.95, **options) -> Asked:
    return Asked(clock=clock, level=level, options={k: str(v) for k, v in options.items()})


def spans(*cells, nodes=20, days=28) -> pl.DataFrame:
    """Nodes in service all day but for cells (day, node, down h, planned h, unknown h)."""
    out = {(day, node): hours for day, node, *hours in cells}
    rows = []
    for k in range(days):
        for i in range(nodes):
            down, planned, unknown = (h * HOUR_MS for h in out.get((k, i), (0, 0, 0)))
            up = DAY_MS - down - planned - unknown
            rows.append(
                {"day": FIRST + timedelta(days=k), "cluster": "c", "node": f"n{i}", "gpus": 8}
                | {"provider": "own", "hall": "H1" if i < nodes // 2 else "H2", "rack": None}
                | {"wall_ms": DAY_MS, "in_service_ms": up, "allocated_ms": up // 2}
                | {"down_ms": down, "planned_down_ms": planned, "unobserved_ms": unknown}
                | {"gpu_capacity_ms": 8 * DAY_MS}
            )
    return pl.DataFrame(rows, schema=d.EXPOSURE.dtypes)


def spells(*said) -> pl.DataFrame:
    """Repairs as (day, node, hours or None while open, planned)."""
    rows = [
        {"cluster": "c", "node": f"n{node}", "day": FIRST + timedelta(days=day)}
        | {"down_from": T0 + timedelta(days=day, seconds=i), "planned": planned}
        | {"up_again": hours and T0 + timedelta(days=day, seconds=i, hours=hours)}
        | {"reason": None, "incident": None}
        for i, (day, node, hours, planned) in enumerate(said)
    ]
    return pl.DataFrame(rows, schema=d.REPAIRS.dtypes)


def failures(*hits) -> pl.DataFrame:
    rows = [
        {"day": FIRST + timedelta(days=day), "cluster": "c", "node": f"n{node}", "class": "GPU"}
        | {"component": "lost", "definition": "coalesced-180s", "failures": n}
        for day, node, n in hits
    ]
    return pl.DataFrame(rows, schema=d.FAILURES.dtypes)


def test_planned_time_counts_against_the_operational_reading_alone():
    exposure = spans((0, 0, 12, 0, 0), (1, 1, 0, 24, 0), (2, 2, 0, 0, 6))
    repairs = spells((0, 0, 12, False), (1, 1, 24, True))
    (row,) = availability(asked(), exposure=exposure, repairs=repairs).rows(named=True)
    assert (row["repairs"], row["planned_repairs"], row["node_days"]) == (1, 1, 560.0)
    up = 560 - 0.5 - 1 - 0.25
    assert row["inherent"] == pytest.approx(up / (up + 0.5))
    assert row["operational"] == pytest.approx(up / (up + 1.5))
    assert row["unknown_as_up"] == pytest.approx((up + 0.25) / 560)
    assert row["unknown_as_down"] == pytest.approx(up / 560)
    assert row["coverage"] == pytest.approx(1 - 0.25 / 560)
    assert (row["limits"], row["assumption"]) == ("F", "too few repairs to tell")
    exact = mtbf.availability(1, up, 0.5)
    assert (row["inherent_lo"], row["inherent_hi"]) == pytest.approx((exact.lo, exact.hi))
    assert row["mttr_hours"] == 12
    assert row["mtbf_hours"] == pytest.approx(24 * up)


def test_without_a_repair_there_are_no_limits_and_no_mtbf():
    (row,) = availability(asked(), exposure=spans(), repairs=spells()).rows(named=True)
    assert (row["inherent"], row["inherent_lo"], row["mtbf_hours"]) == (1.0, None, None)
    assert (row["limits"], row["assumption"]) == ("none", "no repair: no limits")


@pytest.mark.parametrize(("by", "rows"), [("hall", 2), ("node", 20), ("day", 28), ("week", 4), ("provider,month", 1), (" ", 1), ("hall,hall", 2)])  # fmt: skip
def test_every_grouping_keeps_time_and_repairs(by, rows):
    exposure = spans((0, 0, 12, 0, 0), (1, 15, 0, 24, 0), (2, 2, 0, 0, 6))
    repairs = spells((0, 0, 12, False), (1, 15, 24, True))
    found = availability(asked(by=by), exposure=exposure, repairs=repairs)
    assert found.height == rows
    assert found["node_days"].sum() == pytest.approx(560)
    assert found["down_days"].sum() == pytest.approx(0.5)
    assert (found["repairs"].sum(), found["planned_repairs"].sum()) == (1, 1)


def test_heavy_tailed_repairs_are_answered_by_drawing_nodes_again():
    rng = np.random.default_rng(3)
    hours = np.minimum(rng.lognormal(0, 1.8, 60), 20)
    cells = [(k % 28, k % 20, h, 0, 0) for k, h in enumerate(hours)]
    exposure = spans(*((day, node, int(h * 1000) / 1000, 0, 0) for day, node, h, *_ in cells))
    repairs = spells(*((day, node, h, False) for day, node, h, *_ in cells))
    (row,) = availability(asked(), exposure=exposure, repairs=repairs).rows(named=True)
    assert (row["limits"], row["assumption"]) == ("nodes drawn again", "not held")
    assert row["inherent_lo"] < row["inherent"] < row["inherent_hi"]
    again = availability(asked(), exposure=exposure, repairs=repairs)
    assert again.rows(named=True) == [row]


def test_exponential_repairs_keep_the_f_law():
    rng = np.random.default_rng(4)
    said = [(k % 28, k % 20, float(h), False) for k, h in enumerate(rng.exponential(3, 40))]
    exposure = spans(*((day, node, int(h * 1000) / 1000, 0, 0) for day, node, h, _ in said))
    (row,) = availability(asked(), exposure=exposure, repairs=spells(*said)).rows(named=True)
    assert (row["limits"], row["assumption"]) == ("F", "held")


def test_a_promise_is_read_in_the_kindest_and_the_harshest_way():
    exposure = spans((0, 0, 12, 0, 0), (1, 1, 0, 24, 0), (2, 2, 0, 0, 24))
    found = availability(asked(promised=0.998), exposure=exposure, repairs=spells())
    (row,) = found.rows(named=True)
    assert row["promise"] == "depends on the reading"
    assert row["short_points_least"] == 0
    assert row["short_points_most"] == pytest.approx(100 * (0.998 - 557.5 / 560))
    assert row["short_points"] == pytest.approx(100 * (0.998 - 557.5 / 559))
    for promised, verdict in ((0.5, "kept in every reading"), (1, "missed in every reading")):
        found = availability(asked(promised=promised), exposure=exposure, repairs=spells())
        assert found["promise"].to_list() == [verdict]


def test_a_job_needs_all_its_nodes_at_once():
    exposure = spans((0, 0, 12, 0, 0))
    found = availability(asked(nodes=128), exposure=exposure, repairs=spells((0, 0, 12, False)))
    (row,) = found.rows(named=True)
    assert row["all_up"] == pytest.approx((559.5 / 560) ** 128)
    assert row["all_up_lo"] == pytest.approx(row["operational_lo"] ** 128)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"promised": 99.4}, "write 0.994"),
        ({"nodes": 0}, "a job of 0 nodes"),
        ({"by": "class"}, "cannot group by class"),
    ],
)
def test_what_cannot_be_asked_of_availability_is_refused(wrong, reason):
    with pytest.raises(RefusalError, match=reason):
        availability(asked(**wrong), exposure=spans(), repairs=spells())
    with pytest.raises(RefusalError, match="no commissioned time"):
        availability(asked(), exposure=spans(days=0), repairs=spells())


def test_below_the_gate_availability_is_its_two_extreme_readings():
    cells = [(k, i, 0, 0, 24) for k in range(2) for i in range(20)]
    (row,) = availability(asked(nodes=4), exposure=spans(*cells), repairs=spells()).rows(named=True)
    assert row["assumption"] == "92.9% of the time observed: bounds only"
    assert (row["inherent"], row["operational"], row["all_up"]) == (None, None, None)
    assert (row["unknown_as_up"], row["unknown_as_down"]) == (1.0, pytest.approx(26 / 28))


def test_f_limits_of_many_units_are_those_of_each(golden):
    x = golden["X9_availability"]
    lo, hi = f_limits([20, 0, 1], [20_000, 10, 0], [400, 0, 5])
    exact = mtbf.availability(20, 20_000, 400)
    assert (lo[0], hi[0]) == (exact.lo, exact.hi)
    assert exact.availability == pytest.approx(x["A"], rel=1e-9)
    assert np.isnan([lo[1:], hi[1:]]).all()


@pytest.mark.parametrize("n", [8, 40, 300])
def test_exponential_times_look_so_nineteen_times_in_twenty(n):
    rng = np.random.default_rng(n)
    refused = sum(not looks_exponential(rng.exponential(7, n)) for _ in range(2000))
    assert 70 <= refused <= 135
    heavy = sum(not looks_exponential(rng.lognormal(0, 1.4, n)) for _ in range(200))
    assert heavy > {8: 20, 40: 90, 300: 199}[n]


def test_a_fleet_of_12500_nodes_is_drawn_2000_times_in_two_seconds():
    rng = np.random.default_rng(1)
    down = rng.exponential(5, 12_500)
    bootstrap_limits(720 - down, down, rng)  # compiled once
    began = time.process_time()
    lo, hi = bootstrap_limits(720 - down, down, rng)
    assert time.process_time() - began < 2
    share = 1 - down.mean() / 720
    spread = 1.96 * down.std() / 720 / np.sqrt(12_500)
    assert (lo, hi) == pytest.approx((share - spread, share + spread), abs=spread / 5)


def test_alike_nodes_drawn_together_are_drawn_as_if_apart():
    down = np.where(np.arange(1000) < 30, 40.0, 0.0)
    together = bootstrap_limits(720 - down, down, np.random.default_rng(1))
    apart = bootstrap_limits(720 - down + np.arange(1000) * 1e-9, down, np.random.default_rng(2))
    assert together == pytest.approx(apart, abs=1.01 * 40 / 720 / 1000)  # one node's step


def test_a_rate_below_the_gate_is_bounds_that_hold_the_methods_own(golden):
    """X45's shape: 7 % unseen; the bounds are the sampling limits times those of the gap."""
    unseen = [(k, i, 0, 0, 24) for k in range(2) for i in range(20)]
    hits = failures(*((k, k % 20, 2) for k in range(5, 11)))
    (row,) = rates(asked(), failures=hits, exposure=spans(*unseen)).rows(named=True)
    assert row["coverage"] == pytest.approx(26 / 28)
    assert (row["per_1000_node_days"], row["mtbf_hours"]) == (None, None)
    assert row["assumption"] == "92.9% of the time observed: bounds only"
    sampled = mtbf.rate(12, 520)
    gap = rate_over_gaps(12, 520, 560)
    assert row["per_1000_node_days_lo"] == pytest.approx(
        sampled.lo * gap.lo / gap.per_1000_node_days
    )
    assert row["per_1000_node_days_hi"] == pytest.approx(
        sampled.hi * gap.hi / gap.per_1000_node_days
    )
    (wall,) = rates(asked("wall"), failures=hits, exposure=spans(*unseen)).rows(named=True)
    for edge in ("per_1000_node_days_lo", "per_1000_node_days_hi", "mtbf_hours_lo"):
        assert wall[edge] == pytest.approx(row[edge])  # one truth, whichever clock tells it


def test_a_place_that_nobody_watched_has_no_upper_bound():
    unseen = [(k, i, 0, 0, 24) for k in range(28) for i in range(10)]
    found = rates(asked("wall", by="hall"), failures=failures(), exposure=spans(*unseen))
    dark, seen = found.rows(named=True)
    assert (dark["coverage"], dark["per_1000_node_days_hi"], dark["mtbf_hours_lo"]) == (0, None, 0)
    assert (seen["coverage"], seen["per_1000_node_days"]) == (1, 0)


def test_sides_that_were_not_watched_enough_are_not_compared():
    unseen = [(k, i, 0, 0, 24) for k in range(2) for i in range(20)]
    with pytest.raises(RefusalError, match=r"hall=H1: 92\.9% of its time was observed"):
        compare(
            asked(first="hall=H1", second="hall=H2"),
            failures=failures(),
            exposure=spans(*unseen),
        )


def test_nodes_are_drawn_again_by_compiled_code_as_without_it():
    from transforms.reliability import redraw_sweep
    from transforms.reliability.availability import redrawn

    rng = np.random.default_rng(4)
    for nodes, draws, seed in ((1, 3, 0), (7, 50, 2**62 + 12345), (300, 40, 99)):
        times = rng.uniform(0, 1000, (nodes, 3))
        swept = redraw_sweep.redrawn(times, draws, seed)
        assert swept == pytest.approx(redrawn(times, draws, seed), rel=1e-12)
    thick = redrawn(np.stack([np.arange(50.0), np.ones(50)], axis=1), 4000, 5)
    assert thick[:, 0].mean() == pytest.approx(50 * 24.5, rel=0.01)
    assert thick[:, 0].std() == pytest.approx((50 * (50**2 - 1) / 12) ** 0.5, rel=0.05)
    assert (thick[:, 1] == 50).all()


def test_both_readings_are_drawn_at_once_as_each_by_itself():
    rng = np.random.default_rng(5)
    down, planned = rng.lognormal(0, 1, 400), rng.lognormal(0, 1, 400)
    both = redrawn_limits(720 - down, down, planned, np.random.default_rng(1))
    apart = [
        edge
        for out in (down, down + planned)
        for edge in bootstrap_limits(720 - down, out, np.random.default_rng(1))
    ]
    assert both == pytest.approx(apart, rel=1e-12)
