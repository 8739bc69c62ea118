"""Files in any order, in any parcels, twice: the same bytes observed and derived."""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.derive import derive
from flows.ingest import ingest
from flows.reading import Options

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_data"
NOW = datetime(2026, 3, 20, tzinfo=UTC)
FOLDERS = ("inventory", "slurm", "kernel", "train", "telemetry")


def new_lake(root: Path) -> Path:
    root.mkdir()
    shutil.copy(SAMPLE / "settings.toml", root)
    return root


def contents(root: Path, *rooms: str) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in rooms
        for path in sorted((root / room).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = new_lake(tmp_path_factory.mktemp("once") / "lake")
    ingest([SAMPLE], root, Options(), NOW)
    derive(root)
    return root


def test_parcels_in_reverse_order_derived_in_between_give_the_same_bytes(
    at_once: Path, tmp_path: Path
):
    root = new_lake(tmp_path / "lake")
    for number, folder in enumerate(reversed(FOLDERS)):
        parcel = tmp_path / f"parcel-{number}"
        shutil.copytree(SAMPLE / folder, parcel / folder)
        ingest([parcel], root, Options(), NOW)
        if folder in ("train", "slurm"):
            derive(root)  # conclusions from half the evidence must not stay
    derive(root)
    assert contents(root, "observed", "derived") == contents(at_once, "observed", "derived")


def test_the_same_files_twice_add_no_row_and_touch_no_file(at_once: Path):
    before = {path: path.stat().st_mtime_ns for path in at_once.rglob("*.parquet")}
    again = ingest([SAMPLE], at_once, Options(), NOW)
    assert not any(again.gained.values())
    report = derive(at_once)
    assert report.made == 0
    assert {path: path.stat().st_mtime_ns for path in at_once.rglob("*.parquet")} == before


def test_the_notes_of_what_was_derived_only_save_time(at_once: Path, tmp_path: Path):
    copy = shutil.copytree(at_once, tmp_path / "copy")
    shutil.rmtree(copy / ".state")
    shutil.rmtree(copy / "derived")
    derive(copy)
    assert contents(copy, "derived") == contents(at_once, "derived")
