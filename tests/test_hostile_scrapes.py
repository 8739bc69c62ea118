"""What exporters and disks do to scrapes at their worst: each is refused by name, nothing else is lost."""

import gzip
import sys
from pathlib import Path

import polars as pl
import pytest
from lakes import take

from flows import bulk, pieces
from flows.lake import Lake
from transforms.tables import observed, samples

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import scrapes

SCRAPES = 3
SOUND = SCRAPES * scrapes.GPUS
HTML = b"<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n"
JSON = b'{"status": "error", "errorType": "timeout", "error": "scrape timed out"}\n'
MARK = b"# scraped_at: 2026-03-02T00:01:00Z\n"
TORN = "the last line has no line end: it may be torn"
NO_SAMPLE = "not a sample: name{labels} value [time stamp]"


@pytest.fixture
def inbox(tmp_path):
    """Captures of two sound nodes."""
    (tmp_path / "in").mkdir()
    for node in (1, 2):
        (tmp_path / "in" / f"node-{node}.prom").write_bytes(scrapes.capture(node, SCRAPES))
    return tmp_path / "in"


def taken(root, inbox, name, data, **options):
    """The report on the file `name`, and what the lake says was refused of it."""
    (inbox / name).write_bytes(data)
    report = take(root, inbox, **options)
    files = {file.file: file for file in report.files}
    assert {files[f"node-{node}.prom"].status for node in (1, 2)} == {"read"}
    rows = Lake(root).read(samples.GPU_SAMPLES)
    sound = rows.filter(pl.col("node").is_in(["gpu-00001", "gpu-00002"]))
    assert sound.height == 2 * SOUND
    assert sound["gpu_temp_c"].null_count() == 0
    refused = Lake(root).read(observed.REJECTS).filter(pl.col("file") == name)
    return files[name], rows, refused.sort("line_no", "reason")


def test_a_torn_scrape_loses_its_last_line(tmp_path, inbox):
    text = scrapes.capture(3, SCRAPES)
    cut = text.index(b"DCGM_FI_DEV_FB_USED{", len(text) * 2 // 3) + 330
    file, rows, refused = taken(tmp_path / "lake", inbox, "node-3.prom", text[:cut])
    assert refused.select("line_no", "reason").rows() == [(text[:cut].count(b"\n") + 1, TORN)]
    samples_told = sum(line.startswith(b"DCGM") for line in text[:cut].split(b"\n"))
    assert (file.status, file.accepted, file.rejected) == ("read", samples_told - 1, 1)
    mine = rows.filter(pl.col("node") == "gpu-00003")
    assert mine.height == SOUND
    assert mine["memory_used_bytes"].null_count() == scrapes.GPUS - 1


def test_a_half_written_gzip_is_refused_whole(tmp_path, inbox):
    packed = gzip.compress(scrapes.capture(3, SCRAPES))
    file, rows, refused = taken(
        tmp_path / "lake", inbox, "node-3.prom.gz", packed[: len(packed) // 2]
    )
    assert file.status == "refused"
    assert [r for r in refused["reason"] if r.startswith("broken gzip file")]
    assert rows.filter(pl.col("node") == "gpu-00003").is_empty()


@pytest.mark.parametrize("page", [HTML, JSON], ids=["html", "json"])
def test_an_error_page_in_place_of_a_capture_is_no_scrape(tmp_path, inbox, page):
    file, _, refused = taken(tmp_path / "a", inbox, "node-3.prom", page)
    if page == HTML:
        assert (file.status, file.is_fine) == ("unrecognised", False)
    else:  # so answers Prometheus itself, which has a reader of its own
        assert (file.source, file.accepted, file.rejected) == ("prometheus_json", 0, 1)
        assert refused["reason"].to_list() == ["the query failed: scrape timed out"]
    forced, _, refused = taken(tmp_path / "b", inbox, "node-3.prom", page, source="prometheus_text")
    assert (forced.accepted, forced.rejected) == (0, page.count(b"\n"))
    assert set(refused["reason"]) == {NO_SAMPLE}


@pytest.mark.parametrize("page", [HTML, JSON], ids=["html", "json"])
def test_an_error_page_among_the_scrapes_of_a_capture_is_refused_by_its_lines(
    tmp_path, inbox, page
):
    sound = scrapes.capture(3, SCRAPES)
    file, rows, refused = taken(
        tmp_path / "lake", inbox, "node-3.prom", sound + MARK + page + sound.replace(b"T00:00", b"T00:05")
    )  # fmt: skip
    first = sound.count(b"\n") + 2
    lines = range(first, first + page.count(b"\n"))
    assert refused.select("line_no", "reason").rows() == [(n, NO_SAMPLE) for n in lines]
    assert file.accepted == 2 * SCRAPES * scrapes.SAMPLES
    assert rows.filter(pl.col("node") == "gpu-00003").height == 2 * SOUND


def test_a_label_of_a_megabyte_is_refused_with_its_line(tmp_path, inbox):
    line = b'DCGM_FI_DEV_GPU_TEMP{gpu="9",UUID="GPU-9",Hostname="n9",note="%s"} 41\n'
    text = scrapes.capture(3, SCRAPES) + line % (b"x" * 1_000_000)
    file, rows, refused = taken(tmp_path / "lake", inbox, "node-3.prom", text)
    assert refused.select("line_no", "reason").rows() == [
        (text.count(b"\n"), "labels of 1,000,042 characters: longer than 65,536")
    ]
    assert file.accepted == SCRAPES * scrapes.SAMPLES
    assert rows.filter(pl.col("node") == "gpu-00003").height == SOUND


def test_a_scrape_of_very_many_lines_is_read_in_pieces(tmp_path, inbox):
    """Some 25 MB in one scrape: more than is held at once."""
    text = scrapes.enormous(lines=100_000)
    file, rows, refused = taken(tmp_path / "lake", inbox, "fleet.prom", text + b"torn{")
    assert (file.accepted, file.rejected) == (100_000, 1)
    assert refused.select("line_no", "reason").rows() == [(text.count(b"\n") + 1, TORN)]
    fleet = rows.filter(pl.col("node").str.starts_with("n-"))
    assert fleet.height == 100_000 // 4
    assert fleet.select(pl.col("gpu_temp_c", "power_w").null_count()).row(0) == (0, 0)
    assert set(fleet["observed_at"].to_physical()) == {1_772_409_660_000_000}


def test_more_names_than_anybody_has_are_refused_by_number(tmp_path, inbox, monkeypatch):
    monkeypatch.setattr(pieces, "MOST_UNKNOWN", 100)
    for module in (pieces, bulk):
        monkeypatch.setattr(module, "PIECE", 100_000)  # what is longer is read in pieces
    text = b"".join(b'app_%d{note="%b"} 1\n' % (n, b"x" * 400) for n in range(300))
    file, _, refused = taken(tmp_path / "lake", inbox, "app.prom", MARK + text)
    assert file.status == "refused"
    why = "more than 100 names that nobody knows: wrong source or broken file"
    assert refused["reason"].to_list() == [why]
