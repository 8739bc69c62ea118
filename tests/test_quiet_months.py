"""A month of hours that did not change is passed over as a whole, and made anew when it did."""

import shutil

import pytest
from lakes import bytes_of, moments_of
from test_census import loads

from flows import hourly, making
from flows.derive import derive
from flows.lake import Lake
from transforms.tables import hourly as h
from transforms.tables import samples

HOURS = range(10)  # from 2026-02-28T20:00 to 2026-03-01T06:00
FEBRUARY = "day=2026-02-28"


@pytest.fixture
def lake(tmp_path):
    """A lake in which nothing has changed for so long that every month has been seen quiet."""
    lake = Lake(tmp_path / "lake")
    for hour in HOURS:
        lake.merge(samples.NODE_SAMPLES, loads(hour, "n1", "n2"))
    assert derive(lake.root).made
    assert derive(lake.root).made == 0
    return lake


@pytest.fixture
def asked(monkeypatch):
    """The days whose hours were looked at one by one."""
    days = []
    bring_up = hourly._bring_up

    def watched(lake, stretch, note, day, *rest):
        days.append(f"{day:%m-%d}")
        return bring_up(lake, stretch, note, day, *rest)

    monkeypatch.setattr(hourly, "_bring_up", watched)
    return days


def comes_out_as_if_all_were_new(lake):
    fresh = lake.root.with_name("fresh")
    shutil.copytree(lake.root / "observed", fresh / "observed")
    derive(fresh)
    return bytes_of(lake.root, "derived") == bytes_of(fresh, "derived")


def test_a_lake_that_is_quiet_is_asked_nothing_and_writes_nothing(lake, asked):
    before = moments_of(lake.root, "derived", ".state/derive")
    assert derive(lake.root).made == 0
    assert moments_of(lake.root, "derived", ".state/derive") == before
    assert asked == []


def harmed(lake):
    h.NODE_HOURLY.empty().write_parquet(lake.partitions(h.NODE_HOURLY)[FEBRUARY])


def gone(lake):
    lake.partitions(h.HEARD_HOURLY)[FEBRUARY].unlink()


def late(lake):
    lake.merge(samples.NODE_SAMPLES, loads(1, "n3"))


def lost(lake):
    lake.partitions(samples.NODE_SAMPLES)[f"{FEBRUARY}/hour=21"].unlink()


def of_the_hour_before(lake):
    """March's first hour is made of February's last as well."""
    lake.merge(samples.NODE_SAMPLES, loads(3, "n3"))


@pytest.mark.parametrize("change", [harmed, gone, late, lost, of_the_hour_before])
def test_what_changes_in_a_quiet_month_makes_its_hours_anew(lake, asked, change):
    change(lake)
    derive(lake.root)
    assert "02-28" in asked
    assert ("03-01" in asked) == (change is of_the_hour_before)
    assert comes_out_as_if_all_were_new(lake)
    derive(lake.root)
    asked.clear()
    assert derive(lake.root).made == 0
    assert asked == []


def test_a_new_hour_leaves_the_quiet_month_alone(lake, asked):
    lake.merge(samples.NODE_SAMPLES, loads(HOURS.stop, "n1"))
    derive(lake.root)
    assert set(asked) == {"03-01"}
    assert comes_out_as_if_all_were_new(lake)


def test_a_corrected_formula_makes_a_quiet_month_anew(lake, asked, monkeypatch):
    monkeypatch.setattr(making, "_code", lambda: "another")
    derive(lake.root)
    assert set(asked) == {"02-28", "03-01"}
