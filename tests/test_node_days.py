"""The grid of node-days says what group-bys and joins say, whichever nodes come and go."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from transforms.node_days import NodeDays, dates, day_sums
from transforms.operating import stood

ID = ["cluster", "node"]
EPOCH = date(1970, 1, 1)
# One row a node and day: (day, node) and what stands in it.
fleets = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 5)),
    st.tuples(st.sampled_from([None, "H1", "H2"]), st.integers(0, 3)),
    max_size=40,
)
asked = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 7)), max_size=20)
orders = st.randoms(use_true_random=False)


def named(pairs) -> pl.DataFrame:
    """Rows of (day, node); a node of an even number is of another cluster."""
    day, node = zip(*pairs, strict=True) if pairs else ((), ())
    return pl.DataFrame(
        {
            "day": [EPOCH + timedelta(days=20_000 + one) for one in day],
            "cluster": ["ab"[one % 2] for one in node],
            "node": [f"n{one // 2}" for one in node],
        },
        schema={"day": pl.Date, "cluster": pl.String, "node": pl.String},
    )


def exposure(fleet, order, is_by_day) -> pl.DataFrame:
    rows = list(fleet.items())
    order.shuffle(rows)
    rows = sorted(rows, key=lambda row: row[0][0]) if is_by_day else rows
    hall = pl.Series("hall", [hall for _, (hall, _) in rows], dtype=pl.String)
    ms = pl.Series("ms", [ms for _, (_, ms) in rows], dtype=pl.Int64)
    return named([key for key, _ in rows]).with_columns(hall, ms)


@settings(deadline=None)
@given(fleets, orders, st.booleans())
def test_sums_and_spans_are_those_of_a_group_by(fleet, order, is_by_day):
    rows = exposure(fleet, order, is_by_day)
    for keys in (ID, [*ID, "hall"]):
        grid = NodeDays.of(rows, keys)
        ms = grid.rows["ms"].to_numpy()
        (first, last), (began, ended) = grid.span(), grid.span(ms > 0)
        told = grid.nodes.with_columns(
            ms=pl.Series(grid.sums(ms)), first=dates(first), last=dates(last)
        ).with_columns(is_up=pl.Series(began <= ended))
        plain = rows.group_by(keys).agg(
            pl.col("ms").sum(),
            first=pl.col("day").min(),
            last=pl.col("day").max(),
            is_up=(pl.col("ms") > 0).any(),
        )
        assert_frame_equal(told, plain.sort(keys))
        up = rows.filter(pl.col("ms") > 0).group_by(keys)
        up = up.agg(began=pl.col("day").min(), ended=pl.col("day").max()).sort(keys)
        assert dates(began[began <= ended]).to_list() == up["began"].to_list()
        assert dates(ended[began <= ended]).to_list() == up["ended"].to_list()


@settings(deadline=None)
@given(fleets, orders, st.booleans())
def test_what_was_before_is_what_earlier_days_sum_to(fleet, order, is_by_day):
    grid = NodeDays.of(exposure(fleet, order, is_by_day))
    ms = grid.rows["ms"]
    plain = grid.rows.with_row_index("row").sort("day").select(
        "row", before=(pl.col("ms").cum_sum() - pl.col("ms")).over(ID)
    )  # fmt: skip
    assert grid.before(ms.to_numpy()).tolist() == plain.sort("row")["before"].to_list()
    assert grid.nodes[grid.number_of_row()].equals(grid.rows.select(ID))
    rows = np.arange(-1, grid.rows.height)
    assert grid.number_at(rows).tolist() == [-1, *grid.number_of_row()]


@settings(deadline=None)
@given(fleets, asked, orders, st.booleans())
def test_places_are_those_of_a_join(fleet, wanted, order, is_by_day):
    rows, events = exposure(fleet, order, is_by_day), named(wanted)
    plain = events.join(
        rows.select("day", *ID, "hall", "ms"),
        on=["day", *ID],
        how="left",
        maintain_order="left",
    )
    assert_frame_equal(stood(events, rows, ("hall", "ms")), plain)


@pytest.mark.parametrize("turn", [0, 3], ids=["steady", "in turn"])
def test_a_fleet_that_stays_is_one_stretch(turn):
    """And one whose rows turn round each day has as many as days, and the same sums."""
    pairs = [(day, (node + turn * day) % 8) for day in range(6) for node in range(8)]
    grid = NodeDays.of(named(pairs))
    assert len(grid.stretches) == (6 if turn else 1)
    assert grid.sums(np.ones(48, np.int64)).tolist() == [6] * 8


def test_codes_far_apart_are_numbered_alike():
    """Few names of a process that has seen millions."""
    from transforms.node_days import dense

    codes = np.array([7, 3_000_000_000, 7, -1])
    number, kinds = dense(codes)
    assert (number.tolist(), kinds) == ([1, 2, 1, 0], 3)


@settings(deadline=None)
@given(fleets, orders, st.booleans())
def test_sums_by_period_are_those_of_a_group_by(fleet, order, is_by_day):
    grid = NodeDays.of(exposure(fleet, order, is_by_day))
    told = grid.sums_by_period(["ms"], lambda days: days // 3) if fleet else None
    plain = grid.rows.group_by(*ID, period=pl.col("day").to_physical().cast(pl.Int64) // 3)
    if told is not None:
        told = pl.concat([grid.nodes[told["number"].to_numpy()], told.drop("number")], how="horizontal")  # fmt: skip
        keys = [*ID, "period"]
        assert_frame_equal(told.sort(keys), plain.agg(pl.col("ms").sum()).sort(keys))


@settings(deadline=None)
@given(
    fleets, orders, st.booleans(), st.sampled_from([[], ["hall"], ["cluster", "hall"], ["node"]])
)
def test_sums_of_places_and_days_are_those_of_a_group_by(fleet, order, is_by_day, places):
    told = exposure(fleet, order, is_by_day)
    found = day_sums(told, places, "ms")
    plain = told.group_by(*places, "day").agg(pl.col("ms").sum())
    assert_frame_equal(found, plain, check_row_order=False)
    assert found["day"].is_sorted()
