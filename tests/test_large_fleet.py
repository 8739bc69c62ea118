"""Studies of a fleet made from a seed: what they read, and what they say of planted truth."""

from dataclasses import replace

import polars as pl
import pytest
from large_fleet import asked_of
from large_fleet_records import tables
from polars.testing import assert_frame_equal
from small_fleet import ASKED, FLEET

from flows import studying
from flows.errors import CallError
from transforms.tables import derived as d
from transforms.tables import observed as o


def answered(fleet_lake, name, options) -> pl.DataFrame:
    """Its answer, or the one cell of its refusal."""
    try:
        return studying.answer(fleet_lake.root, name, asked_of(options))
    except CallError as error:
        return pl.DataFrame({"refused": [str(error)]})


@pytest.mark.parametrize(("study", "options"), ASKED)
def test_a_study_says_the_same_of_the_columns_it_names_as_of_whole_tables(
    fleet_lake, study, options, monkeypatch
):
    of_some = answered(fleet_lake, study.name, options)
    greedy = replace(study, columns=lambda asked: {})
    monkeypatch.setitem(studying.BY_NAME, study.name, greedy)
    assert_frame_equal(of_some, answered(fleet_lake, study.name, options), rel_tol=1e-9)


def test_the_made_rows_keep_their_tables_promises(fleet_lake):
    for table, rows in tables(FLEET).items():
        assert rows.height
        assert not any(table.broken_rules(rows).values())
        if table.interval is None:
            kept = fleet_lake.read(table)
            # Training jobs, which are laid beside, keep time too.
            kept = kept.join(rows, on=table.key, how="semi") if table is d.RUN_TIME else kept
            assert kept.height == rows.height


def test_jobs_that_were_planted_slow_are_found_slow(fleet_lake):
    found = answered(fleet_lake, "slow", {})
    jobs = fleet_lake.read(o.STEPS)["job_id"].unique().sort()
    assert found.height > 0
    assert set(found["job_id"]) == set(jobs.gather_every(3))
    assert found["slowdown"].is_between(1.2, 1.45).all()
