"""Many scrapes in one go give the lake what each of them gives by itself, whatever is among them."""

import gzip
import hashlib
import sys
import tarfile
from pathlib import Path

import polars as pl
import pytest
from lakes import KERNEL, NOW, take

from flows import bulk, holding, identity, known
from flows.buffers import Buffers
from flows.errors import RefusedError
from flows.lake import Lake
from flows.landing import Found
from transforms.sources import SOURCES
from transforms.sources.prometheus_text import SOURCE as PROMETHEUS
from transforms.tables import BY_NAME

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import scrapes

TABLES = ("gpu_samples", "unknown_metrics", "rejects", "arrivals")
ODD = {
    "torn": lambda text: text[: len(text) // 2 + 7],
    "an_unknown_metric": lambda text: text + b"SOMETHING_ELSE 1\n",
    "an_impossible_value": lambda text: text.replace(b'"} 1980\n', b'"} 1e30\n', 1),
    "an_unset_clock": lambda text: text.replace(b"2026-03-02", b"1970-01-01"),
    "a_page_of_html": lambda text: b"<html>no metrics here</html>\n",
    "windows_line_ends": lambda text: text.replace(b"\n", b"\r\n"),
}


def captures(folder: Path, odd: str = "") -> Path:
    folder.mkdir()
    for node in range(4):
        text = scrapes.capture(node, scrapes=3, seed=1)
        text = text if isinstance(text, bytes) else text.encode()
        if odd and node == 2:
            text = ODD[odd](text)
        name = folder / f"node-{node}.prom"
        name.write_bytes(text)
    return folder


def said(root: Path) -> dict[str, list[tuple[object, ...]]]:
    lake = Lake(root)
    told = {}
    for name in TABLES:
        rows = lake.read(BY_NAME[name])
        told[name] = sorted(rows.select(sorted(rows.columns)).rows(), key=repr)
    return told


@pytest.fixture
def one_by_one(monkeypatch):
    def switch() -> None:
        monkeypatch.setattr(bulk, "_in_one_go", lambda *_: None)

    return switch


@pytest.mark.parametrize("odd", ["", *ODD])
def test_a_batch_gives_the_lake_what_its_files_give_one_by_one(tmp_path, one_by_one, odd):
    inbox = captures(tmp_path / "inbox", odd)
    together = take(tmp_path / "a", inbox, source="prometheus_text")
    one_by_one()
    alone = take(tmp_path / "b", inbox, source="prometheus_text")
    assert said(tmp_path / "a") == said(tmp_path / "b")
    assert together == alone


def test_sound_files_do_go_in_one_go(tmp_path, monkeypatch):
    def alone(*_: object) -> None:
        raise AssertionError("read by itself")

    monkeypatch.setattr(bulk, "take", alone)
    report = take(tmp_path / "lake", captures(tmp_path / "inbox"), source="prometheus_text")
    assert report.gained["gpu_samples"] == 4 * 3 * scrapes.GPUS
    assert [file.accepted for file in report.files] == [3 * scrapes.SAMPLES] * 4


def test_a_half_written_gzip_is_refused_and_the_others_are_read(tmp_path):
    inbox = captures(tmp_path / "inbox")
    packed = gzip.compress((inbox / "node-1.prom").read_bytes())
    (inbox / "node-1.prom").unlink()
    (inbox / "node-1.prom.gz").write_bytes(packed[: len(packed) // 2])
    report = take(tmp_path / "lake", inbox, source="prometheus_text")
    statuses = {file.file.rsplit("/", 1)[-1]: file.status for file in report.files}
    assert statuses.pop("node-1.prom.gz") == "refused"
    assert set(statuses.values()) == {"read"}
    assert report.gained["gpu_samples"] == 3 * 3 * scrapes.GPUS


def test_a_first_line_that_no_other_format_has_spares_asking_every_source():
    text = scrapes.capture(0, scrapes=1).decode()
    for begin in PROMETHEUS.begins:
        head = text[text.index(begin) :]
        asked = {source.name: source.sniff(head, "node.prom") for source in SOURCES}
        assert [name for name, sure in asked.items() if sure == 2] == [PROMETHEUS.name], begin


def packed(inbox: Path) -> Path:
    for path in sorted(inbox.iterdir()):
        path.with_suffix(".prom.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    return inbox


def tarred(inbox: Path) -> Path:
    with tarfile.open(inbox.with_suffix(".tar"), "w") as archive:
        archive.add(inbox, "inbox")
    return inbox.with_suffix(".tar")


@pytest.mark.parametrize("wrapped", [Path, packed, tarred], ids=["plain", "gzip", "tar"])
def test_the_same_files_twice_change_nothing(tmp_path, wrapped):
    inbox = wrapped(captures(tmp_path / "inbox"))
    first = take(tmp_path / "lake", inbox, source=None)
    assert first.gained["gpu_samples"] == 4 * 3 * scrapes.GPUS
    again = take(tmp_path / "lake", inbox)
    assert {file.status for file in again.files} == {"already here"}
    assert not any(again.gained.values())


def test_a_member_of_an_archive_and_the_same_file_by_itself_are_one(tmp_path):
    inbox = captures(tmp_path / "inbox")
    take(tmp_path / "lake", tarred(inbox))
    again = take(tmp_path / "lake", inbox)
    assert {file.status for file in again.files} == {"already here"}


def test_samples_are_known_by_another_digest_than_files_whose_bytes_are_kept(tmp_path):
    (inbox := captures(tmp_path / "inbox")).joinpath("kern.log").write_text(KERNEL)
    take(tmp_path / "lake", inbox)
    arrivals = Lake(tmp_path / "lake").read(BY_NAME["arrivals"])
    of_bulk = arrivals["sha256"].map_elements(identity.is_of_bulk, return_dtype=pl.Boolean)
    assert arrivals.filter(of_bulk)["source"].unique().to_list() == ["prometheus_text"]
    text = inbox.joinpath("node-0.prom").read_bytes()
    assert identity.of_bytes(text, is_bulk=True) in arrivals["sha256"]
    assert hashlib.sha256(KERNEL.encode()).hexdigest() in arrivals["sha256"]


@pytest.mark.parametrize("wrapped", [Path, packed, tarred], ids=["plain", "gzip", "tar"])
def test_samples_that_a_lake_knows_by_their_sha256_are_known_still(tmp_path, monkeypatch, wrapped):
    inbox = wrapped(captures(tmp_path / "inbox"))
    with monkeypatch.context() as before:
        before.setattr(known, "is_bulk", lambda _: False)
        take(tmp_path / "lake", inbox)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "node-9.prom").write_bytes(scrapes.capture(9, scrapes=3, seed=1))
    again = take(tmp_path / "lake", inbox, tmp_path / "more")
    assert {f.status for f in again.files if "node-9" not in f.file} == {"already here"}
    assert again.gained["gpu_samples"] == 3 * scrapes.GPUS


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda text: gzip.compress(text[:5]) + gzip.compress(text[5:]),
        lambda text: gzip.compress(gzip.compress(text)),
        lambda text: gzip.compress(text) + b"\0" * 512,
        lambda text: gzip.compress(text) + b"no gzip",
        lambda text: gzip.compress(text)[:-4],
        lambda text: gzip.compress(text)[:-4] + b"\0\0\0\0",
    ],
    ids=["one", "members", "twice", "padded", "trailed", "torn", "of_another_length"],
)
def test_what_is_unpacked_in_one_go_is_what_the_stream_gives(tmp_path, monkeypatch, pack):
    held = holding.hold_bytes("a.gz", pack(b"# HELP a b\na 1\n" * 99), NOW)

    def told() -> bytes | str:
        try:
            return held.whole(1 << 20)
        except RefusedError as error:
            return str(error)

    fast = told()
    monkeypatch.setattr(holding, "_gunzipped", lambda *_: None)
    assert fast == told()


def test_a_file_that_has_grown_large_since_it_was_listed_is_not_held_in_memory(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(holding, "SMALL", 100)
    for size, is_held in ((100, True), (101, False)):
        (path := tmp_path / str(size)).write_bytes(b"x" * size)
        held = holding.hold_in(Buffers(), Found(path, "a", 1, True))
        assert (held.data is not None, held.size) == (is_held, size)
        assert held.digest == identity.of_bytes(b"x" * size, is_bulk=True)
        held.close()
