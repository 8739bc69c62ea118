"""Packed files and archives: each member a file of its own, however it is wrapped or torn."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import FILES, KERNEL, MODIFIED, NOW, SACCT, TRAIN, bytes_of, moments_of, take, write

from flows import packing
from flows.errors import RefusedError, TornError
from flows.ingest import plan
from flows.lake import Lake
from flows.packing import Budget, Stream
from flows.reading import Options
from transforms.tables import observed

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
ROOMS = ("observed", "landed")


def entry(name: str, size: int = 0, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, int(MODIFIED)
    for key, value in more.items():
        setattr(info, key, value)
    return info


def tar(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, data in files.items():
            archive.addfile(entry(name, len(data)), io.BytesIO(data))
        for other in others:
            archive.addfile(other)
    return held.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 15, 0, 0, 0)), data)
    return held.getvalue()


def put(path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (MODIFIED, MODIFIED))
    return path


def statuses(report) -> dict[str, str]:
    return {file.file: file.status for file in report.files}


def rows_of(root):
    """What the lake says, without the names under which it came."""
    drop = {"file", "line_no", "sha256", "bytes", "modified", "first_seen"}
    return {
        table.name: Lake(root).read(table).drop(drop & set(table.dtypes)).rows()
        for table in (observed.JOB_ATTEMPTS, observed.KERNEL_EVENTS, observed.STEPS)
    }


BYTES = {name: text.encode() for name, text in FILES.items()}


@pytest.fixture
def plain(tmp_path):
    take(tmp_path / "plain", write(tmp_path / "inbox"))
    return rows_of(tmp_path / "plain")


@pytest.mark.parametrize("how", PACKERS)
def test_every_packing_gives_the_rows_of_the_plain_file(tmp_path, plain, how):
    for name, data in BYTES.items():
        put(tmp_path / "in" / f"{name}.{how}", PACKERS[how](data))
    report = take(tmp_path / "lake", tmp_path / "in")
    assert rows_of(tmp_path / "lake") == plain
    assert report.is_fine


@pytest.mark.parametrize("how", ["", *PACKERS])
def test_every_member_of_a_tar_is_a_file_of_its_own(tmp_path, plain, how):
    data = tar({"n1/kern.log.gz": PACKERS["gz"](BYTES["kern.log"]), **BYTES})
    path = put(tmp_path / "logs.tar", PACKERS[how](data) if how else data)
    report = take(tmp_path / "lake", path)
    assert statuses(report) == dict.fromkeys(
        (
            "logs.tar",
            *("logs.tar!n1/kern.log.gz", "logs.tar!kern.log"),
            *("logs.tar!sacct.psv", "logs.tar!train.ndjson"),
        ),
        "read",
    )
    assert rows_of(tmp_path / "lake") == plain
    lake = Lake(tmp_path / "lake")
    files = set(lake.read(observed.KERNEL_EVENTS)["file"])
    assert files <= {"logs.tar!kern.log", "logs.tar!n1/kern.log.gz"}
    arrivals = {row["file"]: row for row in lake.read(observed.ARRIVALS).iter_rows(named=True)}
    assert arrivals["logs.tar"]["source"] == "archive"
    sacct = arrivals["logs.tar!sacct.psv"]
    assert lake.landed("slurm_sacct", sacct["sha256"]) == BYTES["sacct.psv"]


def test_a_zip_and_a_tar_in_a_tar_are_read_and_an_archive_deeper_is_refused(tmp_path, plain):
    inner = tar({"kern.log": BYTES["kern.log"], "deep.tgz": gzip.compress(tar(BYTES))})
    outer = tar(
        {"a.zip": zipped({"sacct.psv": BYTES["sacct.psv"]}), "b.tar.gz": PACKERS["gz"](inner)}
    )
    report = take(tmp_path / "lake", put(tmp_path / "all.tar", outer))
    found = statuses(report)
    assert found["all.tar!a.zip!sacct.psv"] == found["all.tar!b.tar.gz!kern.log"] == "read"
    assert found["all.tar!b.tar.gz!deep.tgz"] == "refused"
    assert not report.is_fine
    put(tmp_path / "in" / "train.ndjson", BYTES["train.ndjson"])
    take(tmp_path / "lake", tmp_path / "in")
    assert rows_of(tmp_path / "lake") == plain


def test_an_archive_again_is_known_by_its_hash_and_changes_nothing(tmp_path):
    path = put(tmp_path / "logs.tgz", PACKERS["gz"](tar(BYTES)))
    take(tmp_path / "lake", path)
    before = bytes_of(tmp_path / "lake", *ROOMS), moments_of(tmp_path / "lake", *ROOMS)
    assert statuses(take(tmp_path / "lake", path)) == {"logs.tgz": "already here"}
    assert (bytes_of(tmp_path / "lake", *ROOMS), moments_of(tmp_path / "lake", *ROOMS)) == before


def test_an_archive_whose_reading_was_cut_short_is_completed(tmp_path):
    path = put(tmp_path / "logs.tgz", PACKERS["gz"](tar(BYTES)))
    take(tmp_path / "calm", path)
    take(tmp_path / "lake", path)
    arrivals = Lake(tmp_path / "lake").read(observed.ARRIVALS)
    struck = arrivals.filter(pl.col("file") == "logs.tgz!kern.log")
    Lake(tmp_path / "lake").replace(observed.ARRIVALS, struck, NOW, NOW + timedelta(days=1))
    again = take(tmp_path / "lake", path)
    assert statuses(again)["logs.tgz!kern.log"] == "already here"
    assert statuses(again)["logs.tgz!sacct.psv"] == "read"
    assert bytes_of(tmp_path / "lake", *ROOMS) == bytes_of(tmp_path / "calm", *ROOMS)


@pytest.mark.parametrize("how", ["", "gz", "zst"])
def test_members_before_a_tear_are_kept_and_the_tear_is_a_reject_of_the_archive(tmp_path, how):
    noise = os.urandom(20_000)  # what does not compress puts the tear where we want it
    names = {"kern.log": KERNEL.encode(), "odd.bin": noise, "sacct.psv": SACCT.encode()}
    whole = tar(names)
    if how:  # in two frames: of a torn block nothing can be read
        whole = PACKERS[how](whole[:4096]) + PACKERS[how](whole[4096:])
    report = take(tmp_path / "lake", put(tmp_path / "logs.tar", whole[:12_000]))
    assert statuses(report) == {"logs.tar": "refused", "logs.tar!kern.log": "read"}
    assert not report.is_fine
    lake = Lake(tmp_path / "lake")
    assert lake.read(observed.KERNEL_EVENTS).height == 2
    (refused,) = lake.read(observed.REJECTS).iter_rows(named=True)
    assert refused["file"] == "logs.tar"
    assert "copy it again (1 members read)" in refused["reason"]
    assert lake.read(observed.ARRIVALS)["file"].to_list() == ["logs.tar!kern.log"]
    whole = put(tmp_path / "logs.tar", tar({k: v for k, v in names.items() if k != "odd.bin"}))
    assert take(tmp_path / "lake", whole).is_fine


def test_a_tar_cut_between_two_members_is_torn(tmp_path):
    whole = tar(BYTES)
    cut = 512 + -(-len(BYTES["sacct.psv"]) // 512) * 512
    report = take(tmp_path / "lake", put(tmp_path / "logs.tar", whole[:cut]))
    assert statuses(report) == {"logs.tar": "refused", "logs.tar!sacct.psv": "read"}


@pytest.mark.parametrize("how", PACKERS)
def test_a_torn_packing_is_noticed_wherever_it_is_torn(how):
    packed = PACKERS[how](KERNEL.encode() * 50)
    for keep in range(12, len(packed), 7):
        with pytest.raises(TornError, match="broken"):
            packing.undo(Stream(io.BytesIO(packed[:keep])), Budget(keep)).read_all(1 << 20)


def test_names_that_lead_outside_are_names_and_write_nothing(tmp_path):
    files = {"../../out.log": KERNEL.encode(), "/etc/sacct": SACCT.encode(), "a\nb": TRAIN.encode()}
    before = set(tmp_path.rglob("*"))
    path = put(tmp_path / "in" / "x.tar", tar(files))
    report = take(tmp_path / "in" / "lake", path)
    assert statuses(report) == dict.fromkeys(
        ("x.tar", "x.tar!../../out.log", "x.tar!/etc/sacct", "x.tar!a\ufffdb"), "read"
    )
    assert {p for p in tmp_path.rglob("*") if "in" not in p.relative_to(tmp_path).parts} == before


def test_links_and_devices_are_passed_over_and_what_is_lost_is_refused(tmp_path):
    others = (
        entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("hard", type=tarfile.LNKTYPE, linkname="kern.log"),
        entry("fifo", type=tarfile.FIFOTYPE),
        entry("disk", type=tarfile.BLKTYPE),
        entry("folder", type=tarfile.DIRTYPE),
    )
    path = put(tmp_path / "x.tar", tar({"kern.log": KERNEL.encode()}, *others))
    report = take(tmp_path / "lake", path)
    assert report.is_fine
    skipped = {f.file: list(f.reasons) for f in report.files if f.status == "skipped"}
    assert {name: why[0].split(":")[0] for name, why in skipped.items()} == {
        "x.tar!link": "a link to /etc/passwd",
        "x.tar!hard": "a link to kern.log",
        "x.tar!fifo": "a device, a pipe or of an unknown kind",
        "x.tar!disk": "a device, a pipe or of an unknown kind",
    }


def test_hidden_members_documentation_and_empty_ones_are_passed_over(tmp_path):
    files = {"._kern.log": b"x", "README.md": b"hello", "truth/t.log": b"x", "e.log": b""}
    report = take(tmp_path / "lake", put(tmp_path / "x.tar", tar(files)))
    assert statuses(report) == {
        "x.tar": "read",
        "x.tar!README.md": "skipped",
        "x.tar!truth/t.log": "skipped",
        "x.tar!e.log": "skipped",
    }


def test_what_no_source_knows_keeps_its_archive_open_for_another_day(tmp_path):
    path = put(tmp_path / "x.tar", tar({"kern.log": KERNEL.encode(), "odd": b"shopping list"}))
    for _ in range(2):
        report = take(tmp_path / "lake", path)
        assert statuses(report)["x.tar!odd"] == "unrecognised"
        assert not report.is_fine


def bomb(how: str) -> bytes:
    """A gigabyte of nothing, one packed file after the other."""
    return PACKERS[how](bytes(1 << 26)) * 16


def drain(stream: Stream) -> None:
    while stream.read(1 << 20):
        pass
    stream.check()


@pytest.mark.parametrize("how", ["gz", "zst", "bz2"])
def test_a_file_that_unpacks_without_end_is_refused_in_little_memory(how):
    packed = bomb(how)
    stream = packing.undo(Stream(io.BytesIO(packed)), Budget(len(packed)))
    with pytest.raises(RefusedError, match="unpacks to more than 268,435,456 bytes"):
        drain(stream)


def test_small_bombs_in_one_archive_share_one_allowance(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "LEAST_ALLOWED", 1 << 20)
    files = {
        f"{n}.log.bz2": bz2.compress(KERNEL.encode() + bytes([10]) * 700_000 + b"%d" % n)
        for n in range(20)
    }
    report = take(tmp_path / "lake", put(tmp_path / "x.tar.gz", gzip.compress(tar(files))))
    assert not report.is_fine
    refused = [f for f in report.files if f.status == "refused"]
    assert all("unpacks to more than" in reason for f in refused for reason in f.reasons)
    assert refused


def test_three_packings_are_one_too_many(tmp_path):
    twice = gzip.compress(bz2.compress(KERNEL.encode()))
    assert take(tmp_path / "lake", put(tmp_path / "a.log", twice)).is_fine
    report = take(
        tmp_path / "lake", put(tmp_path / "b.log", gzip.compress(twice)), source="kernel_log"
    )
    ((reason, _),) = report.files[0].reasons.items()
    assert reason.startswith("compressed more than twice over")


def test_a_dry_run_looks_into_archives_and_writes_nothing(tmp_path):
    path = put(tmp_path / "x.tgz", gzip.compress(tar(BYTES)))
    report = take(tmp_path / "lake", path, is_dry_run=True)
    assert {f.file: f.accepted for f in report.files}["x.tgz!kern.log"] == 2
    assert not (tmp_path / "lake").exists()


SYSFS = {
    "mlx5_0/fw_ver": b"28.39.2048\n",
    "mlx5_0/ports/1/rate": b"400 Gb/sec (4X NDR)\n",
    "mlx5_0/ports/1/counters/symbol_error": b"7\n",
    "mlx5_0/ports/1/hw_counters/out_of_sequence": b"9\n",
}
BUNDLED = b"""mlx5_0/fw_ver:28.39.2048
mlx5_0/ports/1/counters/symbol_error:7
mlx5_0/ports/1/hw_counters/out_of_sequence:9
mlx5_0/ports/1/rate:400 Gb/sec (4X NDR)
"""


@pytest.fixture
def seen(monkeypatch):
    """The heads that were shown to the sources, by name."""
    from flows import landing

    shown = {}

    def recognise(start, name, *sources):
        shown[name] = start
        return ()

    monkeypatch.setattr(landing, "recognise", recognise)
    return shown


@pytest.mark.parametrize("where", ["", "gpu-1/infiniband"])
def test_a_tree_of_counters_is_one_input_named_after_its_folder(tmp_path, seen, where):
    for name, data in SYSFS.items():
        put(tmp_path / "host-7" / where / name, data)
    plan([tmp_path / "host-7"], Options())
    assert seen == {where or "host-7": BUNDLED}


def test_a_tree_of_counters_in_an_archive_is_one_input_too(tmp_path, seen):
    files = {f"bundle/gpu-1/{name}": data for name, data in SYSFS.items()}
    path = put(tmp_path / "x.tar", tar({**files, "bundle/odd": b"odd"}))
    report = take(tmp_path / "lake", path)
    assert seen == {"x.tar!bundle/gpu-1": BUNDLED, "x.tar!bundle/odd": b"odd"}
    assert {f.file for f in report.files} == {"x.tar", *seen}


def test_the_tree_of_a_real_host_is_one_input(shared_data, seen):
    plan([shared_data / "fabric"], Options())
    lines = seen["sys-class-infiniband-h100.0"].splitlines()
    assert lines == sorted(lines)
    assert b"mlx5_0/ports/1/counters/symbol_error:0" in lines
    assert not [name for name in seen if "counters" in name]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_archives_never_raise_anything_but_a_refusal(data):
    kind = data.draw(st.sampled_from(["tar", "zip", "gz", "zst"]))
    whole = {
        "tar": tar(BYTES),
        "zip": zipped(BYTES),
        "gz": gzip.compress(tar(BYTES), mtime=0),
        "zst": PACKERS["zst"](tar(BYTES)),
    }[kind]
    at = data.draw(st.integers(0, len(whole) - 1))
    more = data.draw(st.binary(max_size=30))
    damaged = whole[:at] + more + whole[at + data.draw(st.integers(0, 60)) :]
    budget = Budget(len(damaged))
    try:
        stream = packing.undo(Stream(io.BytesIO(damaged)), budget)
        if not packing.archive_kind(stream.peek(512)):
            stream.read_all(1 << 22)
            return
        for member in itertools.islice(
            packing.members(stream, lambda: io.BytesIO(damaged), budget), 50
        ):
            if member.stream:
                try:
                    member.stream.read_all(1 << 22)
                except RefusedError:
                    continue
    except RefusedError:
        pass
