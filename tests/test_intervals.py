"""Interval algebra against a count of every single millisecond."""

import itertools
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import intervals
from transforms.contract import UTC as INSTANT

START = datetime(2026, 3, 1, 23, 59, 59, 970_000, tzinfo=UTC)  # midnight lies in the domain
SPAN = 60
BY = ["node"]
SCHEMA = {"node": pl.String, "began": INSTANT, "ended": INSTANT}

spans = st.tuples(st.sampled_from("ab"), st.integers(0, SPAN), st.integers(0, SPAN)).map(
    lambda x: (x[0], min(x[1:]), max(x[1:]))
)
many = st.lists(spans, max_size=12)


def frame(rows: list[tuple[str, int, int]]) -> pl.DataFrame:
    at = [(n, START + timedelta(milliseconds=a), START + timedelta(milliseconds=b))
          for n, a, b in rows]  # fmt: skip
    return pl.DataFrame(at, schema=SCHEMA, orient="row")


def covered(rows: list[tuple[str, int, int]]) -> set[tuple[str, int]]:
    """Every (key, millisecond) that at least one interval covers."""
    return {(node, t) for node, a, b in rows for t in range(a, b)}


def back(found: pl.DataFrame) -> list[tuple[str, int, int]]:
    ms = [((pl.col(c) - START).dt.total_milliseconds()).alias(c) for c in ("began", "ended")]
    return found.select("node", *ms).rows()


def is_tidy(rows: list[tuple[str, int, int]]) -> bool:
    """Sorted, and neither overlapping nor touching within a key."""
    pairs = itertools.pairwise(rows)
    return rows == sorted(rows) and all(x[0] != y[0] or x[2] < y[1] for x, y in pairs)


@given(many)
def test_union_covers_the_same_milliseconds_once(rows):
    found = back(intervals.union(frame(rows), BY))
    assert covered(found) == covered(rows)
    assert is_tidy(found)
    assert {n for n, *_ in found} == {n for n, *_ in rows}  # a key of empty intervals stays


@given(many, many)
def test_intersection_is_the_time_of_both(one, other):
    found = back(intervals.intersect(frame(one), frame(other), BY))
    assert covered(found) == covered(one) & covered(other)
    assert is_tidy(found)


@given(many, many)
def test_subtraction_never_takes_an_instant_twice(one, other):
    found = back(intervals.subtract(frame(one), frame(other), BY))
    assert covered(found) == covered(one) - covered(other)
    assert is_tidy(found)


@given(many, many, st.randoms())
def test_layers_count_what_covers_each_piece_in_any_row_order(one, other, random):
    shuffled = random.sample(one, len(one))
    found = intervals.layers({"one": frame(one), "other": frame(other)}, BY)
    again = intervals.layers({"one": frame(shuffled), "other": frame(other)}, BY)
    assert found.equals(again)
    counts = {}
    for (node, a, b), n_one, n_other in zip(back(found), found["one"], found["other"], strict=True):
        counts |= {(node, t): (n_one, n_other) for t in range(a, b)}
    truth = {
        (node, t): tuple(sum(n == node and a <= t < b for n, a, b in rows) for rows in (one, other))
        for node, t in covered(one) | covered(other)
    }
    assert counts == truth


@given(many)
def test_weighted_layers_add_the_weights(rows):
    weighed = frame(rows).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.UInt16).alias("w"))
    found = intervals.layers({"gpus": weighed}, BY, {"gpus": "w"})
    whole = sum(w * (b - a) for w, (_, a, b) in enumerate(rows, 1))
    assert (found["gpus"] * found.select(ms=intervals.length_ms())["ms"]).sum() == whole


@given(many, st.integers(0, SPAN), st.integers(0, SPAN))
def test_clip_keeps_what_lies_inside(rows, low, high):
    at = [START + timedelta(milliseconds=t) for t in (low, high)]
    found = back(intervals.clip(frame(rows), *at))
    assert covered(found) == {(n, t) for n, t in covered(rows) if low <= t < high}


@given(many)
def test_days_split_at_midnight_and_lose_nothing(rows):
    found = intervals.by_day(frame(rows))
    assert covered(back(found)) == covered(rows)
    whole = frame(rows).select(ms=intervals.length_ms())["ms"].sum()
    assert found.select(ms=intervals.length_ms())["ms"].sum() == whole
    assert (found["began"].dt.date() == found["day"]).all()
    assert len(found) - len(rows) == sum(a < 30 < b for _, a, b in rows)


@given(many)
def test_total_counts_each_millisecond_once(rows):
    found = dict(intervals.total_ms(frame(rows), BY).rows())
    assert found == {n: sum(k == n for k, _ in covered(rows)) for n, *_ in rows}


def test_an_open_interval_lasts_until_the_end_of_the_stretch():
    open_ended = frame([("a", 5, 9)]).with_columns(ended=pl.lit(None, INSTANT))
    until = START + timedelta(milliseconds=20)
    assert back(intervals.clip(open_ended, START, until)) == [("a", 5, 20)]
    assert intervals.clip(open_ended, START - timedelta(days=1), START).is_empty()


def test_instants_are_cut_to_milliseconds_so_that_parts_add_up():
    third = timedelta(microseconds=333)
    cuts = [START + third * k for k in range(40)]
    rows = [("a", a, b) for a, b in itertools.pairwise(cuts)]
    parts = intervals.clip(pl.DataFrame(rows, SCHEMA, orient="row"), START, cuts[-1])
    whole = (cuts[-1] - START) // timedelta(milliseconds=1)
    assert parts.select(ms=intervals.length_ms())["ms"].sum() == whole


@pytest.mark.parametrize("verb", [intervals.union, intervals.total_ms])
def test_nothing_gives_nothing(verb):
    assert verb(frame([]), BY).is_empty()


def test_touching_intervals_do_not_overlap_but_join():
    both = frame([("a", 0, 5), ("a", 5, 9)])
    assert intervals.layers({"n": both}, BY)["n"].to_list() == [1, 1]
    assert back(intervals.union(both, BY)) == [("a", 0, 9)]


def test_an_empty_interval_is_an_event_of_its_day():
    event = frame([("a", 30, 30)])
    assert intervals.by_day(event)["day"].to_list() == [date(2026, 3, 2)]
    assert back(intervals.union(event, BY)) == [("a", 30, 30)]
