"""Files whose bytes were let go once their values were taken out say what they say when kept."""

import gzip
import os
from pathlib import Path

import pytest
from lakes import take
from test_bulk import ODD, captures, packed, said

from flows import bulk, holding, waiting, windows
from flows.identity import Digest, of_bytes


@pytest.fixture
def seen(monkeypatch):
    """Any file is large enough to be skimmed; what becomes of each is noted."""
    told = {"skimmed": 0, "kept": 0, "once more": 0}
    for name in ("WORTH_IT", "LARGE", "LARGE_PACKED"):
        monkeypatch.setattr(bulk, name, 1)
    skim, skim_file, once_more = bulk.skim, bulk.skim_file, bulk._once_more

    def noted(held, *words):
        one = skim(held, *words)
        told["skimmed" if one.skimmed else "kept"] += 1
        return one

    def passed(*words):
        one = skim_file(*words)
        told["skimmed"] += one is not None
        assert one is None or one.held.data is None
        return one

    def again(held):
        told["once more"] += 1
        return once_more(held)

    monkeypatch.setattr(bulk, "skim", noted)
    monkeypatch.setattr(bulk, "skim_file", passed)
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
    monkeypatch.setattr(bulk, "skim_file", lambda *_: None)
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


@pytest.mark.parametrize("block", [64, 9_000, 50_000, 100_000, 1 << 20])
def test_wherever_the_blocks_end_the_same_is_taken(tmp_path, seen, monkeypatch, block):
    """A scrape of the captures has some 43 kB: it lies in many blocks, in two, or whole in one."""
    inbox = captures(tmp_path / "inbox")
    whole = take(tmp_path / "a", inbox, source="prometheus_text")
    seen["skimmed"] = 0
    monkeypatch.setattr(windows, "BLOCK", block)
    monkeypatch.setattr(waiting, "ROOM", 2 * block)
    cut = take(tmp_path / "b", inbox, source="prometheus_text")
    assert said(tmp_path / "a") == said(tmp_path / "b")
    assert whole == cut
    assert seen["skimmed"] == (4 if block >= 50_000 else 0)  # what does not fit is read whole


def test_a_file_window_gives_each_byte_once_and_shows_it_to_the_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK", 10)
    (path := tmp_path / "file").write_bytes(text := bytes(range(95)))
    digest = Digest(is_bulk=True)
    with path.open("rb", buffering=0) as file:
        window = windows.FileWindow(file, len(text), digest, bytearray(25))
        found, kept = b"", 0
        while len(data := bytes(window.more(kept))) > kept:
            found += data[kept:]
            assert found.endswith(data)
            kept = min(len(data), 7)
    assert found == text
    assert (window.passed, str(digest)) == (95, str(of_bytes(text, is_bulk=True)))


def test_a_window_that_is_full_gives_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK", 10)
    (path := tmp_path / "file").write_bytes(b"x" * 95)
    with path.open("rb", buffering=0) as file:
        window = windows.FileWindow(file, 95, Digest(is_bulk=True), bytearray(20))
        assert [len(window.more(kept)) for kept in (0, 10, 20)] == [10, 20, 20]


def test_a_file_that_is_gone_when_it_is_opened_is_refused(tmp_path, seen, monkeypatch):
    inbox = captures(tmp_path / "inbox")
    sound = bulk.hold_open

    def gone(found):
        if "node-1" in found.name:
            found.path.unlink()
        return sound(found)

    monkeypatch.setattr(bulk, "hold_open", gone)
    report = take(tmp_path / "lake", inbox, source="prometheus_text")
    assert [file.status for file in report.files].count("refused") == 1
    assert report.gained["gpu_samples"] == 3 * 3 * 8
