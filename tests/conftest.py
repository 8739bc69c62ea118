"""Fixtures: the real inputs and golden values beside the checkout, skipped with a reason when absent."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real operators' files; they are not ours to commit."""
    if not (folder := SHARED / "data").is_dir():
        pytest.skip("needs the real inputs in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Reference values of every worked example of the methods."""
    if not (file := SHARED / "reference" / "methods_golden.json").is_file():
        pytest.skip("needs ../shared/reference/methods_golden.json")
    return json.loads(file.read_text())


@pytest.fixture(scope="session")
def fleet_lake(tmp_path_factory):
    """The lake of a small made fleet, laid once; tests only read it."""
    from large_fleet_records import lay_down
    from small_fleet import FLEET

    from flows.lake import Lake

    lake = Lake(tmp_path_factory.mktemp("fleet"))
    lay_down(FLEET, lake)
    return lake
