"""Heat and held-down clocks, against hours laid out by hand; warm halls against planted ones."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from lakes import rows
from test_causes import FIRST, T0, asked, exposure, fleet

from transforms.studies import RefusalError
from transforms.studies.climate import climate
from transforms.studies.excursions import excursions
from transforms.tables import derived as d
from transforms.tables.hourly import GPU_HOURLY, NODE_HOURLY

THERE = fleet(nodes=16)


def hour(number, metric, node=0, gpu=0, **said) -> dict:
    told = {"cluster": "c", "metric": metric, "node": f"n{node}", "gpu": f"GPU-{node}-{gpu}"}
    told |= {"gpu_instance": "", "hour_at": T0 + timedelta(hours=number), "samples": 240}
    told |= {"changes": 0, "covered_ms": 3_600_000, "resets": 0, "is_lower_bound": False}
    return told | said


def answer(said: list[dict], **options) -> list[dict]:
    return excursions(asked(**options), gpu_hourly=rows(GPU_HOURLY, *said), fleet=THERE).to_dicts()


def levels(lowest, p50, p99, highest) -> dict:
    return {"lowest": lowest, "mean": p50, "p50": p50, "p99": p99, "highest": highest}


def test_time_above_a_limit_has_the_bounds_that_an_hours_levels_give():
    said = [hour(n, "slowdown_temp_c", mean=90.0) for n in range(5)]
    said += [
        hour(0, "gpu_temp_c", **levels(91, 92, 93, 94)),  # all of it
        hour(1, "gpu_temp_c", **levels(60, 90, 93, 94)),  # half of it or more
        hour(2, "gpu_temp_c", **levels(60, 70, 91, 94)),  # a hundredth to half
        hour(3, "gpu_temp_c", **levels(60, 70, 80, 90)),  # a hundredth at most
        hour(4, "gpu_temp_c", **levels(60, 70, 80, 89)),
    ]
    (row,) = answer(said, what="heat")
    assert (row["above_gpu_hours_lo"], row["above_gpu_hours_hi"]) == (1.51, 2.51)
    assert (row["hottest"], row["worst_p99"], row["gpu_hours"]) == (94, 93, 5)
    assert row["above_share_hi"] == pytest.approx(2.51 / 5)
    (stricter,) = answer(said, what="heat", limit=95)
    assert (stricter["above_gpu_hours_hi"], stricter["definition"]) == (0, "above 95 C")


def test_a_gpu_that_tells_no_limit_is_in_no_share():
    said = [hour(0, "gpu_temp_c", **levels(91, 92, 93, 94)), hour(0, "slowdown_temp_c", mean=90.0)]
    said += [hour(0, "gpu_temp_c", node=1, **levels(95, 96, 97, 98))]
    (row,) = answer(said, what="heat")
    assert (row["gpus"], row["gpu_hours"], row["limit_known_gpu_hours"]) == (2, 2, 1)
    assert (row["above_share_lo"], row["hottest"]) == (1, 98)
    (none,) = answer(said[2:], what="heat")
    assert (none["above_gpu_hours_lo"], none["assumption"]) == (None, "no limit known: give one")


def test_clocks_held_down_are_a_share_of_the_time_between_samples():
    said = [
        hour(n, "power_violation_s", node=node, gpu=g, increase=36.0 if node == 3 else 0.0)
        for n in range(10)
        for node in range(8)
        for g in range(2)
    ]
    said += [hour(0, "power_violation_s", node=9, increase=None, covered_ms=0)]
    (row,) = answer(said)
    assert (row["gpus"], row["gpu_hours"], row["throttled_gpu_hours"]) == (16, 160, 0.2)
    assert row["share"] == pytest.approx(1 / 800)
    assert (row["worst_node"], row["worst_share"]) == ("n3", pytest.approx(0.01))
    assert row["share_lo"] == 0 < row["share"] < row["share_hi"] <= 0.01
    by_node = answer(said, by="node")
    assert [(r["node"], r["share_lo"]) for r in by_node] == [(f"n{k}", None) for k in range(8)]
    halls = answer(said, by="hall")
    assert {r["hall"]: r["gpus"] for r in halls} == {"H0": 16}


def test_what_was_not_sampled_is_refused():
    mig = [hour(0, "gpu_temp_c", **levels(1, 2, 3, 4)) | {"gpu_instance": "3"}]
    with pytest.raises(RefusalError, match="no GPU was sampled"):
        answer(mig)
    with pytest.raises(RefusalError, match="no counter of held-down clocks"):
        answer([hour(0, "gpu_temp_c", **levels(1, 2, 3, 4))])
    with pytest.raises(RefusalError, match="no temperature"):
        answer([hour(0, "power_violation_s", increase=1.0)], what="heat")
    with pytest.raises(RefusalError, match="throttling, heat"):
        answer(mig, what="noise")
    with pytest.raises(RefusalError, match="cannot group by pdu"):
        answer(mig, by="pdu")


DAYS = 84
WATCHED = exposure(THERE, days=DAYS)


def weather(rng, swing=4.0) -> np.ndarray:
    """Degrees of two halls by day: seasons of ten days, H1 five degrees warmer."""
    day = np.arange(DAYS)
    waves = np.sin(day / 10 * 2 * np.pi) * swing + rng.normal(0, 0.5, DAYS)
    return np.stack([20 + waves, 25 + waves])


def climates(by_hall: np.ndarray, hits: list[tuple], days=DAYS, **options) -> list[dict]:
    halls = THERE.select("node", hall=pl.col("hall").str.slice(1).cast(pl.Int64)).to_dicts()
    hours = [
        {"cluster": "c", "metric": "board_inlet_temp_c", "node": one["node"], "devices": 1}
        | {"hour_at": T0 + timedelta(days=k), "samples": 60, "mean": float(by_hall[one["hall"], k])}
        | {"covered_ms": 0, "resets": 0, "is_lower_bound": False}
        for one in halls
        for k in range(days)
    ]
    told = [
        {"day": FIRST + timedelta(days=int(at)), "cluster": "c", "node": f"n{node}", "class": "GPU"}
        | {"component": "lost", "definition": "coalesced-180s", "failures": 1}
        for at, node in hits
    ]
    failures = (
        rows(d.FAILURES, *told).group_by(pl.exclude("failures")).agg(pl.col("failures").sum())
    )
    return climate(
        asked(**options),
        node_hourly=rows(NODE_HOURLY, *hours),
        failures=failures.select(d.FAILURES.dtypes.names()),
        exposure=WATCHED,
    ).to_dicts()


def drawn(rng, rate: np.ndarray) -> list[tuple]:
    """(day, node) of failures whose rate by hall and day is `rate` a node."""
    halls = [int(h[1:]) for h in THERE["hall"]]
    return [
        (day, node)
        for node, hall in enumerate(halls)
        for day in range(DAYS)
        for _ in range(rng.poisson(rate[hall, day]))
    ]


def test_a_planted_effect_of_the_day_before_is_found_with_its_size():
    rng = np.random.default_rng(5)
    by_hall = weather(rng)
    rate = 0.05 * np.exp(0.2 * (np.roll(by_hall, 1, axis=1) - 22))
    found = {row["lag_days"]: row for row in climates(by_hall, drawn(rng, rate))}
    best = found[1]
    assert best["verdict"] == "fails more when warm"
    assert best["ratio_per_degree_lo"] < np.exp(0.2) < best["ratio_per_degree_hi"]
    assert best["p"] == min(row["p"] for row in found.values())
    assert (best["halls"], best["hall_days"]) == (2, 2 * (DAYS - 1))


def test_a_warmer_hall_of_worse_nodes_is_no_evidence():
    rng = np.random.default_rng(6)
    told = 0
    for _ in range(40):
        rate = np.stack([np.full(DAYS, 0.03), np.full(DAYS, 0.12)])
        verdicts = [row["verdict"] for row in climates(weather(rng), drawn(rng, rate))]
        told += any(verdict != "no evidence of a difference" for verdict in verdicts)
    assert told <= 10  # one in ten is meant; 24 hall-weeks are few for clustered errors


def test_halls_without_weather_or_failures_are_refused():
    rng = np.random.default_rng(7)
    flat = np.full((2, DAYS), 21.0)
    with pytest.raises(RefusalError, match="no hall's days differ by 1 C"):
        climates(flat, drawn(rng, np.full((2, DAYS), 0.1)))
    with pytest.raises(RefusalError, match="2 failures"):
        climates(weather(rng), [(20, 1), (30, 9)])
    with pytest.raises(RefusalError, match="of 4 hall-weeks, and 10 are needed"):
        climates(weather(rng), drawn(rng, np.full((2, DAYS), 0.5)), days=14)
    with pytest.raises(RefusalError, match="there are board_inlet_temp_c"):
        climates(weather(rng), [(20, 1)], metric="gpu_temp_c")
