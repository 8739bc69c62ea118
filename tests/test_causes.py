"""What failures have in common: planted causes are found, and chance is not taken for one."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from transforms import eras
from transforms.studies import Asked, RefusalError
from transforms.studies.changes import changes
from transforms.studies.compare import compare
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


def calendar(*entries) -> pl.DataFrame:
    """Entries are (day number, kind, what) with a class and a hall where they bear on one."""
    rows = [
        (FIRST + timedelta(days=day), kind, what, *more, *[None] * (2 - len(more)))
        for day, kind, what, *more in entries
    ]
    return pl.DataFrame(rows, schema=eras.SCHEMA, orient="row")


def growing(days: int, nodes=lambda day: 500) -> pl.DataFrame:
    """Exposure of a whole hall on one row a day: gpus stand for nothing."""
    rows = [
        {"day": FIRST + timedelta(days=k), "cluster": "c", "node": "n0", "gpus": 8, "hall": "H1"}
        | {"wall_ms": nodes(k) * DAY_MS, "in_service_ms": nodes(k) * DAY_MS, "allocated_ms": 0}
        | {"down_ms": 0, "planned_down_ms": 0, "unobserved_ms": 0, "gpu_capacity_ms": 0}
        for k in range(days)
    ]
    full = [dict.fromkeys(d.EXPOSURE.dtypes) | row for row in rows]
    return pl.DataFrame(full, schema=d.EXPOSURE.dtypes)


def counts(*each: int, klass="GPU") -> pl.DataFrame:
    """So many failures on each day."""
    rows = [
        {"day": FIRST + timedelta(days=k), "cluster": "c", "node": "n0", "class": klass}
        | {"component": "lost", "definition": "coalesced-180s", "failures": int(n)}
        for k, n in enumerate(each)
        if n
    ]
    return pl.DataFrame(rows, schema=d.FAILURES.dtypes)


def changed(seen, days=120, entries=(), nodes=lambda day: 500, **options) -> list[dict]:
    found = changes(
        asked(**{"draws": 499} | options),
        failures=counts(*seen),
        exposure=growing(days, nodes),
        calendar=calendar(*entries),
    )
    return found.filter(pl.col("series") == "cluster").to_dicts()


def test_a_step_is_found_within_five_days_and_shown_beside_what_changed_then():
    rng = np.random.default_rng(6)
    hits = 0
    for seed in range(20):
        seen = np.concatenate([rng.poisson(4, 80), rng.poisson(10, 40)])
        first, *_ = changed(
            seen, seed=seed, entries=[(79, "driver", "570"), (10, "firmware", "old")]
        )
        off = (first["changed_on"] - FIRST).days - 80 if first["changed_on"] else 99
        hits += abs(off) <= 5 and first["calendar"] == "2026-05-20 driver: 570"
    assert hits >= 18


def test_the_chart_rings_within_five_days_of_a_step():
    rng = np.random.default_rng(16)
    rung = 0
    for seed in range(20):
        seen = np.concatenate([rng.poisson(8, 100), rng.poisson(20, 20)])
        alarm = changed(seen, seed=seed)[0]["alarm_on"]
        rung += alarm is not None and 0 <= (alarm - FIRST).days - 100 < 5
    assert rung >= 18


def test_steady_rates_change_no_oftener_than_promised():
    rng = np.random.default_rng(26)
    cuts = charts = weeks = 0
    for seed in range(60):
        row, *_ = changed(rng.poisson(4, 90), days=90, seed=seed)
        cuts += row["verdict"] == "changed"
        charts += row["alarm_on"] is not None
        weeks += row["week_verdict"] != "no evidence of a change"
    assert cuts <= 10  # 10 % of findings may be false: 6 of 60, and its spread
    assert 2 <= charts <= 15  # one alarm in 26 weeks: of watches of four, 14 % to ring
    assert weeks <= 10


def test_days_that_vary_more_than_chance_are_no_change():
    rng = np.random.default_rng(36)
    cuts = 0
    for seed in range(40):
        row, *_ = changed(3 * rng.poisson(2, 90), days=90, seed=seed)
        cuts += row["verdict"] == "changed"
        assert row["assumption"] == "not held"
    assert cuts <= 8  # 10 % are promised: more than 8 of 40 would be seen once in 60


def test_a_growing_fleet_is_no_change():
    rng = np.random.default_rng(46)
    grown = lambda day: 200 + 20 * day  # noqa: E731
    found = 0
    for seed in range(20):
        seen = [rng.poisson(0.004 * grown(k)) for k in range(120)]
        row, *_ = changed(seen, nodes=grown, seed=seed)
        found += row["verdict"] == "changed"
    assert found <= 5


def test_a_change_of_detectors_divides_a_series_and_ends_its_baseline():
    seen = [1, 3, 2, 2] * 25 + [12, 10, 13, 11] * 5
    rows = changed(seen, entries=[(100, "detector", "a new check")])
    assert [(r["verdict"], r["failures"]) for r in rows] == [
        ("no evidence of a change", 200),
        ("no evidence of a change", 230),
    ]
    assert rows[1]["alarm_on"] is None
    assert rows[1]["week_expected"] is None  # thirteen days are no baseline
    other = changed(seen, entries=[(100, "detector", "of hosts", "Host")], klass="GPU")
    assert other[0]["verdict"] == "changed"


def test_a_week_unlike_the_eight_before_it_is_told_with_what_was_expected():
    seen = [2] * 113 + [9] * 7
    (row, *_) = changed(seen)
    assert (row["week_failures"], row["week_verdict"]) == (63, "more than usual")
    assert row["week_expected"] == pytest.approx(14, abs=0.2)
    assert row["smallest_fall_shown"] == 1.0


def test_series_too_thin_say_so_and_thin_lakes_are_refused():
    mixed = pl.concat([counts(*[2] * 120), counts(1, 1, klass="Host")])
    found = changes(asked(draws=99), failures=mixed, exposure=growing(120), calendar=calendar())
    host = found.filter(pl.col("name") == "Host").row(0, named=True)
    assert host["verdict"] == "too few failures to tell"
    assert set(found["series"]) == {"cluster", "class", "component", "hall"}
    with pytest.raises(RefusalError, match="Ask for more days"):
        changed([1, 1])


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        ((14, "detector", "a new check"), True),
        ((14, "driver", "570"), False),
        ((14, "detector", "of hosts", "Host"), False),
        ((14, "detector", "in H2", None, "H2"), False),
        ((2, "detector", "before both"), False),
    ],
)
def test_rates_of_other_detectors_are_compared_only_where_that_is_said(entry, refused):
    sides = {"first": "hall=H1,2026-03-09..2026-03-16", "second": "hall=H1,2026-03-16..2026-03-23"}
    frames = {"failures": counts(*[2] * 28), "exposure": growing(28)}
    if refused:
        with pytest.raises(RefusalError, match="2026-03-16 a new check"):
            compare(asked(klass="GPU", **sides), **frames, calendar=calendar(entry))
        sides["across_detectors"] = "yes"
    found = compare(asked(klass="GPU", **sides), **frames, calendar=calendar(entry))
    assert found["failures"].to_list()[:2] == [14, 14]
