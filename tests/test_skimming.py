"""Files whose bytes were let go once their values were taken out say what they say when kept."""

import gzip
import os
from pathlib import Path

import pytest
from lakes import take
from test_bulk import ODD, captures, packed, said

from flows import bulk, holding


@pytest.fixture
def seen(monkeypatch):
    """Any file is large enough to be skimmed; what becomes of each is noted."""
    told = {"skimmed": 0, "kept": 0, "once more": 0}
    for where, name in ((holding, "KEPT_OPEN"), (bulk, "LARGE"), (bulk, "LARGE_PACKED")):
        monkeypatch.setattr(where, name, 1)
    skim, once_more = bulk.skim, bulk._once_more

    def noted(held, *words):
        one = skim(held, *words)
        told["skimmed" if one.skimmed else "kept"] += 1
        is_packed = held.name.endswith(".gz")
        assert one.skimmed is None or is_packed or one.held.data is None
        return one

    def again(held):
        told["once more"] += 1
        return once_more(held)

    monkeypatch.setattr(bulk, "skim", noted)
    monkeypatch.setattr(bulk, "_once_more", again)
    return told


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("wrapped", [Path, packed], ids=["plain", "gzip"])
@pytest.mark.parametrize("odd", ["", *ODD])
def test_files_that_were_skimmed_give_the_lake_what_they_give_when_kept(
    tmp_path, seen, monkeypatch, odd, wrapped
):
    inbox = wrapped(captures(tmp_path / "inbox", odd))
    before = open_files()
    skimmed = take(tmp_path / "a", inbox, source="prometheus_text")
    assert open_files() == before
    assert seen["skimmed"] >= 3
    monkeypatch.setattr(bulk, "skim", lambda held, *_: bulk.Waiting(held, None, held.size))
    kept = take(tmp_path / "b", inbox, source="prometheus_text")
    assert said(tmp_path / "a") == said(tmp_path / "b")
    assert skimmed == kept


def test_sound_files_are_looked_at_once(tmp_path, seen):
    take(tmp_path / "lake", captures(tmp_path / "inbox"), source="prometheus_text")
    assert seen == {"skimmed": 4, "kept": 0, "once more": 0}


@pytest.mark.parametrize("wrapped", [Path, packed], ids=["plain", "gzip"])
def test_only_the_file_with_an_impossible_value_is_looked_at_once_more(tmp_path, seen, wrapped):
    inbox = wrapped(captures(tmp_path / "inbox", "an_impossible_value"))
    report = take(tmp_path / "lake", inbox, source="prometheus_text")
    assert seen == {"skimmed": 4, "kept": 0, "once more": 1}
    assert [file.rejected for file in report.files] == [0, 0, 1, 0]


@pytest.mark.parametrize("change", ["rewritten", "cut", "added to", "removed"])
def test_a_file_that_changes_before_it_is_looked_at_once_more(tmp_path, seen, monkeypatch, change):
    inbox = captures(tmp_path / "inbox", "an_impossible_value")
    odd = inbox / "node-2.prom"
    sound = bulk.take_all

    def changed(*words):
        text = odd.read_bytes()
        if change == "rewritten":
            with odd.open("r+b") as file:
                file.write(text.replace(b"1e30", b"1e31", 1))
        elif change == "cut":
            os.truncate(odd, len(text) // 2)
        elif change == "added to":
            with odd.open("ab") as file:
                file.write(b"more\n")
        else:
            odd.unlink()
        return sound(*words)

    monkeypatch.setattr(bulk, "take_all", changed)
    report = take(tmp_path / "lake", inbox, source="prometheus_text")
    *others, changed_one = sorted(report.files, key=lambda file: "node-2" in file.file)
    assert [(file.status, file.rejected) for file in others] == [("read", 0)] * 3
    if change in ("rewritten", "cut"):
        assert (changed_one.status, changed_one.reasons) == ("refused", {holding.CHANGED: 1})
    else:  # what there was when it was opened is all there
        assert (changed_one.status, changed_one.rejected) == ("read", 1)


def test_files_that_wait_are_closed_when_the_reading_stops(tmp_path, seen, monkeypatch):
    inbox = captures(tmp_path / "inbox")
    before = open_files()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "take_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        take(tmp_path / "lake", inbox, source="prometheus_text")
    assert open_files() == before


def test_a_small_packed_file_of_much_text_is_read_fast_by_itself(tmp_path, seen):
    text = (captures(tmp_path / "inbox") / "node-1.prom").read_bytes()
    (one := tmp_path / "one.prom.gz").write_bytes(gzip.compress(text))
    take(tmp_path / "lake", one, source="prometheus_text")
    assert seen["skimmed"] == 1
