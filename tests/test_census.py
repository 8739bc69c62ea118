"""What folders' times tell of a lake's files is what listing them all tells."""

import os
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import at, rows

from flows.census import Census
from flows.derive import derive
from flows.lake import Lake
from flows.looks import look
from flows.snapshots import snapshot
from transforms import tables
from transforms.tables import derived, observed, samples

HOUR = timedelta(hours=1)
START = at("2026-02-28T20:00")
TABLES = (samples.NODE_SAMPLES, observed.NODE_STATES, observed.NODES)


def loads(hour: int, *nodes: str) -> pl.DataFrame:
    told = [
        {"cluster": "c", "node": node, "observed_at": START + hour * HOUR, "load_1m": 1.0}
        for node in nodes
    ]
    return rows(samples.NODE_SAMPLES, *told)


def down(hour: int, node: str) -> pl.DataFrame:
    told = {"node": node, "cluster": "c", "state": "DOWN", "began": START + hour * HOUR}
    return rows(observed.NODE_STATES, told)


def settle(lake: Lake) -> None:
    """Have all folders look as if nobody had changed them for an hour."""
    for folder, _, _ in os.walk(lake.root):
        about = os.stat(folder)
        os.utime(folder, ns=(about.st_atime_ns, about.st_mtime_ns - 3600 * 10**9))


def agree(lake: Lake) -> None:
    census = Census(lake)
    for table in TABLES:
        assert census.stamps(table) == lake.stamps(table)
        assert list(census.stamps(table)) == list(lake.stamps(table))
    frozen = snapshot(lake)
    for table in TABLES:
        assert frozen.stamps(table) == lake.stamps(table) == frozen.lake.stamps(table)
        there, now = frozen.lake.partitions(table), lake.partitions(table)
        assert all(path.samefile(now[label]) for label, path in there.items())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["samples", "states", "drop", "settle", "look"]),
            st.integers(0, 9),
            st.sampled_from(["n1", "n2", "n3"]),
        ),
        max_size=12,
    )
)
def test_whatever_is_written_is_seen_at_once(tmp_path_factory, steps):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    for what, hour, node in steps:
        if what == "samples":
            lake.merge(samples.NODE_SAMPLES, loads(hour, node))
        elif what == "states":
            lake.merge(observed.NODE_STATES, down(hour, node))
        elif what == "drop" and (there := list(lake.stamps(samples.NODE_SAMPLES))):
            lake.drop(samples.NODE_SAMPLES, [there[hour % len(there)]])
        elif what == "settle":
            settle(lake)
        else:
            agree(lake)
    agree(lake)


@pytest.mark.parametrize("first", [None, 0, 3, 5])
@pytest.mark.parametrize("last", [None, 4, 6, 9])
@pytest.mark.parametrize("minutes", [0, 20])
def test_the_files_of_a_stretch_are_those_that_begin_in_it(tmp_path, first, last, minutes):
    lake = Lake(tmp_path)
    for hour in range(8):
        lake.merge(samples.NODE_SAMPLES, loads(hour, "n1"))
        lake.merge(observed.NODE_STATES, down(hour * 7, "n1"))
    off = timedelta(minutes=minutes)
    since, until = (None if n is None else START + n * HOUR + off for n in (first, last))
    for table in TABLES[:2]:
        assert Census(lake).stamps(table, since, until) == lake.stamps(table, since, until)


def test_late_files_of_a_part_that_was_replaced_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.lates.ROWS_WORTH_IT", 1)
    lake = Lake(tmp_path)
    lake.merge(samples.NODE_SAMPLES, loads(0, "n1", "n2", "n3", "n4"))
    lake.merge(samples.NODE_SAMPLES, loads(0, "n5"))
    agree(lake)
    assert any("/late-" in label for label in Census(lake).stamps(samples.NODE_SAMPLES))
    (late,) = tmp_path.glob("observed/node_samples/*/*/late-*")
    late.rename(late.with_name("late-1-001.parquet"))
    agree(lake)
    assert list(Census(lake).stamps(samples.NODE_SAMPLES)) == ["day=2026-02-28/hour=20"]


def test_a_census_tells_one_moment_until_it_is_renewed(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, down(0, "n1"))
    census = Census(lake)
    before = census.stamps(observed.NODE_STATES)
    lake.merge(observed.NODE_STATES, down(30, "n1"))
    assert census.stamps(observed.NODE_STATES) == before
    census.renew([observed.NODE_STATES])
    assert census.stamps(observed.NODE_STATES) == lake.stamps(observed.NODE_STATES) != before


def test_a_note_that_is_torn_or_gone_costs_only_time(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, down(0, "n1"))
    agree(lake)
    settle(lake)
    agree(lake)
    for note in (tmp_path / ".state/census").glob("*.json"):
        note.write_text('{"looked":')
    agree(lake)


def test_the_snapshot_of_one_who_derives_holds_what_came_meanwhile_as_well(tmp_path):
    """It takes derived tables as its census has them, and of what was told only what still holds."""
    lake = Lake(tmp_path)
    for hour in range(3):
        lake.merge(samples.NODE_SAMPLES, loads(hour, "n1"))
    lake.merge(observed.NODE_STATES, down(0, "n1"))
    derive(lake.root)
    taken = snapshot(lake)
    assert taken.folder.name == "1"  # the derivation's own serves: nothing has changed since
    census = Census(lake)
    look(lake, tables.ALL, census)
    lake.merge(samples.NODE_SAMPLES, loads(3, "n2"))
    frozen = snapshot(lake, census)
    assert frozen.folder.name == "2"
    assert all(frozen.stamps(table) == lake.stamps(table) for table in tables.ALL)
    assert samples.NODE_SAMPLES.name not in frozen.told
    assert derived.INCIDENTS.name in frozen.told
    assert look(lake, tables.ALL, frozen) == look(lake, tables.ALL, Census(lake))
