"""Derivation: the same bytes whatever the order, the split, the notes and the history."""

import shutil
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from lakes import at, bytes_of, moments_of, rows, take

from flows import making, warehouse
from flows.derive import NothingObservedError, derive
from flows.lake import Lake
from flows.share import share
from transforms import recipes
from transforms.contract import ContractError
from transforms.recipes import Recipe
from transforms.tables import derived, hourly, observed

DAY = timedelta(days=1)


def down(**more):
    first = {"cluster": "c", "node": "n", "state": "DOWN", "began": at("2026-03-01T10:00")}
    return rows(observed.NODE_STATES, first | more)


def count_states(window, node_states):
    """States that overlap each day of the window, those still open counted to the horizon."""
    days = []
    day = window.since
    while day < window.until:
        overlap = node_states.filter(
            pl.col("began") < day + DAY, pl.col("ended").fill_null(window.horizon) > day
        )
        if overlap.height:
            days.append({"day": day.date(), "gap_s": 1, "incidents": overlap.height})
        day += DAY
    return {"sensitivity": rows(derived.SENSITIVITY, *days)}


def list_nodes(window, node_states):
    nodes = node_states.group_by("cluster", "node").agg(pl.col("began").min().alias("valid_from"))
    said = [row | {"gpus": 8, "evidence": "inferred"} for row in nodes.iter_rows(named=True)]
    return {"fleet": rows(derived.FLEET, *said)}


COUNT = Recipe((derived.SENSITIVITY,), (observed.NODE_STATES,), count_states)
LIST = Recipe((derived.FLEET,), (observed.NODE_STATES,), list_nodes)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(recipes, "RECIPES", (LIST, COUNT))


@pytest.fixture
def lake(tmp_path, tiny):
    lake = Lake(tmp_path / "lake")
    lake.merge(
        observed.NODE_STATES,
        pl.concat(
            [
                down(ended=at("2026-03-01T11:00")),
                down(node="m", began=at("2026-03-31T10:00"), ended=at("2026-04-02")),
                down(node="o", began=at("2026-04-02T10:00")),
                down(node="o", began=at("2026-04-03T10:00"), state="DRAIN", ended=at("2026-04-05")),
            ]
        ),
    )
    return lake


def counted(lake):
    frame = lake.read(derived.SENSITIVITY).sort("day")
    return {f"{day:%m-%d}": n for day, n in frame.select("day", "incidents").iter_rows()}


def test_all_observed_days_are_derived_and_open_intervals_end_with_the_last_record(lake):
    report = derive(lake.root)
    assert (report.since, report.until) == (date(2026, 3, 1), date(2026, 4, 5))
    assert counted(lake) == {
        "03-01": 1,
        "03-31": 1,
        "04-01": 1,
        "04-02": 1,
        "04-03": 2,
        "04-04": 2,
    }
    assert report.rows == {"fleet": 3, "sensitivity": 6}


@pytest.mark.parametrize("cut", [date(2026, 3, 2), date(2026, 4, 1), date(2026, 4, 3)])
def test_a_split_window_in_any_order_gives_the_same_bytes(lake, tmp_path, cut):
    shutil.copytree(lake.root, tmp_path / "split")
    derive(lake.root)
    derive(tmp_path / "split", since=cut)
    derive(tmp_path / "split", until=cut)
    assert bytes_of(tmp_path / "split", "derived") == bytes_of(lake.root, "derived")


def test_deriving_again_makes_nothing_and_touches_nothing(lake):
    first = derive(lake.root)
    before = moments_of(lake.root, "derived")
    again = derive(lake.root)
    assert (first.made, first.kept) == (3, 0)
    assert (again.made, again.kept) == (0, 3)
    assert moments_of(lake.root, "derived") == before


def test_without_the_notes_the_same_bytes_are_made(lake):
    derive(lake.root)
    before = bytes_of(lake.root, "derived")
    shutil.rmtree(lake.root / ".state")
    assert derive(lake.root).made == 3
    assert bytes_of(lake.root, "derived") == before


@pytest.mark.parametrize("harm", ["remove", "replace"])
def test_a_derived_file_that_was_harmed_is_made_again(lake, harm):
    derive(lake.root)
    before = bytes_of(lake.root, "derived")
    (path, *_) = lake.files(derived.SENSITIVITY)
    if harm == "remove":
        path.unlink()
    else:
        derived.SENSITIVITY.empty().write_parquet(path)
    assert derive(lake.root).made == 1
    assert bytes_of(lake.root, "derived") == before


def test_a_late_record_gives_what_it_would_have_given_in_time(lake, tmp_path):
    late = down(node="late", began=at("2026-03-20"), ended=at("2026-03-21"))
    shutil.copytree(lake.root, tmp_path / "in time")
    derive(lake.root)
    lake.merge(observed.NODE_STATES, late)
    assert derive(lake.root).made > 0
    Lake(tmp_path / "in time").merge(observed.NODE_STATES, late)
    derive(tmp_path / "in time")
    assert bytes_of(lake.root, "derived") == bytes_of(tmp_path / "in time", "derived")


def test_a_corrected_formula_makes_everything_anew(lake, monkeypatch):
    derive(lake.root)
    monkeypatch.setattr(making, "_code", lambda: "another")
    assert derive(lake.root).made == 3


def test_days_that_lose_their_rows_lose_their_files(lake):
    derive(lake.root)
    ended = down(node="o", began=at("2026-04-02T10:00"), ended=at("2026-04-02T11:00"))
    lake.merge(observed.NODE_STATES, ended)
    for path in lake.files(observed.NODE_STATES):
        if "03-31" in str(path):
            path.unlink()
    derive(lake.root)
    assert counted(lake) == {"03-01": 1, "04-02": 1, "04-03": 1, "04-04": 1}


def test_the_settings_say_how_long_the_fleet_was_watched(lake):
    derive(lake.root)
    (lake.root / "settings.toml").write_text(
        "observed_from = 2026-04-01\nobserved_until = 2026-04-07\n"
    )
    report = derive(lake.root)
    assert (report.since, report.until) == (date(2026, 4, 1), date(2026, 4, 7))
    assert list(counted(lake)) == ["04-01", "04-02", "04-03", "04-04", "04-05", "04-06"]


def test_records_without_a_cluster_belong_to_the_only_one_there_is(lake):
    lake.merge(observed.NODE_STATES, down(cluster="", node="p"))
    derive(lake.root)
    assert lake.read(derived.FLEET)["cluster"].unique().to_list() == ["c"]
    lake.merge(observed.NODE_STATES, down(cluster="d", node="q"))
    derive(lake.root)
    assert lake.read(derived.FLEET).filter(node="p")["cluster"].to_list() == [""]


def test_a_recipe_that_breaks_its_promise_writes_nothing(lake, monkeypatch):
    def too_early(window, node_states):
        return {
            "sensitivity": rows(
                derived.SENSITIVITY, {"day": date(2020, 1, 1), "gap_s": 1, "incidents": 1}
            )
        }

    monkeypatch.setattr(recipes, "RECIPES", (Recipe(COUNT.makes, COUNT.reads, too_early),))
    with pytest.raises(ContractError, match="1 rows outside 2026-03-01 to 2026-04-01"):
        derive(lake.root)
    assert not lake.files(derived.SENSITIVITY)


def test_nothing_observed_is_said(tmp_path, tiny):
    (tmp_path / "lake").mkdir()
    with pytest.raises(NothingObservedError, match="holds no observed records"):
        derive(tmp_path / "lake")


def test_days_that_were_not_observed_are_refused(lake):
    with pytest.raises(NothingObservedError, match="Observed are 2026-03-01 to before 2026-04-05"):
        derive(lake.root, until=date(2020, 1, 1))


# The real recipes, over the sample data

SAMPLE = share("sample_data")


def sample_files() -> list[Path]:
    return sorted(
        path
        for folder in ("slurm", "kernel", "train", "inventory", "telemetry")
        for path in (SAMPLE / folder).iterdir()
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample") / "lake"
    root.mkdir()
    shutil.copy(SAMPLE / "settings.toml", root)
    take(root, *sample_files())
    return root


@pytest.fixture(scope="module")
def concluded(sample, tmp_path_factory):
    root = tmp_path_factory.mktemp("concluded") / "lake"
    shutil.copytree(sample, root)
    derive(root)
    return root


NONE_THERE = (hourly.LINK_HOURLY, derived.GPU_USE)
"""No port is scraped in the sample, and no run leaves GPUs of its allocation idle."""


def test_the_sample_is_derived(concluded):
    """Every table that is made of something the sample holds has rows."""
    lake = Lake(concluded)
    made = [r.makes for r in recipes.RECIPES if any(lake.read(read).height for read in r.reads)]
    assert len(made) >= len(recipes.RECIPES) - 1  # no health agent reports in the sample
    for table in (table for tables in made for table in tables if table not in NONE_THERE):
        assert lake.read(table).height, table.name


ENDS = [date(2026, 3, day) for day in (16, 14, 13, 9, 5, 2)]


@pytest.mark.slow
def test_the_sample_in_parts_in_any_order_gives_the_same_bytes(sample, concluded, tmp_path):
    root = tmp_path / "split"
    shutil.copytree(sample, root)
    for n in (2, 0, 4, 1, 3):
        derive(root, since=ENDS[n + 1], until=ENDS[n])
    assert bytes_of(root, "derived") == bytes_of(concluded, "derived")


@pytest.mark.slow
def test_every_recipe_by_itself_gives_the_same_bytes_in_parts(sample, concluded, tmp_path):
    root = tmp_path / "parts"
    shutil.copytree(sample, root)
    for recipe in recipes.RECIPES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recipes, "RECIPES", (recipe,))
            patch.setattr(warehouse, "refresh", lambda *_: None)  # of no byte that is compared
            for until, since in pairwise(ENDS):
                derive(root, since, until)
    assert bytes_of(root, "derived") == bytes_of(concluded, "derived")


@pytest.mark.slow
def test_the_sample_with_its_rows_permuted_gives_the_same_conclusions(sample, concluded, tmp_path):
    root = tmp_path / "permuted"
    shutil.copytree(sample, root)
    lake = Lake(root)
    for table in observed.EVENTS:
        for path in lake.files(table):
            pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=7).write_parquet(path)
    derive(root)
    assert bytes_of(root, "derived") == bytes_of(concluded, "derived")
