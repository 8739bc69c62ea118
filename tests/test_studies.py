"""Studies over small lakes' tables: what is counted, what is refused, what may be believed."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from transforms.comparison import rate_ratio
from transforms.mtbf import rate
from transforms.mtbf import rates as plain_rates
from transforms.studies import Asked, RefusalError
from transforms.studies.compare import compare
from transforms.studies.rates import rates, scatter_of
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)
DAY_MS = 86_400_000


def exposure(nodes=20, days=28, **more) -> pl.DataFrame:
    """Every node in service all day, half of them in each of two halls."""
    rows = [
        {"day": FIRST + timedelta(days=k), "cluster": "c", "node": f"n{i}", "gpus": 8}
        | {"hall": "H1" if i < nodes // 2 else "H2", "rack": f"r{i % 4}", "gpu_capacity_ms": 8 * DAY_MS}
        | {"wall_ms": DAY_MS, "in_service_ms": DAY_MS, "allocated_ms": DAY_MS // 2}
        | {"down_ms": 0, "planned_down_ms": 0, "unobserved_ms": 0} | more
        for k in range(days)
        for i in range(nodes)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=d.EXPOSURE.dtypes)


def failures(*hits) -> pl.DataFrame:
    """Hits are (day number, node number, class) or with a count."""
    rows = [
        {"day": FIRST + timedelta(days=day), "cluster": "c", "node": f"n{node}", "class": klass}
        | {"component": "lost", "definition": "coalesced-180s", "failures": (n or [1])[0]}
        for day, node, klass, *n in hits
    ]
    return pl.DataFrame(rows, schema=d.FAILURES.dtypes)


def asked(**options) -> Asked:
    known = {k: options.pop(k) for k in ("clock", "definition", "klass", "level") if k in options}
    return Asked(**known, options=options)


SOME = failures((0, 0, "GPU"), (0, 1, "Host"), (9, 0, "GPU"), (20, 15, "GPU"))


def test_a_rate_by_hall_divides_that_halls_failures_by_its_own_exposure():
    found = rates(asked(by="hall"), failures=SOME, exposure=exposure())
    assert found.select("hall", "failures", "node_days").rows() == [
        ("H1", 3, 280.0),
        ("H2", 1, 280.0),
    ]
    exact = rate(3, 280)
    row = found.row(0, named=True)
    assert row["per_1000_node_days"] == pytest.approx(exact.per_1000_node_days)
    assert row["per_1000_node_days_hi"] == pytest.approx(exact.hi)
    assert row["mtbf_hours_lo"] == pytest.approx(24 * exact.mtbf_lo)
    assert row["assumption"] == "too few failures to tell"


def test_rates_of_a_cluster_agree_with_the_rate_views_twin():
    ours = rates(asked(by="cluster"), failures=SOME, exposure=exposure())
    theirs = plain_rates(SOME, exposure(), clock="in_service").filter(pl.col("class") == "all")
    same = ["failures", "node_days", "per_1000_node_days", "per_1000_node_days_lo", "mtbf_hours_hi"]
    assert np.allclose(ours.select(same).to_numpy(), theirs.select(same).to_numpy())


@pytest.mark.parametrize(("by", "rows"), [("week", 4), ("day", 28), ("month", 1), ("rack", 4), ("class", 2), ("hall,class", 3), ("node", 20)])  # fmt: skip
def test_every_grouping_keeps_the_total(by, rows):
    found = rates(asked(by=by), failures=SOME, exposure=exposure())
    assert found.height == rows
    assert found["failures"].sum() == 4


def test_without_a_grouping_there_is_one_row():
    found = rates(asked(by=" "), failures=SOME, exposure=exposure())
    assert found.select("failures", "node_days").rows() == [(4, 560.0)]


def test_a_class_alone_is_counted_and_a_strange_one_refused():
    found = rates(asked(by="cluster", klass="Host"), failures=SOME, exposure=exposure())
    assert found["failures"].to_list() == [1]
    with pytest.raises(RefusalError, match="seen are GPU, Host"):
        rates(asked(klass="Sun"), failures=SOME, exposure=exposure())


def test_failures_that_come_in_bursts_widen_the_interval():
    alike = failures(*((k, k % 20, "GPU") for k in range(28)))
    burst = failures(*((5, k % 20, "GPU", 7) for k in range(4)))
    calm, stormy = (
        rates(asked(by="cluster"), failures=f, exposure=exposure()).row(0, named=True)
        for f in (alike, burst)
    )
    assert calm["failures"] == stormy["failures"] == 28
    assert (calm["assumption"], stormy["assumption"]) == ("held", "not held")
    assert stormy["per_1000_node_days_hi"] > 1.5 * calm["per_1000_node_days_hi"]
    assert stormy["phi"] > 10


def test_sparse_cells_are_judged_by_draws_and_keep_their_size():
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        counts = rng.poisson(0.05, 500)
        refused += not scatter_of(counts, np.ones(500), rng).is_poisson
    assert refused <= 8  # nominally 1 %


def test_two_halls_are_compared_exactly():
    found = compare(asked(first="hall=H1", second="hall=H2"), failures=SOME, exposure=exposure())
    ratio = rate_ratio(1, 280, 3, 280)
    last = found.row(2, named=True)
    assert (last["value"], last["lo"], last["hi"], last["p"]) == pytest.approx(
        (ratio.ratio, ratio.low, ratio.high, ratio.p)
    )
    assert last["verdict"] == "no evidence of a difference"
    assert last["smallest_fall_shown"] == 1.0


def test_two_periods_that_differ_are_told_apart():
    many = failures(*((k, n, "GPU") for k in range(14, 28) for n in range(0, 20, 5)), (1, 1, "GPU"), (8, 2, "GPU"))  # fmt: skip
    sides = {"first": "2026-03-02..2026-03-16", "second": "2026-03-16..2026-03-30"}
    found = compare(asked(**sides), failures=many, exposure=exposure())
    assert found["failures"].to_list() == [2, 56, None]
    assert found["verdict"][2] == "differs"


@pytest.mark.parametrize(
    ("first", "reason"),
    [("hall", "cannot read 'hall'"), ("moon=1", "cannot read"), ("hall=H9", "no exposure")],
)
def test_what_cannot_be_compared_is_refused(first, reason):
    with pytest.raises(RefusalError, match=reason):
        compare(asked(first=first, second="hall=H2"), failures=SOME, exposure=exposure())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"clock": "sun"}, "no clock 'sun'"),
        ({"definition": "mine"}, "no definition 'mine'"),
        ({"level": 95.0}, "write 0.95"),
        ({"since": FIRST, "until": FIRST}, "no day lies"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong, reason):
    with pytest.raises(RefusalError, match=reason):
        Asked(**wrong)


def test_no_exposure_is_no_answer():
    with pytest.raises(RefusalError, match="no exposure on the allocated clock"):
        rates(asked(clock="allocated"), failures=SOME, exposure=exposure(allocated_ms=0))
