"""Studies of a fleet made from a seed: what they read, and what they say of planted truth."""

from dataclasses import replace

import polars as pl
import pytest
from large_fleet import QUESTIONS, LargeFleet, asked_of
from large_fleet_records import lay_down, tables
from polars.testing import assert_frame_equal

from flows import studying
from flows.errors import CallError
from flows.lake import Lake
from transforms.studies import STUDIES

FLEET = LargeFleet(nodes=96, days=30, incidents=3000)
ASKED = [
    pytest.param(study, options, id=" ".join([study.name, *options.values()]))
    for study in STUDIES
    for options in QUESTIONS.get(study.name, ({},))
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("fleet"))
    lay_down(FLEET, lake)
    return lake


def answered(lake, name, options) -> pl.DataFrame:
    """Its answer, or the one cell of its refusal."""
    try:
        return studying.answer(lake.root, name, asked_of(options))
    except CallError as error:
        return pl.DataFrame({"refused": [str(error)]})


@pytest.mark.parametrize(("study", "options"), ASKED)
def test_a_study_says_the_same_of_the_columns_it_names_as_of_whole_tables(
    lake, study, options, monkeypatch
):
    of_some = answered(lake, study.name, options)
    greedy = replace(study, columns=lambda asked: {})
    monkeypatch.setitem(studying.BY_NAME, study.name, greedy)
    assert_frame_equal(of_some, answered(lake, study.name, options), rel_tol=1e-9)


def test_the_made_rows_keep_their_tables_promises(lake):
    for table, rows in tables(FLEET).items():
        assert rows.height
        assert not any(table.broken_rules(rows).values())
        if table.interval is None:
            assert lake.read(table).height == rows.height
