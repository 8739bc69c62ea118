"""Links: errors by the hour and the bit with their limits, and links slower than their like."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from lakes import rows
from test_causes import T0, asked

from transforms.studies import RefusalError
from transforms.studies.fabric import fabric
from transforms.tables.hourly import LINK_HOURLY

RATE = 50e9  # bytes a second: 400 Gb/s


def hour(number, metric, *, node="n1", link="mlx5_0/1", **said) -> dict:
    told = {"cluster": "c", "metric": metric, "node": node, "link": link, "samples": 240}
    told |= {"hour_at": T0 + timedelta(hours=number), "changes": 0, "covered_ms": 3_600_000}
    return told | {"resets": 0, "is_lower_bound": False} | said


def day(errors: dict[int, float], metric="symbol_errors", **of) -> list[dict]:
    """24 hours of one link at 400 Gb/s; `errors` by their hour."""
    return [
        row
        for n in range(24)
        for row in (
            hour(n, metric, increase=errors.get(n, 0.0), **of),
            hour(n, "rate_bytes_per_s", mean=RATE, **of),
        )
    ]


def answer(said: list[dict], **options) -> list[dict]:
    return fabric(asked(**options), link_hourly=rows(LINK_HOURLY, *said)).to_dicts()


def test_a_day_of_one_link_has_the_published_error_ratio(golden):
    published = golden["X24_ber"]
    (row,) = answer(day({3: 1.0, 9: 1.0, 20: 1.0}))
    assert (row["errors"], row["link_hours"], row["bits"]) == (3, 24, published["bits"])
    assert row["bit_error_ratio"] == pytest.approx(published["ber3"], rel=1e-9)
    assert row["bit_error_ratio_lo"] == pytest.approx(published["lo3"], rel=1e-9)
    assert row["bit_error_ratio_hi"] == pytest.approx(published["hi3"], rel=1e-9)
    assert row["errors_per_link_hour"] == pytest.approx(3 / 24)


def test_a_link_without_an_error_has_a_one_sided_bound(golden):
    (row,) = answer(day({}))
    assert (row["bit_error_ratio"], row["bit_error_ratio_lo"]) == (0, 0)
    assert row["bit_error_ratio_hi"] == pytest.approx(golden["X24_ber"]["ub0"], rel=1e-9)
    assert (row["worst_link"], row["worst_share"]) == (None, None)
    assert row["assumption"] == "too few failures to tell"


def test_errors_of_links_whose_rate_is_unknown_are_counted_and_are_in_no_ratio():
    unknown = [hour(n, "symbol_errors", node="n2", increase=5.0) for n in range(2)]
    (row,) = answer(day({0: 1.0}) + unknown)
    assert (row["errors"], row["links"], row["link_hours"]) == (11, 2, 26)
    assert row["bit_error_ratio"] == pytest.approx(1 / (RATE * 8 * 86_400))
    assert (row["worst_link"], row["worst_share"]) == ("n2/mlx5_0/1", 10 / 11)


def test_counters_that_tell_of_no_bit_have_no_ratio_and_time_nobody_polled_does_not_count():
    said = [hour(0, "tx_discards", increase=8.0, covered_ms=1_800_000)]
    said += [hour(1, "tx_discards", increase=None, covered_ms=0), *day({})[1::2]]
    (row,) = answer(said)
    assert (row["counter"], row["errors"], row["link_hours"]) == ("tx_discards", 8, 0.5)
    assert row["errors_per_link_hour"] == 16
    assert (row["bits"], row["bit_error_ratio"], row["bit_error_ratio_hi"]) == (None, None, None)


def test_a_burst_on_one_node_is_not_taken_for_many_independent_errors():
    quiet = [row for k in range(40) for row in day({k % 24: 1.0}, node=f"n{k}")]
    (held,) = answer(quiet)
    (burst,) = answer(quiet + day({5: 400.0}, node="bad"))
    assert held["assumption"] == "held"
    assert (burst["assumption"], burst["worst_link"]) == ("not held", "bad/mlx5_0/1")
    exact = (440 + 2 * np.sqrt(440)) / burst["link_hours"]
    assert burst["errors_per_link_hour_hi"] > 1.5 * exact


def test_a_row_a_link_where_links_are_asked_for():
    said = day({1: 2.0}) + day({2: 3.0}, link="mlx5_1/1") + day({}, node="n2")
    found = [(r["node"], r["link"], r["errors"], r["links"]) for r in answer(said, by="link")]
    assert found == [("n1", "mlx5_0/1", 2, 1), ("n1", "mlx5_1/1", 3, 1), ("n2", "mlx5_0/1", 0, 1)]


def test_a_link_below_the_rate_of_its_like_is_slow_and_another_kind_of_link_is_not():
    said = [r for k in range(5) for r in day({}, node=f"n{k}")]
    said += [r for k in range(5) for r in _at(10e9 / 8, node=f"n{k}", link="eno1")]
    said += [*_at(RATE / 2, node="bad"), hour(30, "rate_bytes_per_s", node="bad", mean=RATE)]
    assert answer(said, what="speed") == [
        {"cluster": "c", "node": "bad", "link": "mlx5_0/1", "hours": 25, "slow_hours": 24}
        | {"rate_gbps": 200, "usual_gbps": 400, "clock": "sampled"}
        | {"definition": "below the usual rate"}
    ]


def _at(rate: float, **of) -> list[dict]:
    return [hour(n, "rate_bytes_per_s", mean=rate, **of) for n in range(24)]


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(RefusalError, match="no link was sampled"):
        answer([])
    with pytest.raises(RefusalError, match="no counter of errors twice"):
        answer(day({})[1::2])
    with pytest.raises(RefusalError, match="cannot group by hall: there are cluster, node, link"):
        answer(day({}), by="hall")
    with pytest.raises(RefusalError, match="errors, speed"):
        answer(day({}), what="noise")
    with pytest.raises(RefusalError, match="no link said its rate"):
        answer(day({})[::2], what="speed")


def test_tens_of_thousands_of_links_are_told_at_once():
    count = 20_000
    several = pl.DataFrame({"node": [f"n{k}" for k in range(count)]})
    said = rows(LINK_HOURLY, hour(0, "symbol_errors", increase=1.0)).drop("node")
    many = several.join(said, how="cross").select(LINK_HOURLY.dtypes.names())
    found = fabric(asked(by="link"), link_hourly=many)
    assert (found.height, found["errors"].sum()) == (count, count)
