"""Looks at nodes' states become intervals that later looks only restate."""

import itertools
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_frames import at

from transforms.sources.node_snapshots import Interval, Look, intervals, out_of_service
from transforms.tables.observed import NODE_STATES

SET_AT = at(-600)


def look(seconds, state, node="n1", since=None, reason=None):
    return Look(at(seconds), "c", node, state, int(seconds) + 1, since, reason)


def spans(looks):
    return [(one.state, one.began, one.ended) for one in intervals(looks)]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("idle", None), ("mixed-", None), ("ALLOCATED+PLANNED", None), ("idle~", None),
        ("drained*", "DRAIN"), ("drng", "DRAIN"), ("IDLE+DRAIN", "DRAIN"), ("idle*", "DOWN"),
        ("down$", "DOWN"), ("allocated$", "MAINT"), ("reboot^", "REBOOT"), ("unk", "UNKNOWN"),
        ("", None),
    ],
)  # fmt: skip
def test_states_out_of_service_keep_the_word_of_node_events(state, kept):
    assert out_of_service(state) == kept


def test_an_interval_begins_when_the_state_was_set_and_ends_with_the_first_look_that_disagrees():
    looks = [
        look(0, "draining", since=SET_AT),
        look(60, "drained", since=SET_AT),
        look(120, "idle"),
    ]
    assert spans(looks) == [("DRAIN", SET_AT, at(120))]


def test_nothing_is_said_of_the_time_after_the_last_look():
    assert spans([look(0, "idle"), look(60, "down*"), look(120, "down*")]) == [
        ("DOWN", at(60), at(120))
    ]


def test_one_nodes_looks_do_not_end_anothers():
    looks = [look(0, "down", "n1"), look(30, "idle", "n2"), look(60, "down", "n1")]
    assert spans(looks) == [("DOWN", at(0), at(60))]


def test_a_reason_that_was_set_after_the_look_began_nothing_yet():
    assert spans([look(0, "drain", since=at(30)), look(60, "idle")]) == [("DRAIN", at(0), at(60))]


def table(found: list[Interval]) -> pl.DataFrame:
    rows = [{**one._asdict(), "file": "f"} for one in found]
    return pl.DataFrame(rows, schema=NODE_STATES.dtypes)


def test_a_later_file_restates_an_interval_that_lasted():
    first = [look(0, "drained", since=SET_AT), look(60, "drained", since=SET_AT)]
    later = [look(120, "drained", since=SET_AT), look(180, "idle")]
    both = NODE_STATES.fold(pl.concat([table(intervals(first)), table(intervals(later))]))
    assert both.select("began", "ended").rows() == [(SET_AT, at(180))]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["idle", "down", "drain*"]))))
def test_time_out_of_service_is_the_time_between_the_looks_that_say_so(said):
    looks = [look(10 * number, state, node) for number, (node, state) in enumerate(said)]
    expected = timedelta()
    for node in "abc":
        own: list[tuple[datetime, str]] = [(one.at, one.state) for one in looks if one.node == node]
        for (began, state), (ended, _) in itertools.pairwise(own):
            expected += ended - began if state != "idle" else timedelta()
    assert sum((one.ended - one.began for one in intervals(looks)), timedelta()) == expected
