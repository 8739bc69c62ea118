"""Answers that are kept for empty tables are those that would be found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flows.ingest import ingest
from flows.lake import Lake
from flows.reading import Options
from transforms import emptiness, recipes, tables
from transforms.emptiness import empty_from
from transforms.recipes import Window

ROOT = Path(__file__).resolve().parents[1]
SINCE = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window(SINCE, SINCE + timedelta(days=4), SINCE + timedelta(days=3, hours=20))
OBSERVED = {t.name for r in recipes.RECIPES for t in r.reads if t.room == "observed"}


class Forgetful(dict):
    """Keeps nothing: whoever asks must find the answer himself."""

    def __contains__(self, key):
        return False

    def __getitem__(self, key):
        return super().pop(key)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> dict[str, pl.DataFrame]:
    """The observed tables of the sample's first days."""
    root = tmp_path_factory.mktemp("sample")
    ingest([ROOT / "sample_data"], root, Options(), SINCE + timedelta(days=20))
    lake = Lake(root)
    read = {name: lake.read(tables.BY_NAME[name], SINCE, WINDOW.until) for name in OBSERVED}
    return {name: frame for name, frame in read.items() if frame.height}


def derived(observed: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    held = {name: table.empty() for name, table in tables.BY_NAME.items()} | observed
    for recipe in recipes.RECIPES:
        if not recipe.is_hourly:
            held |= recipe.by(WINDOW, **{t.name: held[t.name] for t in recipe.reads})
    return held


def test_any_tables_missing_everything_derived_is_as_without_kept_answers(sample, monkeypatch):
    whole = sorted(sample)
    few = [[name] for name in whole] + [[n for n in whole if n != name] for name in whole]
    spared = 0
    for names in [[], whole, *few]:
        observed = {name: sample[name] for name in names}
        kept = derived(observed)
        again = derived(observed)  # now from what was kept
        with monkeypatch.context() as patch:
            patch.setattr(emptiness, "_answers", Forgetful())
            found = derived(observed)
        for name, frame in found.items():
            assert_frame_equal(kept[name], frame)
            assert_frame_equal(again[name], frame)
        spared += len(found["gpu_time"])
    assert len(emptiness._answers) > 20
    assert spared > 100  # of these some had an account


def test_an_answer_is_kept_for_each_set_of_columns_and_only_for_none():
    asked = []

    @empty_from("rows")
    def doubled(rows: pl.DataFrame, factor: int = 2) -> pl.DataFrame:
        asked.append(rows.columns)
        return rows.select(pl.all() * factor)

    one, two = pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1.5], "b": [2]})
    assert doubled(one)["a"].to_list() == [2, 4]
    for frame in (one.clear(), two.clear(), one.clear(), two.clear()):
        assert doubled(rows=frame).schema == frame.schema
    assert asked == [["a"], ["a"], ["a", "b"]]
    assert doubled(two, 3).rows() == [(4.5, 6)]
