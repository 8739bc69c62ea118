"""What many studies of one lake read: each column once, and never beside rows of another moment."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from test_studies import exposure

from flows import studying
from flows.lake import Lake
from transforms.studies import Asked
from transforms.tables import derived as d

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = timedelta(days=28)


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path)
    lake.replace(d.EXPOSURE, exposure().sort(d.EXPOSURE.key), FIRST, FIRST + DAYS)
    return lake


def read(lake: Lake, name: str, held: studying.Held, **asked) -> pl.DataFrame:
    return studying.frames_of(lake.root, name, Asked(**asked), held)["exposure"]


def test_columns_that_were_not_read_yet_are_read_beside_those_that_were(lake, monkeypatch):
    asked: list[set[str]] = []
    plain = Lake.read

    def watched(self, table, since=None, until=None, columns=None):
        if table is d.EXPOSURE:
            asked.append(set(columns or table.dtypes))
        return plain(self, table, since, until, columns)

    monkeypatch.setattr(Lake, "read", watched)
    held: studying.Held = {}
    some = read(lake, "compare", held)
    assert set(some.columns) < set(d.EXPOSURE.dtypes)
    every = read(lake, "slots", held)
    assert every.equals(plain(lake, d.EXPOSURE))
    assert asked == [set(some.columns), set(every.columns) - set(some.columns)]
    read(lake, "rates", held)
    assert len(asked) == 2
    since, until = date(2026, 3, 4), date(2026, 3, 9)
    week = read(lake, "rates", held, since=since, until=until)
    assert week["day"].unique().sort().to_list() == [since + timedelta(days=k) for k in range(5)]


def test_a_table_that_was_written_meanwhile_is_read_anew(lake):
    held: studying.Held = {}
    before = read(lake, "compare", held)
    lake.replace(d.EXPOSURE, exposure(nodes=7).sort(d.EXPOSURE.key), FIRST, FIRST + DAYS)
    every = read(lake, "slots", held)
    assert every.equals(lake.read(d.EXPOSURE))
    assert every.height == before.height * 7 / 20
