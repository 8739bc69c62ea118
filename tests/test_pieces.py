"""A file read piece by piece gives the rows, rejects and counts of the same file in one go."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import bytes_of, rows, take, write
from polars.testing import assert_frame_equal
from test_sources import FOLDERS, ORIGIN, input_of, origin_of

from flows import filing, holding, lates, pieces, spooling
from flows.lake import Lake
from flows.pieces import blocks, cut_up
from flows.reading import Taken
from flows.spooling import Spool, settled
from transforms.sources import SOURCES
from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.scrape_pieces import settle
from transforms.tables import BY_NAME as TABLES
from transforms.tables import observed, samples

# Scrapes are cut within a record, and tested for it in test_scrape_pieces.py.
READERS = {source.name: source for source in SOURCES if source.pieces and not source.bulk}
CASES = [case for case in FOLDERS if case.parent.name in READERS]


class Memory:
    """A stream of bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, count: int) -> bytes:
        some, self.data = self.data[:count], self.data[count:]
        return some

    def check(self) -> None:
        pass


def in_pieces(source: Source, data: bytes, origin: Origin, size: int) -> tuple[Parsed, int]:
    """All pieces of about `size` bytes together, and how many they were."""
    reading = source.pieces(data, origin)
    for block in blocks(Memory(data), size):
        reading.survey(block)
    parts = [reading.parse(piece) for piece in cut_up(Memory(data), reading, size, 1 << 30)]
    names = {name for part in parts for name in part.frames}
    counts = ("records", "accepted", "rejected", "ignored")
    whole = Parsed(
        {name: source.settle(pl.concat([p.frames[name] for p in parts])) for name in names},
        pl.concat([part.rejects for part in parts]) if parts else Parsed({}).rejects,
        pl.concat([part.unknown for part in parts] or [Parsed({}).unknown])
        .group_by("metric")
        .agg(pl.col("samples").sum())
        .sort("metric"),
        **{count: sum(getattr(part, count) for part in parts) for count in counts},
    )
    return whole, len(parts)


def assert_same(source: Source, data: bytes, origin: Origin, size: int) -> int:
    whole = source.parse(data, origin)
    parts, count = in_pieces(source, data, origin, size)
    for name in whole.frames:
        table = TABLES[name]
        found = parts.frames.get(name, table.empty())
        assert table.fold(found).equals(table.fold(whole.frames[name])), (name, size)
        assert found.height == whole.frames[name].height or not whole.frames[name].is_empty()
    order = ["line_no", "reason"]
    assert parts.rejects.sort(order).equals(whole.rejects.sort(order)), size
    counted = replace(whole, frames={}, rejects=whole.rejects.clear())
    assert repr(replace(parts, frames={}, rejects=whole.rejects.clear())) == repr(counted)
    return count


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}-{p.name}")
@pytest.mark.parametrize("size", [1, 300, 1000])
def test_pieces_of_a_case_give_what_the_whole_gives(case, size):
    assert_same(READERS[case.parent.name], input_of(case).read_bytes(), origin_of(case), size)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_pieces_of_cases_strung_together_and_damaged_give_what_the_whole_gives(name, data):
    texts = [input_of(c).read_bytes() for c in CASES if c.parent.name == name]
    whole = b"".join(data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3)))
    start = data.draw(st.integers(0, len(whole)))
    middle = data.draw(st.binary(max_size=20) | st.just(whole[start : start + 400] * 2))
    damaged = whole[:start] + middle + whole[start + data.draw(st.integers(0, 60)) :]
    size = data.draw(st.integers(1, 3000))
    assert_same(READERS[name], damaged, ORIGIN, size)


REAL = {
    "slurm-live/sacct_x.psv": "slurm_sacct",
    "slurm-live/sacct_all.psv": "slurm_sacct",
    "slurm-live/events.psv": "slurm_events",
    "xdmod-sacct/phillips.log": "slurm_sacct",
}


@pytest.mark.parametrize("name", REAL)
def test_pieces_of_a_real_file_give_what_the_whole_gives(shared_data, name):
    data = (shared_data / name).read_bytes()
    count = assert_same(READERS[REAL[name]], data, ORIGIN, max(len(data) // 40, 400))
    assert count > 5


def test_pieces_of_real_kernel_logs_give_what_the_whole_gives(shared_data):
    kernel = READERS["kernel_log"]
    read = 0
    for path in sorted(shared_data.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        if data and kernel.sniff(data[:65536].decode("utf-8", "replace"), path.name) == 2:
            read += assert_same(kernel, data, ORIGIN, max(len(data) // 40, 400)) > 5
    assert read


def test_repeats_boots_and_their_marks_go_on_over_pieces():
    xid = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
    chatter = [f"[ {n}.000000] usb 1-1: reset" for n in range(100, 160)]
    first = [
        "-- Boot " + "a" * 32 + " --",
        *chatter,
        f"[  200.500000] {xid}",
        f"[  200.500000] {xid}",
    ]
    second = ["-- Boot " + "b" * 32 + " --", *chatter, f"[  300.500000] {xid}"] + ["mute"] * 30
    data = "\n".join([*first, *["mute"] * 20, f"[  200.500000] {xid}", *second]).encode()
    kernel = READERS["kernel_log"]
    parts, count = in_pieces(kernel, data, ORIGIN, 200)
    assert count > 10
    events = parts.frames["kernel_events"].sort("line_no")
    assert events["repeat"].to_list() == [0, 1, 2, 0]
    assert events["boot_id"].to_list() == ["a" * 32] * 3 + ["b" * 32]
    assert_same(kernel, data, ORIGIN, 200)


def cut_small(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 2_000)
    monkeypatch.setattr(pieces.blocks, "__defaults__", (2_000,))
    monkeypatch.setattr(pieces.cut_up, "__defaults__", (2_000, 32_000))


@pytest.fixture
def small_pieces(monkeypatch):
    cut_small(monkeypatch)


LONG_SACCT = "JobID|Submit|Start|End|State|NNodes|NodeList|AllocTRES\n" + "".join(
    f"{n}|2026-03-{n % 9 + 1:02}T08:00:00|2026-03-{n % 9 + 1:02}T08:00:05|2026-03-{n % 9 + 1:02}T09:00:00|COMPLETED|1|n{n % 7}|gres/gpu=8,node=1\n"
    if n % 50
    else f"{n}|torn\n"
    for n in range(400)
)
LONG_KERNEL = "".join(
    f"2026-03-{n // 40 + 1:02}T10:15:04+00:00 n{n % 3} kernel: "
    + ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, x\n" if n % 4 == 0 else "usb 1-1: reset\n")
    for n in range(400)
)
LONG = {"sacct.psv": LONG_SACCT, "kern.log": LONG_KERNEL * 2}


def counted(report):
    return {f.file: (f.status, f.accepted, f.rejected, f.ignored) for f in report.files}


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_a_lake_of_pieces_is_the_lake_of_the_whole_to_the_byte(tmp_path, monkeypatch, pack):
    for name, text in LONG.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(pack(text.encode()))
    whole = take(tmp_path / "whole", tmp_path / "in")
    with monkeypatch.context() as patched:
        cut_small(patched)
        parts = take(tmp_path / "pieces", tmp_path / "in")
        dry = take(tmp_path / "dry", tmp_path / "in", is_dry_run=True)
    assert counted(parts) == counted(whole) == counted(dry)
    rooms = ("observed", "landed")
    assert bytes_of(tmp_path / "pieces", *rooms) == bytes_of(tmp_path / "whole", *rooms)
    assert not list((tmp_path / "pieces" / ".staging").iterdir())
    assert not (tmp_path / "dry").exists()


def test_a_large_file_struck_between_two_days_is_completed(tmp_path, monkeypatch, small_pieces):
    inbox = write(tmp_path / "in", LONG)
    take(tmp_path / "calm", inbox)
    merge, merged = Lake.merge, []

    def struck(self, table, *rest):
        merged.append(table.name)
        if len(merged) == 5:
            raise KeyboardInterrupt
        return merge(self, table, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "merge", struck)
        with pytest.raises(KeyboardInterrupt):
            take(tmp_path / "struck", inbox)
    assert Lake(tmp_path / "struck").read(observed.KERNEL_EVENTS).height
    assert Lake(tmp_path / "struck").read(observed.ARRIVALS).is_empty()
    take(tmp_path / "struck", inbox)
    rooms = ("observed", "landed")
    assert bytes_of(tmp_path / "struck", *rooms) == bytes_of(tmp_path / "calm", *rooms)


def test_a_large_file_worse_than_the_allowed_share_leaves_nothing(tmp_path, small_pieces):
    inbox = write(tmp_path / "in", {"sacct.psv": LONG_SACCT})
    report = take(tmp_path / "lake", inbox, max_reject_share=0.01)
    assert [file.status for file in report.files] == ["refused"]
    assert Lake(tmp_path / "lake").read(observed.JOB_ATTEMPTS).is_empty()
    assert not (tmp_path / "lake" / "landed").exists()


def test_a_file_without_a_sound_record_is_refused_before_it_fills_the_memory(
    tmp_path, small_pieces
):
    header, *_ = LONG_SACCT.partition("\n")
    inbox = write(tmp_path / "in", {"sacct.psv": header + "\n" + "x" * 50_000})
    (file,) = take(tmp_path / "lake", inbox).files
    assert file.status == "refused"
    assert list(file.reasons) == [
        "no sound record ends within 32,000 bytes: wrong source or broken file"
    ]


def test_a_large_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, small_pieces):
    monkeypatch.setattr(holding, "SMALL", 1_000)
    inbox = write(tmp_path / "in", {"kern.log": LONG_KERNEL})
    path, parse = inbox / "kern.log", READERS["kernel_log"].pieces.parse

    def meddle(self, piece):
        path.write_text(LONG_KERNEL.replace("79", "78"))
        return parse(self, piece)

    monkeypatch.setattr(READERS["kernel_log"].pieces, "parse", meddle)
    (file,) = take(tmp_path / "lake", inbox).files
    assert list(file.reasons) == ["changed while it was read: ingest it again"]


def test_a_large_file_that_grows_is_read_as_far_as_it_went(tmp_path, monkeypatch, small_pieces):
    monkeypatch.setattr(holding, "SMALL", 1_000)
    inbox = write(tmp_path / "in", {"kern.log": LONG_KERNEL})
    path, parse = inbox / "kern.log", READERS["kernel_log"].pieces.parse

    def grow(self, piece):
        with path.open("a") as file:
            file.write(LONG_KERNEL)
        return parse(self, piece)

    monkeypatch.setattr(READERS["kernel_log"].pieces, "parse", grow)
    (file,) = take(tmp_path / "lake", inbox).files
    assert (file.status, file.accepted + file.ignored) == ("read", 400)
    (arrival,) = Lake(tmp_path / "lake").read(observed.ARRIVALS).iter_rows(named=True)
    assert Lake(tmp_path / "lake").landed("kernel_log", arrival["sha256"]) == LONG_KERNEL.encode()


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def fleet_piece(metric, gpus, node=lambda gpu: f"n{gpu // 8}"):
    told = [
        {"cluster": "", "node": node(g), "gpu": f"GPU-{g:03}", "gpu_instance": "", metric: g}
        | {"slot": g % 8, "observed_at": NOON}
        for g in gpus
    ]
    return {"gpu_samples": rows(samples.GPU_SAMPLES, *told)}


@pytest.mark.parametrize("node", [lambda gpu: f"n{gpu // 8}", lambda gpu: ""])
def test_what_pieces_say_of_many_things_is_settled_for_some_at_a_time(tmp_path, monkeypatch, node):
    def shares():
        spool = Spool.within(tmp_path, settle)
        spool.add(fleet_piece("power_w", range(400), node))
        spool.add(fleet_piece("gpu_temp_c", range(100, 500), node))
        (label,) = spool.labels(samples.GPU_SAMPLES)
        found = list(settled([spool], samples.GPU_SAMPLES, label))
        spool.close()
        return found

    (whole,) = shares()
    assert (whole.height, len(whole.columns)) == (500, 8)
    assert (whole["power_w"].null_count(), whole["gpu_temp_c"].null_count()) == (100, 100)
    monkeypatch.setattr(spooling, "ROWS_AT_ONCE", 100)
    several = shares()
    assert len(several) == 9
    column = "node" if node(0) else "gpu"
    ends = sorted((share[column].min(), share[column].max()) for share in several)
    assert all(last < first for (_, last), (first, _) in pairwise(ends))
    parts = pl.concat(several, how="diagonal").select(whole.columns)
    assert_frame_equal(parts.sort("gpu"), whole.sort("gpu"))


def test_what_is_settled_in_shares_lies_in_the_lake_as_if_it_were_not(tmp_path, monkeypatch):
    monkeypatch.setattr(lates, "ROWS_WORTH_IT", 10)

    def taken(name):
        lake = Lake(tmp_path / name)
        spool = Spool.within(lake.staging, settle)
        spool.add(fleet_piece("power_w", range(400)))
        spool.add(fleet_piece("gpu_temp_c", range(100, 500)))
        held = holding.hold_bytes("it", b"", NOON).identified(is_bulk=True)
        source = next(source for source in SOURCES if source.name == "prometheus_text")
        file = Taken(held, source.name, NOON, Parsed({}), False, {}, spool)
        small = replace(file, parsed=Parsed(fleet_piece("power_w", [500])), spool=None)
        gained = filing.file_away(lake, [file, small], NOON)
        return lake, gained

    whole, gained = taken("whole")
    monkeypatch.setattr(spooling, "ROWS_AT_ONCE", 100)
    shared, also_gained = taken("shared")
    assert len(whole.files(samples.GPU_SAMPLES)) < len(shared.files(samples.GPU_SAMPLES)) == 10
    assert gained == also_gained
    assert gained["gpu_samples"] == 501
    for lake in (whole, shared):
        lake.compact(samples.GPU_SAMPLES)
        assert len(lake.files(samples.GPU_SAMPLES)) == 1
    assert bytes_of(shared.root, "observed") == bytes_of(whole.root, "observed")
