"""Globs that stand for thousands of files find these and no others."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.looks import Look
from flows.parquet_views import MOST_SHAPES, parts
from flows.partitions import file_of

DAYS = ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02", "2027-02-01"]
HOURLY = ("*/*/*.parquet", "part.parquet")
DAILY = ("*/part.parquet", "part.parquet")


def labels(is_hourly: bool) -> list[str]:
    if not is_hourly:
        return [f"day={day}" for day in DAYS]
    hours = [f"day={day}/hour={hour:02}" for day in DAYS for hour in (0, 7, 23)]
    return [*hours, "day=2026-02-01/hour=07/late-11-001"]


def look(shape: int) -> Look:
    return Look(1, None, None, (), None, ((f"c{shape}", "double"),))


@pytest.mark.parametrize("is_hourly", [False, True])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_each_part_finds_its_own_files(tmp_path_factory, is_hourly, data):
    known = labels(is_hourly)
    there = data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    shapes = data.draw(st.lists(st.integers(0, 2), min_size=len(there), max_size=len(there)))
    folder = tmp_path_factory.mktemp("table")
    for label in there:
        path = folder / file_of(label, "part.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    looks = {label: look(shape) for label, shape in zip(there, shapes, strict=True)}
    found: list[Path] = []
    for part in parts(HOURLY if is_hourly else DAILY, looks):
        for pattern, label in part.patterns.items():
            some = sorted(folder.glob(pattern))
            assert folder / file_of(label, "part.parquet") in some
            found += some
            for path in some:
                name = path.relative_to(folder).as_posix()
                own = name.removesuffix("/part.parquet").removesuffix(".parquet")
                assert looks[own].fields == part.fields
    assert sorted(found) == sorted(folder / file_of(label, "part.parquet") for label in there)


def test_whole_days_and_months_are_named_once():
    looks = {label: look(0) for label in labels(is_hourly=True)}
    looks["day=2026-02-02/hour=07"] = look(1)
    first, second = parts(HOURLY, looks)
    assert list(first.patterns) == [
        "day=2026-01-*/*/*.parquet",
        "day=2026-02-01/*/*.parquet",
        "day=2026-02-02/hour=00/part.parquet",
        "day=2026-02-02/hour=23/part.parquet",
        "day=2027-02-*/*/*.parquet",
    ]
    assert list(second.patterns) == ["day=2026-02-02/hour=07/part.parquet"]


def test_of_very_many_shapes_one_file_each_is_shown():
    looks = {f"day=2026-03-{n + 1:02}": look(n) for n in range(MOST_SHAPES + 1)}
    cut = parts(DAILY, looks)
    assert [part.patterns for part in cut] == [{"*/part.parquet": label} for label in looks]
    assert all(part.fields is None for part in cut)
