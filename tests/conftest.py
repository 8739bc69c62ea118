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
