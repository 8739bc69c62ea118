"""Known bytes read again: the lake becomes what it would be had they been read so at first."""

import itertools

import pytest
from lakes import bytes_of, take, write

from flows import ingest as ingesting
from flows.errors import CallError, DataError
from flows.lake import Lake
from transforms.tables import observed, samples

ROOMS = ("observed", "landed")
TICKETS = (
    "machine,from,to\nn1,2026-03-02T23:30:00,2026-03-02T23:50:00\nn2,later,2026-03-03T05:00:00\n"
)
MORE = "machine,from,to\nn9,2026-03-02T23:30:00,2026-03-03T01:00:00\n"
MAPPING = """-- Tickets.
-- into: outages
-- reads: csv types=text
SELECT line_no, 'node' AS unit_kind, {unit} AS unit, {began} AS began, {ended} AS ended,
    '' AS record, 'desk' AS note
FROM input
"""
FROM, TO = (f"TRY_CAST({name} AS TIMESTAMP) AT TIME ZONE 'UTC'" for name in ('"from"', '"to"'))
WRONG = MAPPING.format(unit="machine", began=FROM, ended=TO)
RIGHT = MAPPING.format(
    unit="upper(machine)",
    began=f"coalesce({FROM}, {TO}) + INTERVAL 1 HOUR",
    ended=f"{TO} + INTERVAL 1 HOUR",
)
SYSLOG = "Mar  2 23:30:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n"


@pytest.fixture
def inbox(tmp_path):
    return write(tmp_path / "inbox", {"a.csv": TICKETS, "b.csv": MORE})


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / "desk.sql"
    path.write_text(WRONG)
    return path


def fresh(tmp_path, *paths, **options):
    root = tmp_path / "fresh"
    take(root, *paths, **options)
    return bytes_of(root, *ROOMS)


def test_a_corrected_mapping_replaces_rows_and_rejects(tmp_path, inbox, mapping):
    root = tmp_path / "lake"
    take(root, inbox, mapping=mapping)
    assert Lake(root).read(observed.REJECTS).height == 1
    first = bytes_of(root, *ROOMS)
    mapping.write_text(RIGHT)
    assert take(root, inbox, mapping=mapping).gained == {}
    assert bytes_of(root, *ROOMS) == first
    report = take(root, mapping=mapping, is_again=True)
    assert {file.status for file in report.files} == {"read"}
    assert report.gained["outages"] == 1
    assert Lake(root).read(observed.OUTAGES)["unit"].to_list() == ["N1", "N2", "N9"]
    assert Lake(root).read(observed.REJECTS).is_empty()
    assert bytes_of(root, *ROOMS) == fresh(tmp_path, inbox, mapping=mapping)


def test_named_files_alone_are_read_again(tmp_path, inbox, mapping):
    root = tmp_path / "lake"
    take(root, inbox, mapping=mapping)
    mapping.write_text(RIGHT)
    report = take(root, inbox / "b.csv", mapping=mapping, is_again=True)
    assert [file.file for file in report.files] == ["b.csv"]
    assert sorted(Lake(root).read(observed.OUTAGES)["unit"]) == ["N9", "n1"]


def test_what_was_folded_away_under_a_wrong_row_comes_back(tmp_path):
    write(tmp_path / "in", {"a.log": SYSLOG, "b.log": SYSLOG + "talk\n"})
    root = tmp_path / "lake"
    take(root, tmp_path / "in")
    assert Lake(root).read(observed.KERNEL_EVENTS)["file"].to_list() == ["a.log"]
    take(root, tmp_path / "in" / "a.log", is_again=True, zone="America/New_York")
    held = Lake(root).read(observed.KERNEL_EVENTS)
    assert [(row["file"], row["observed_at"].hour) for row in held.iter_rows(named=True)] == [
        ("b.log", 23), ("a.log", 4),
    ]  # fmt: skip


def test_a_file_that_is_now_read_as_something_else_moves_its_bytes(tmp_path):
    write(tmp_path / "in", {"kern.log": SYSLOG})
    root = tmp_path / "lake"
    take(root, tmp_path / "in", source="train_log")
    take(root, tmp_path / "in", is_again=True)
    assert Lake(root).read(observed.REJECTS).is_empty()
    assert bytes_of(root, *ROOMS) == fresh(tmp_path, tmp_path / "in")


def test_the_callers_words_are_remembered_and_can_be_corrected(tmp_path):
    write(tmp_path / "in", {"kern.log": SYSLOG})
    root = tmp_path / "lake"
    take(root, tmp_path / "in", cluster="alpha", zone="Europe/Berlin")
    before = bytes_of(root, *ROOMS)
    take(root, source="kernel_log", is_again=True)
    assert bytes_of(root, *ROOMS) == before
    take(root, source="kernel_log", zone="America/New_York", is_again=True)
    (row,) = Lake(root).read(observed.KERNEL_EVENTS).iter_rows(named=True)
    assert (row["cluster"], str(row["observed_at"])) == ("alpha", "2026-03-03 04:30:00+00:00")
    again = fresh(tmp_path, tmp_path / "in", cluster="alpha", zone="America/New_York")
    assert bytes_of(root, *ROOMS) == again


def test_a_large_file_is_read_again_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.pieces.PIECE", 300)
    lines = [SYSLOG.replace("23:30:00", f"23:{m:02}:{s:02}") for m in range(9) for s in range(9)]
    write(tmp_path / "in", {"kern.log": "".join(lines)})
    root = tmp_path / "lake"
    take(root, tmp_path / "in", zone="Europe/Berlin")
    take(root, source="kernel_log", zone="America/New_York", is_again=True)
    assert Lake(root).read(observed.KERNEL_EVENTS).height == len(lines)
    again = fresh(tmp_path, tmp_path / "in", zone="America/New_York")
    assert bytes_of(root, *ROOMS) == again


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_a_reading_again_that_is_killed_is_completed_by_the_same_call(
    tmp_path, inbox, mapping, monkeypatch, writes
):
    root = tmp_path / "lake"
    take(root, inbox, mapping=mapping)
    mapping.write_text(RIGHT)
    count, merge = itertools.count(1), Lake.merge

    def killed(self, *args, **named):
        if next(count) == writes:
            raise KeyboardInterrupt
        return merge(self, *args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "merge", killed)
        with pytest.raises(KeyboardInterrupt):
            take(root, mapping=mapping, is_again=True)
    assert ingesting.unfinished(root) == 2
    take(root, mapping=mapping, is_again=True)
    assert ingesting.unfinished(root) == 0
    assert bytes_of(root, *ROOMS) == fresh(tmp_path, inbox, mapping=mapping)


def test_samples_read_again_replace_those_of_the_same_instant(tmp_path):
    text = '# TYPE DCGM_FI_DEV_GPU_TEMP gauge\nDCGM_FI_DEV_GPU_TEMP{gpu="0",Hostname="n1"} 41\n'
    write(tmp_path / "in", {"a.prom": text})
    root = tmp_path / "lake"
    take(root, tmp_path / "in")
    before = Lake(root).read(samples.GPU_SAMPLES)
    take(root, tmp_path / "in", is_again=True)
    assert Lake(root).read(samples.GPU_SAMPLES).equals(before)
    with pytest.raises(CallError, match="bytes of prometheus_text are not kept"):
        take(root, source="prometheus_text", is_again=True)


def test_rows_that_cannot_be_told_apart_stop_it_before_anything_is_written(
    tmp_path, inbox, mapping
):
    root = tmp_path / "lake"
    take(root, inbox / "a.csv", mapping=mapping)
    write(tmp_path / "later", {"a.csv": MORE})
    gone = tmp_path / "gone.sql"
    gone.write_text(WRONG)
    take(root, tmp_path / "later" / "a.csv", mapping=gone)
    before = bytes_of(root, "observed")
    mapping.write_text(RIGHT)
    with pytest.raises(DataError, match=r"another file named a\.csv arrived as map:gone"):
        take(root, mapping=mapping, is_again=True)
    assert bytes_of(root, "observed") == before
    take(root, mapping=gone, source=None, is_again=True, is_dry_run=True)
    assert bytes_of(root, "observed") == before


def test_there_must_be_something_to_read_again(tmp_path, inbox, mapping):
    take(tmp_path / "lake", inbox, mapping=mapping)
    with pytest.raises(CallError, match="name what to read again"):
        take(tmp_path / "lake", is_again=True)
    with pytest.raises(CallError, match="nothing arrived as kernel_log"):
        take(tmp_path / "lake", source="kernel_log", is_again=True)
