"""What of a stretch is made anew, and that it comes out as if all had been made at once."""

import shutil
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import at, bytes_of, rows, take

from flows import making, verbs
from flows.derive import derive
from flows.lake import Lake
from transforms import recipes, tables
from transforms.recipes import Recipe
from transforms.tables import derived, observed

DAY = timedelta(days=1)
AHEAD = 3


def down(node, began, ended=None):
    said = {"cluster": "c", "node": node, "state": "DOWN", "began": at(began)}
    return rows(observed.NODE_STATES, said | {"ended": at(ended) if ended else None})


class Counting:
    """Spells that begin on a day or in the AHEAD days after it, and hours that they have lasted."""

    def __init__(self):
        self.windows = []

    def __call__(self, window, node_states):
        if window.horizon.year < 2200:
            self.windows.append((f"{window.since:%m-%d}", f"{window.until:%m-%d}"))
        days = []
        day = window.since
        while day < window.until:
            inside = node_states.filter(
                pl.col("began").is_between(day, day + (1 + AHEAD) * DAY, closed="left")
            )
            if inside.height:
                lasted = pl.col("ended").fill_null(window.horizon) - pl.col("began")
                of_day = inside.filter(pl.col("began") < day + DAY)
                hours = of_day.select(lasted.dt.total_hours().sum()).item()
                said = {"day": day.date(), "gap_s": 1 + hours, "incidents": inside.height}
                days.append(said)
            day += DAY
        return {"sensitivity": rows(derived.SENSITIVITY, *days)}


@pytest.fixture
def counting(monkeypatch):
    by = Counting()
    recipe = Recipe((derived.SENSITIVITY,), (observed.NODE_STATES,), by, before=1, after=AHEAD)
    monkeypatch.setattr(recipes, "RECIPES", (recipe,))
    return by


@pytest.fixture
def lake(tmp_path, counting):
    lake = Lake(tmp_path / "lake")
    for day in (2, 9, 27, 30):
        lake.merge(observed.NODE_STATES, down("n", f"2026-03-{day:02}", f"2026-03-{day:02}T05:00"))
    lake.merge(observed.NODE_STATES, down("n", "2026-04-01T01:00", "2026-04-01T02:00"))
    return lake


def hear(lake, counting, *spells):
    """Take these spells, derive, check against a lake that makes all anew; the windows made."""
    for spell in spells:
        lake.merge(observed.NODE_STATES, spell)
    counting.windows.clear()
    derive(lake.root)
    made = list(counting.windows)
    fresh = lake.root.with_name("fresh")
    shutil.copytree(lake.root, fresh)
    shutil.rmtree(fresh / ".state")
    derive(fresh)
    assert bytes_of(lake.root, "derived") == bytes_of(fresh, "derived")
    shutil.rmtree(fresh)
    return made


def hour(number, day=1):
    return down("n", f"2026-04-{day:02}T{number:02}:00", f"2026-04-{day:02}T{number:02}:30")


def test_an_hour_behind_a_month_remakes_its_last_days_and_those_in_one_go_with_the_new(
    lake, counting
):
    hear(lake, counting)
    # How far March rests on the horizon is found out once, ...
    assert hear(lake, counting, hour(4)) == [("03-02", "04-01"), ("04-01", "04-02")]
    # ... and from then on its days before those within reach of what is new are left alone.
    assert hear(lake, counting, hour(5)) == [("03-29", "04-02")]
    assert hear(lake, counting, hour(6)) == [("03-29", "04-02")]
    assert hear(lake, counting, hour(0, day=3)) == [("03-29", "04-04")]
    assert hear(lake, counting) == []
    # Out of reach the horizon alone has moved: whether it matters is asked once more.
    assert hear(lake, counting, hour(0, day=4)) == [("03-29", "04-01"), ("04-01", "04-05")]
    assert hear(lake, counting, hour(1, day=4)) == [("04-01", "04-05")]


def test_an_hour_out_of_reach_leaves_the_month_before_alone(lake, counting):
    hear(lake, counting, hour(0, day=9))
    hear(lake, counting, hour(1, day=9))
    assert hear(lake, counting, hour(2, day=9)) == [("04-01", "04-10")]


def test_days_that_rest_on_the_horizon_are_made_anew_with_those_in_reach(lake, counting):
    open_since = down("o", "2026-03-25T00:00")
    hear(lake, counting, open_since)
    hear(lake, counting, hour(4))
    assert hear(lake, counting, hour(5)) == [("03-25", "04-02")]
    assert hear(lake, counting, hour(6)) == [("03-25", "04-02")]


def test_what_comes_late_for_the_month_itself_remakes_all_of_it(lake, counting):
    for number in (4, 5):
        hear(lake, counting, hour(number))
    late = down("late", "2026-03-05T00:00", "2026-03-05T01:00")
    assert hear(lake, counting, late) == [("03-02", "04-01")]
    assert hear(lake, counting, hour(6)) == [("03-02", "04-01"), ("04-01", "04-02")]
    assert hear(lake, counting, hour(7)) == [("03-29", "04-02")]


def test_a_day_that_was_harmed_is_made_again_with_its_month(lake, counting):
    for number in (4, 5):
        hear(lake, counting, hour(number))
    path = lake.partitions(derived.SENSITIVITY)["day=2026-03-09"]
    path.unlink()
    assert hear(lake, counting, hour(6)) == [("03-02", "04-01"), ("04-01", "04-02")]
    assert path.exists()


def test_a_run_that_is_killed_between_two_months_is_completed(lake, counting, monkeypatch):
    for number in (4, 5):
        hear(lake, counting, hour(number))
    lake.merge(observed.NODE_STATES, hour(6))
    replace, calls = Lake.replace, []

    def killed(self, *words):
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replace(self, *words)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            derive(lake.root)
    hear(lake, counting)


spells = st.tuples(
    st.sampled_from([date(2026, 3, 20) + n * DAY for n in range(20)]),
    st.integers(0, 23),
    st.one_of(st.none(), st.integers(1, 200)),
)


@given(st.lists(st.lists(spells, max_size=2), min_size=2, max_size=6))
@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_spells_in_any_order_come_out_as_if_all_had_been_there(tmp_path_factory, counting, batches):
    lake = Lake(tmp_path_factory.mktemp("any") / "lake")
    lake.merge(observed.NODE_STATES, down("n", "2026-03-02", "2026-03-02T05:00"))
    for number, batch in enumerate(batches):
        some = [
            down(f"m{number}-{n}", began := f"{day}T{hour:02}:00", after(began, hours))
            for n, (day, hour, hours) in enumerate(batch)
        ]
        hear(lake, counting, *some)


def after(began, hours):
    return None if hours is None else (at(began) + timedelta(hours=hours)).isoformat()


@pytest.fixture
def works(monkeypatch):
    """The first day made of every stretch that the latest derivation began."""
    begun = {}
    make, make_all = making._make, making.make_all

    def made(lake, works, census):
        begun.update((work.stretch.name, f"{work.since:%m-%d}") for work in works)
        make(lake, works, census)

    def made_all(*words):
        begun.clear()
        return make_all(*words)

    monkeypatch.setattr(making, "_make", made)
    monkeypatch.setattr(making, "make_all", made_all)
    return begun


def known_before(whole, lake, end):
    """Give `lake` the records that `whole` has of the days before `end`."""
    for table in tables.OBSERVED:
        for label, path in whole.partitions(table).items():
            to = lake.root / path.relative_to(whole.root)
            if label < f"day={end:%Y-%m-%d}" and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, to)


@pytest.mark.slow
def test_a_fleet_s_new_month_day_by_day_gives_the_same_bytes_by_every_recipe(tmp_path, works):
    files = tmp_path / "files"
    assert verbs.simulate(files, gpus=96, days=36, seed=3) == 0
    whole, lake = Lake(tmp_path / "whole"), Lake(tmp_path / "lake")
    said = (files / "settings.toml").read_text().splitlines(keepends=True)
    for root in (whole.root, lake.root):
        root.mkdir()
        told = "".join(
            line for line in said if not line.startswith("observed_")
        )  # the horizon moves
        (root / "settings.toml").write_text(told)
    kinds = ("slurm", "kernel", "train", "inventory", "telemetry")
    take(whole.root, *(path for kind in kinds for path in sorted((files / kind).iterdir())))
    for day in (1, 2, 3, 5):
        known_before(whole, lake, date(2026, 4, day))
        derive(lake.root)
        told = dict(works)
        fresh = tmp_path / "fresh"
        shutil.copytree(
            lake.root, fresh, ignore=shutil.ignore_patterns("derived", ".*", "*.duckdb")
        )
        derive(fresh)
        assert bytes_of(lake.root, "derived") == bytes_of(fresh, "derived"), day
        shutil.rmtree(fresh)
        for name in ("incidents", "gpu_time"):
            since = told[f"{name}-2026-03-02-2026-04-01"]
            assert since > "03-02" or day < 3, name  # to begin with all is asked of the horizon
