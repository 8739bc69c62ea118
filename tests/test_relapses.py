"""Repairs that last and repairs that do not: crude shares, Kaplan-Meier, actions, infant mortality."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from node_frames import START, fleet_of, gpu, incidents_at

from transforms.comparison import rate_ratio
from transforms.reliability.recurrence import wilson
from transforms.studies import Asked, RefusalError
from transforms.studies.relapses import relapses
from transforms.tables import derived as d
from transforms.tables import observed as o

HOUR = timedelta(hours=1)


def repair(
    node: int, up: float, reason: str = "Xid 79", incident: str | None = None, **more
) -> dict:
    """Out for six hours until `up` days after the start."""
    back = START + timedelta(days=up)
    said = {"cluster": "c", "node": f"n{node:05}", "down_from": back - 6 * HOUR, "up_again": back}
    said |= {"day": (back - 6 * HOUR).date(), "planned": False, "reason": reason}
    return said | {"incident": incident} | more


def incident(name: str, node: int, day: float, klass: str = "GPU") -> pl.DataFrame:
    began = START + timedelta(days=day)
    row = pl.DataFrame([{"day": began.date(), "cluster": "c", "node": f"n{node:05}"}])
    return incidents_at(row, klass).with_columns(
        incident=pl.lit(name),
        began=pl.lit(began, pl.Datetime("us", "UTC")),
        ended=pl.lit(began, pl.Datetime("us", "UTC")),
    )


def told(spells: list[dict], hits: list[pl.DataFrame], nodes=200, days=60, gpus=None, **asked):
    said = {"clock": "wall"} | {k: asked.pop(k) for k in ("clock", "klass") if k in asked}
    return relapses(
        Asked(**said, options=asked),
        repairs=pl.DataFrame(spells, schema=d.REPAIRS.dtypes),
        incidents=pl.concat([d.INCIDENTS.empty(), *hits]),
        exposure=fleet_of(np.full(nodes, days), days),
        gpus=o.GPUS.empty() if gpus is None else gpus,
    )


def test_x20_the_crude_share_carries_wilsons_limits(golden):
    x = golden["X20_relapse"]
    first = [incident(f"a{n}", n, 9.7) for n in range(80)]
    again = [incident(f"b{n}", n, 15) for n in range(12)]
    found = told([repair(n, 10, incident=f"a{n}") for n in range(80)], first + again)
    row = found.row(0, named=True)
    assert (row["again"], row["repairs"], row["failures"]) == ("same class", 80, 12)
    assert (row["relapsed_7d"], row["watched_7d"]) == (12, 80)
    assert [row["crude_7d"], row["crude_7d_lo"], row["crude_7d_hi"]] == pytest.approx([x["p"], x["lo"], x["hi"]], rel=1e-6)  # fmt: skip
    assert row["within_7d"] == pytest.approx(0.15)  # nobody was censored before
    assert row["within_7d_lo"] < 0.15 < row["within_7d_hi"]
    assert row["node_days"] == pytest.approx(12 * 5 + 68 * 50)
    assert row["per_1000_node_days"] == pytest.approx(1000 * 12 / row["node_days"])


def test_another_class_is_a_failure_and_no_relapse():
    hits = [incident("a", 0, 9.7), incident("b", 0, 12, "Network"), incident("c", 0, 20)]
    same, every = told([repair(0, 10, incident="a")], hits).iter_rows(named=True)
    assert (same["again"], same["node_days"], same["relapsed_7d"]) == ("same class", 10.0, 0)
    assert (every["again"], every["node_days"], every["relapsed_7d"]) == ("any class", 2.0, 1)


def test_repairs_lost_sight_of_are_censored_and_not_counted_as_lasting():
    spells = [repair(n, 10, incident=f"a{n}") for n in range(10)] + [repair(n, 57) for n in range(20, 30)]  # fmt: skip
    hits = [incident(f"a{n}", n, 9.7) for n in range(10)] + [incident(f"b{n}", n, 15) for n in range(5)]  # fmt: skip
    row = told(spells, hits, klass="all").row(1, named=True)
    assert (row["repairs"], row["relapsed_7d"], row["watched_7d"]) == (20, 5, 10)
    assert row["crude_7d"] == row["within_7d"] == 0.5


def test_a_share_beyond_what_was_watched_is_not_told():
    row = told([repair(0, 40, incident="a"), repair(1, 41)], [incident("a", 0, 39.7), incident("b", 0, 45)]).row(0, named=True)  # fmt: skip
    assert row["within_7d"] == 0.5
    assert row["within_30d"] is None
    assert (row["relapsed_30d"], row["watched_30d"], row["crude_30d"]) == (0, 0, None)


def test_no_fault_found_relapses_and_swaps_do_not():
    spells = [repair(n, 10, "passed all tests, no fault found") for n in range(40)]
    spells += [repair(n, 10, "GPU fell off the bus") for n in range(40, 80)]
    swapped = [gpu(f"s{n}", n, "0000:19:00", 10) for n in range(40, 80)]
    gpus = pl.DataFrame(swapped, schema=o.GPUS.dtypes).with_columns(valid_from=pl.col("valid_from") - HOUR)  # fmt: skip
    hits = [incident(f"b{n}", n, 12 + n % 7) for n in range(0, 40, 2)] + [incident("x", 41, 30)]
    found = told(spells, hits, gpus=gpus, by="action").filter(pl.col("again") == "any class")
    assert found.select("group", "repairs", "failures").rows() == [("no fault found", 40, 20), ("swap", 40, 1)]  # fmt: skip
    assert found["p_log_rank"].max() < 1e-4
    alike = told(spells, [incident(f"b{n}", n, 12 + n % 7) for n in range(0, 80, 2)], gpus=gpus, by="action")  # fmt: skip
    assert alike["p_log_rank"].max() > 0.05


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        ("rebooted by ops", "reset"),
        ("GPU 3 reseated", "reseat"),
        ("replaced baseboard", "swap"),
        ("reimaged", "software"),
        ("could not reproduce after reset", "no fault found"),
        ("Xid 79", "not told"),
        (None, "not told"),
    ],
)
def test_words_of_the_reason_tell_the_action(reason, action):
    found = told([repair(0, 10, reason)], [], by="action")
    assert found["group"].to_list() == [action] * 2


def test_reasons_that_differ_in_a_number_are_one_group():
    found = told([repair(n, 10, f"link flap mlx5_{n}") for n in range(3)], [], by="reason")
    assert found["group"].unique().to_list() == ["link flap mlx#_#"]


def test_infant_mortality_is_the_first_days_over_the_later_ones():
    spells = [repair(n, 10) for n in range(100)]
    early = [incident(f"e{n}", n, 11.5) for n in range(15)]
    late = [incident(f"l{n}", n, 25) for n in range(50, 60)]
    row = told(spells, early + late).row(1, named=True)
    exact = rate_ratio(15, 300, 10, 2000)
    assert (row["infant_ratio"], row["infant_ratio_p"]) == pytest.approx((exact.ratio, exact.p))
    assert row["assumption"].startswith("not held: the hazard changes after the return")


def test_a_stretch_ends_with_the_next_spell_planned_or_not():
    spells = [repair(0, 10), repair(0, 20.25, planned=True), repair(0, 30, planned=True)]
    hits = [incident("a", 0, 11), incident("b", 0, 25)]  # the second stretch began with a plan
    row = told(spells, hits).row(1, named=True)
    exact = rate_ratio(1, 3, 0, 2)
    assert (row["infant_ratio_lo"], row["infant_ratio_p"]) == (exact.low, exact.p)


def test_steady_hazard_is_held_as_often_as_promised():
    rng = np.random.default_rng(17)
    broken = 0
    for _ in range(30):
        ages = [(n, age) for n in range(100) for age in rng.uniform(0, 50, rng.poisson(2))]
        hits = [incident(f"b{k}", n, 10 + age) for k, (n, age) in enumerate(ages)]
        rows = told([repair(n, 10) for n in range(100)], hits)
        broken += rows["assumption"][1] != "held"
    assert broken <= 5  # nominally 5 %, the exact interval is wider


def test_the_curve_finds_the_hazard_that_made_it():
    rng = np.random.default_rng(23)
    gaps = rng.exponential(20, 400)
    hits = [incident(f"b{n}", n, 10 + gap) for n, gap in enumerate(gaps) if gap < 50]
    row = told([repair(n, 10) for n in range(400)], hits, nodes=400).row(1, named=True)
    assert row["within_7d_lo"] < 1 - np.exp(-7 / 20) < row["within_7d_hi"]
    assert row["within_30d_lo"] < 1 - np.exp(-30 / 20) < row["within_30d_hi"]
    assert row["per_1000_node_days_lo"] < 50 < row["per_1000_node_days_hi"]


def test_without_a_relapse_there_is_a_bound_and_no_curve():
    row = told([repair(n, 10) for n in range(30)], []).row(0, named=True)
    assert (row["failures"], row["within_7d"], row["assumption"]) == (0, None, "too few failures to tell")  # fmt: skip
    assert row["crude_7d_hi"] == pytest.approx(wilson(0, 30)[2])
    assert row["per_1000_node_days_hi"] == pytest.approx(1000 * 3.689 / 1500, rel=1e-3)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"by": "moon"}, "cannot group by 'moon'"),
        ({"clock": "allocated"}, "run on the wall clock"),
        ({"klass": "Network"}, "nothing to relapse from"),
    ],
)
def test_what_cannot_be_answered_is_refused(asked, reason):
    with pytest.raises(RefusalError, match=reason):
        told([repair(0, 10, incident="a")], [incident("a", 0, 9.7)], **asked)
    with pytest.raises(RefusalError, match="nothing to relapse from"):
        told([], [])
