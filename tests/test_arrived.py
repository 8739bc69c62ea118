"""A file is known again whatever day it came on, and in lakes of before arrivals lay by day."""

import gzip
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from lakes import KERNEL, NOW

from flows.arrived import Arrived, holding
from flows.ingest import ingest
from flows.lake import Lake
from flows.reading import Options
from flows.undated import lay_by_day
from flows.warehouse import query
from transforms.tables import observed

DAY = timedelta(days=1)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def on(root: Path, day: int, *paths: Path, **options):
    return ingest(list(paths), root, Options(**options), NOW + day * DAY)


def lay_in_one_file(root: Path) -> None:
    """The lake as it was when each of these tables was one file."""
    for table in observed.BOOKKEEPING:
        lake = Lake(root)
        rows = lake.read(table).sort(table.key)
        for label, path in lake.partitions(table).items():
            path.unlink()
            (lake.folder(table) / label).rmdir()
        lake.folder(table).mkdir(parents=True, exist_ok=True)
        rows.write_parquet(lake.folder(table) / "part.parquet")


@pytest.fixture
def days(tmp_path):
    """A lake that took a file on each of three days, and the files."""
    files = [put(tmp_path, f"n{n}/kern.log", KERNEL.replace("n1", f"n{n}") * n) for n in (1, 2, 3)]
    for day, file in enumerate(files):
        on(tmp_path / "lake", day, file)
    return tmp_path / "lake", files


def test_arrivals_lie_by_the_day_they_came_on(days):
    root, _ = days
    assert list(Lake(root).partitions(observed.ARRIVALS)) == [
        f"day={NOW + n * DAY:%Y-%m-%d}" for n in range(3)
    ]


def test_a_digest_is_found_on_its_day_and_no_other_is(days):
    root, _ = days
    rows = Lake(root).read(observed.ARRIVALS)
    arrived = Arrived(Lake(root))
    for row in rows.iter_rows(named=True):
        assert arrived.get(row["sha256"]) == {k: row[k] for k in ("sha256", "source", "told")}
        assert holding(Lake(root), observed.ARRIVALS, [row["sha256"], "none"]) == [
            f"day={row['first_seen']:%Y-%m-%d}"
        ]
    assert arrived.get("none") is None
    assert holding(Lake(root), observed.ARRIVALS, ["none"]) == []


@pytest.mark.parametrize("is_old", [False, True])
def test_the_same_file_on_a_later_day_changes_nothing(days, is_old):
    root, files = days
    before = Lake(root).read(observed.ARRIVALS)
    if is_old:
        lay_in_one_file(root)
    dry = on(root, 9, *files, is_dry_run=True)
    assert {file.status for file in dry.files} == {"already here"}
    report = on(root, 9, *files)
    assert {file.status for file in report.files} == {"already here"}
    assert query(root, "FROM arrivals").height == 3
    assert Lake(root).read(observed.ARRIVALS).equals(before)


def test_what_lay_in_one_file_is_laid_by_day_even_after_a_crash(days, monkeypatch):
    root, _ = days
    before = {table.name: Lake(root).read(table) for table in observed.BOOKKEEPING}
    lay_in_one_file(root)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lay_by_day(Lake(root))
    late = put(root.parent, "n4/kern.log", KERNEL.replace("n1", "n4"))
    on(root, 4, late)
    assert not (Lake(root).folder(observed.ARRIVALS) / "part.parquet").exists()
    rows = Lake(root).read(observed.ARRIVALS)
    assert rows.height == 4
    assert rows.filter(pl.col("first_seen") < NOW + 4 * DAY).equals(before["arrivals"])


def test_a_refusal_steps_aside_when_the_file_comes_again_on_a_later_day(tmp_path):
    root = tmp_path / "lake"
    odd = tmp_path / "kern.log.gz"
    odd.write_bytes(gzip.compress(KERNEL.encode(), mtime=0)[:90])
    on(root, 0, odd, source="kernel_log")
    first = Lake(root).read(observed.REJECTS)
    on(root, 1, odd, source="kernel_log")
    again = Lake(root).read(observed.REJECTS)
    assert first.height == again.height > 0
    assert again["first_seen"].unique().to_list() == [NOW + DAY]
