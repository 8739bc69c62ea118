"""What failures have in common: planted causes are found, and chance is not taken for one."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.studies import Asked, RefusalError
from transforms.studies.domains import domains
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY_MS = 86_400_000


def asked(**options) -> Asked:
    known = {k: options.pop(k) for k in ("clock", "definition", "klass", "seed") if k in options}
    return Asked(**known, options={k: str(v) for k, v in options.items()})


def fleet(nodes=160, per_rack=8, halls=2, **more) -> pl.DataFrame:
    """Racks of `per_rack`, PDUs of half a rack, the racks split among the halls."""
    rows = []
    for i in range(nodes):
        rack = i // per_rack
        rows.append(
            {"cluster": "c", "node": f"n{i}", "valid_from": T0 - timedelta(days=90), "gpus": 8}
            | {"gpu_model": "H100", "hall": f"H{rack * halls // (nodes // per_rack)}"}
            | {"rack": f"r{rack}", "pdu": f"p{2 * i // per_rack}", "evidence": "inventory"}
            | {name: value(i) for name, value in more.items()}
        )
    full = [dict.fromkeys(d.FLEET.dtypes) | row for row in rows]
    return pl.DataFrame(full, schema_overrides=d.FLEET.dtypes).select(d.FLEET.dtypes.keys())


def exposure(there: pl.DataFrame, days=28) -> pl.DataFrame:
    """Every node of the fleet in service all day, on every day from its first."""
    day = pl.DataFrame({"day": [FIRST + timedelta(days=k) for k in range(days)]})
    full = dict.fromkeys(("wall_ms", "in_service_ms", "allocated_ms"), DAY_MS)
    none = dict.fromkeys(("down_ms", "planned_down_ms", "unobserved_ms"), 0)
    return (
        there.join(day, how="cross")
        .filter(pl.col("valid_from").dt.date() <= pl.col("day"))
        .with_columns(gpu_capacity_ms=8 * DAY_MS, **full, **none)
        .select(pl.col(n).cast(t) for n, t in d.EXPOSURE.dtypes.items())
    )


def failed(*hits, klass="GPU", kind="xid", code=79) -> dict[str, pl.DataFrame]:
    """Incidents that count and their members; a hit is (seconds, node) or (seconds, nodes...)."""
    incidents, members = [], []
    for number, (seconds, *nodes) in enumerate(sorted(hits)):
        at = T0 + timedelta(seconds=float(seconds))
        names = [f"n{i}" for i in nodes]
        incidents.append(
            {"incident": f"i{number}", "day": at.date(), "cluster": "c", "began": at, "ended": at}
            | {"node": names[0], "device": "", "nodes": names, "gpus": [], "class": klass}
            | {"component": "lost", "root_kind": kind, "root_code": code, "severity": "S3"}
            | {"confidence": 1.0, "events": len(nodes), "definition": "coalesced-180s"}
            | {"counts": True, "interrupts": 0}
        )
        members += [
            {"incident": f"i{number}", "day": at.date(), "source_table": "kernel_events"}
            | {"observed_at": at, "node": name, "kind": kind, "code": code, "device": ""}
            | {"file": "f", "line_no": 1, "role": "effect" if place else "root"}
            for place, name in enumerate(names)
        ]
    return {
        "incidents": pl.DataFrame(incidents, schema=d.INCIDENTS.dtypes),
        "incident_members": pl.DataFrame(members, schema=d.INCIDENT_MEMBERS.dtypes),
    }


def by_chance(rng: np.random.Generator, nodes=160, days=28, rate=0.05) -> list[tuple]:
    """Failures one by one; some nodes fail twenty times oftener than others."""
    each = rate * rng.gamma(0.5, 2, nodes)
    counts = rng.poisson(each * days)
    return [(rng.uniform(0, days * 86_400), int(i)) for i in np.repeat(np.arange(nodes), counts)]


def of(found: pl.DataFrame, kind: str, what: str = "all") -> list[dict]:
    return found.filter(pl.col("kind") == kind, pl.col("what") == what).to_dicts()


THERE = fleet()
WATCHED = exposure(THERE)


def put(hits, **options) -> pl.DataFrame:
    return domains(asked(**options), **failed(*hits), exposure=WATCHED, fleet=THERE)


def test_a_rack_that_trips_is_named_and_no_other():
    rng = np.random.default_rng(3)
    trips = [(86_400 * day + rng.uniform(0, 50), 40 + i) for day in (5, 17) for i in range(6)]
    found = put(by_chance(rng) + trips)
    (rack,) = of(found, "rack")
    assert (rack["verdict"], rack["bursts"], rack["largest_burst"]) == ("nodes fail together", 2, 6)
    assert [row["name"] for row in of(found, "rack", "domain")] == ["r5"]
    assert of(found, "rack", "domain")[0]["tried"] == 20 + 40 + 2
    assert {row["name"] for row in of(found, "pdu", "domain")} == {"p10"}  # four of the six


def test_independent_failures_of_unequal_nodes_are_no_common_cause():
    rng = np.random.default_rng(8)
    alarms = 0
    for seed in range(60):
        found = put(by_chance(rng, rate=0.3), draws=199, seed=seed, gap=30)
        told = found.filter(
            pl.col("verdict").is_in(
                ["nodes fail together", "evidence that its nodes fail together"]
            )
        )
        alarms += told.height > 0
    assert alarms <= 5  # 5 % are promised; more than 5 of 60 would be seen once in 12


def test_an_incident_of_many_nodes_counts_as_its_pairs():
    found = put([(10, 40, 41, 42), (900_000, 7)])
    assert of(found, "rack")[0]["pairs"] == 3
    assert of(found, "rack")[0]["failures"] == 4


def test_nodes_drawn_in_by_another_ones_fault_did_not_fail():
    hits = failed((10, 40, 41, 42), (900_000, 7))
    cleaned = hits["incident_members"].with_columns(
        code=pl.when(pl.col("role") == "root").then("code").otherwise(45).cast(pl.Int32)
    )
    found = domains(
        asked(),
        incidents=hits["incidents"],
        incident_members=cleaned,
        exposure=WATCHED,
        fleet=THERE,
    )
    assert of(found, "rack")[0]["pairs"] == 0
    assert of(found, "rack")[0]["failures"] == 2


def test_a_recorded_outage_of_a_rack_is_the_failure_of_all_that_stood_there():
    hits = failed((10, 40, 41, 42), (900_000, 7), kind="outage", code=0)
    nameless = pl.when(pl.col("incident") == "i0").then(pl.lit("")).otherwise("node").alias("node")
    frames = {name: frame.with_columns(nameless) for name, frame in hits.items()}
    found = domains(asked(), **frames, exposure=WATCHED, fleet=THERE)
    assert of(found, "rack")[0]["pairs"] == 3


def test_racks_commissioned_while_the_fleet_is_watched_make_no_pairs_of_their_own():
    """Nodes that came together have failed in the same weeks: that is no cause they share."""
    late = T0 + timedelta(days=21)
    there = fleet(valid_from=lambda i: late if i % 160 >= 80 else T0 - timedelta(days=90))
    rng = np.random.default_rng(4)
    alarms = 0
    for seed in range(30):
        early = [hit for hit in by_chance(rng, rate=0.1) if hit[1] < 80]
        fresh = [(21 * 86_400 + rng.uniform(0, 7 * 86_400), int(rng.integers(80, 160))) for _ in range(160)]  # fmt: skip
        found = domains(
            asked(draws=199, seed=seed, gap=10, klass="all"),
            **failed(*early, *fresh),
            exposure=exposure(there),
            fleet=there,
        )
        alarms += of(found, "rack")[0]["verdict"] == "nodes fail together"
    assert alarms <= 3


def test_beta_is_the_share_of_a_class_that_has_a_partner():
    found = put([(10, 40), (20, 41), (30 * 3600, 50), (90 * 3600, 60)])
    (row,) = of(found, "rack", "class")
    assert (row["name"], row["beta"]) == ("GPU", 0.5)
    assert row["usual_beta"] < 0.2


def test_one_domain_of_a_kind_cannot_be_told_from_another():
    there = fleet(cooling_loop=lambda i: "loop")
    found = domains(asked(), **failed((1, 2), (3, 4)), exposure=WATCHED, fleet=there)
    (row,) = of(found, "cooling_loop")
    assert row["verdict"].startswith("cannot be told")
    assert row["p"] is None


def test_kinds_that_nobody_named_are_left_out():
    assert set(put([(1, 2), (3, 4)])["kind"]) == {"rack", "pdu", "hall"}


def test_the_closed_form_is_that_of_the_methods():
    found = put([(1, 2), (3, 4), (500_000, 9)])
    expected = 20 * 28 * 2 * (10 / 1440) * 28 * (3 / (160 * 28)) ** 2
    assert of(found, "rack")[0]["closed_form_pairs"] == pytest.approx(expected)


def test_too_little_is_refused():
    with pytest.raises(RefusalError, match="fewer than 2"):
        put([(1, 2)])
    bare = THERE.with_columns(pl.lit(None, pl.String).alias(n) for n in ("rack", "pdu", "hall"))
    with pytest.raises(RefusalError, match="give an inventory"):
        domains(asked(), **failed((1, 2), (3, 4)), exposure=WATCHED, fleet=bare)
    with pytest.raises(RefusalError, match="gap 600"):
        put([(1, 2), (3, 4)], gap=600)
