"""Files become rows, rejects or counted ignores, once, whatever their order and their state."""

import gzip
import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
import zstandard
from lakes import (
    FILES,
    KERNEL,
    NOW,
    SACCT,
    SACCT_UNNAMED,
    at,
    bytes_of,
    moments_of,
    take,
    write,
)

from flows import ingest as ingesting
from flows import known
from flows.errors import CallError
from flows.lake import Lake
from transforms import sources
from transforms.sources.base import Parsed, Source
from transforms.tables import observed

ROOMS = ("observed", "landed")


@pytest.fixture
def inbox(tmp_path):
    return write(tmp_path / "inbox")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "lake"


def by_file(report):
    return {file.file: file for file in report.files}


def test_every_record_is_accepted_rejected_or_ignored(root, inbox):
    report = take(root, inbox)
    counts = {f.file: (f.source, f.accepted, f.rejected, f.ignored) for f in report.files}
    assert counts == {
        "kern.log": ("kernel_log", 2, 0, 1),
        "sacct.psv": ("slurm_sacct", 2, 0, 0),
        "train.ndjson": ("train_log", 3, 1, 0),
    }
    assert report.is_fine
    lake = Lake(root)
    assert lake.read(observed.KERNEL_EVENTS)["code"].to_list() == [79, 48]
    assert lake.read(observed.STEPS)["step"].to_list() == [1, 2]
    (refused,) = lake.read(observed.REJECTS).iter_rows(named=True)
    assert (refused["file"], refused["line_no"], refused["text"]) == ("train.ndjson", 3, "torn")


def test_the_same_bytes_twice_change_nothing(root, inbox):
    take(root, inbox)
    before = bytes_of(root, *ROOMS), moments_of(root, *ROOMS)
    report = take(root, inbox, cluster="elsewhere")
    assert {file.status for file in report.files} == {"already here"}
    assert not any(report.gained.values())
    assert (bytes_of(root, *ROOMS), moments_of(root, *ROOMS)) == before


def test_the_same_rows_in_another_file_fold_away(root, tmp_path):
    write(tmp_path / "a", {"kern.log": KERNEL})
    write(tmp_path / "b", {"more.log": KERNEL + KERNEL.splitlines()[1] + "\n"})
    take(root, tmp_path / "a")
    report = take(root, tmp_path / "b")
    assert report.gained["kernel_events"] == 0
    assert Lake(root).read(observed.ARRIVALS).height == 2


def test_copies_in_one_call_are_read_once_under_the_first_name(root, tmp_path):
    write(tmp_path / "in", {"b.log": KERNEL, "a.log": KERNEL})
    statuses = {n: f.status for n, f in by_file(take(root, tmp_path / "in")).items()}
    assert statuses == {"a.log": "read", "b.log": "already here"}


@pytest.mark.parametrize("order", list(itertools.permutations(FILES)), ids="-".join)
def test_files_in_any_order_give_the_same_bytes(tmp_path, inbox, order):
    for name in order:
        take(tmp_path / "one by one", inbox / name)
    take(tmp_path / "at once", inbox)
    assert bytes_of(tmp_path / "one by one", *ROOMS) == bytes_of(tmp_path / "at once", *ROOMS)


@pytest.mark.parametrize("names", [("named.psv", "bare.psv"), ("bare.psv", "named.psv")])
def test_accounting_with_and_without_its_cluster_gives_each_attempt_once(root, tmp_path, names):
    write(tmp_path, {"named.psv": SACCT, "bare.psv": SACCT_UNNAMED})
    for name in names:
        take(root, tmp_path / name)
    attempts = Lake(root).read(observed.JOB_ATTEMPTS)
    assert attempts.select("cluster", "job_id").rows() == [("alpha", "1"), ("alpha", "2")]


@pytest.mark.parametrize("order", list(itertools.permutations(["sacct_x.psv", "sacct_all.psv"])))
def test_two_dumps_of_a_real_scheduler_give_its_seventy_attempts(root, shared_data, order):
    for name in order:
        take(root, shared_data / "slurm-live" / name)
    states = Lake(root).read(observed.JOB_ATTEMPTS)["state"].value_counts()
    assert dict(states.iter_rows()) == {
        "COMPLETED": 46,
        "FAILED": 15,
        "NODE_FAIL": 4,
        "CANCELLED": 3,
        "TIMEOUT": 2,
    }


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("kern.log.gz", lambda data: gzip.compress(data, mtime=0)),
        ("kern.log.zst", lambda data: zstandard.ZstdCompressor().compress(data)),
        ("unsuffixed.log", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
    ],
)
def test_packed_files_are_read_and_kept_as_they_came(
    root, tmp_path, name: str, pack: Callable[[bytes], bytes]
):
    data = pack(KERNEL.encode())
    (tmp_path / name).write_bytes(data)
    assert by_file(take(root, tmp_path / name))[name].accepted == 2
    (arrival,) = Lake(root).read(observed.ARRIVALS).iter_rows(named=True)
    assert arrival["bytes"] == len(data)
    assert Lake(root).landed("kernel_log", arrival["sha256"]) == data


@pytest.mark.parametrize("keep", [40, 90])
def test_a_torn_packed_file_is_refused_with_a_reason_and_may_come_again(root, tmp_path, keep):
    whole = gzip.compress(KERNEL.encode(), mtime=0)
    (tmp_path / "kern.log.gz").write_bytes(whole[:keep])
    report = take(root, tmp_path / "kern.log.gz", source="kernel_log")
    assert not report.is_fine
    (reason,) = by_file(report)["kern.log.gz"].reasons
    assert "broken gzip file" in reason
    assert Lake(root).read(observed.REJECTS)["reason"].to_list() == [reason]
    assert Lake(root).read(observed.ARRIVALS).is_empty()
    again = take(root, tmp_path / "kern.log.gz", source="kernel_log")
    assert by_file(again)["kern.log.gz"].status == "refused"


def test_what_no_source_knows_is_said_and_documentation_is_passed_over(root, tmp_path):
    inbox = write(
        tmp_path / "inbox",
        {"odd.txt": "a shopping list", "README.md": KERNEL, "truth/kern.log": KERNEL, ".x": KERNEL},
    )
    report = take(root, inbox)
    statuses = {name: file.status for name, file in by_file(report).items()}
    assert statuses == {
        "odd.txt": "unrecognised",
        "README.md": "skipped",
        "truth/kern.log": "skipped",
    }
    assert not report.is_fine


def test_documentation_that_is_named_is_read(root, tmp_path):
    write(tmp_path, {"README.md": KERNEL})
    assert by_file(take(root, tmp_path / "README.md"))["README.md"].accepted == 2


def test_a_path_that_is_not_there_is_a_wrong_call(root, tmp_path):
    with pytest.raises(CallError, match="no such file or folder"):
        take(root, tmp_path / "nosuch")


def odd(name: str, parse: Callable[..., Parsed], sure: int = 2) -> Source:
    sniff = lambda text, file: sure if text.startswith("odd") else 0  # noqa: E731
    return Source(name, "odd", "odd", (observed.STEPS,), sniff, parse)


@pytest.fixture
def other_sources(monkeypatch):
    def offer(*more: Source) -> None:
        monkeypatch.setattr(known, "SOURCES", (*sources.SOURCES, *more))

    return offer


def test_two_sources_as_sure_are_both_named(root, tmp_path, other_sources):
    nothing = lambda data, origin: Parsed({})  # noqa: E731
    other_sources(odd("first", nothing), odd("second", nothing), odd("third", nothing, 1))
    write(tmp_path, {"odd.txt": "odd"})
    file = by_file(take(root, tmp_path / "odd.txt"))["odd.txt"]
    assert file.status == "ambiguous"
    assert list(file.reasons) == ["could be first or second: say which with --as"]
    assert by_file(take(root, tmp_path / "odd.txt", source="second"))["odd.txt"].status == "read"


def raise_fault(data, origin):
    raise ZeroDivisionError("by zero")


def miscount(data, origin):
    return Parsed({}, records=3, accepted=1)


def misshape(data, origin):
    return Parsed({"steps": observed.STEPS.empty().drop("step")})


@pytest.mark.parametrize(
    ("parse", "reason"),
    [
        (raise_fault, "parser fault: ZeroDivisionError: by zero"),
        (miscount, "parser fault: ValueError: 3 records, but 1 accepted, 0 rejected and 0 ignored"),
        (misshape, "parser fault: ContractError: steps .* missing step"),
    ],
)
def test_a_faulty_parser_refuses_its_file_and_stops_nothing_else(
    root, inbox, other_sources, parse, reason
):
    other_sources(odd("faulty", parse))
    write(inbox, {"odd.txt": "odd"})
    report = take(root, inbox)
    assert not report.is_fine
    assert by_file(report)["kern.log"].accepted == 2
    refused = Lake(root).read(observed.REJECTS).filter(file="odd.txt")
    assert refused["reason"].str.contains(reason).all()
    assert refused.height == 1


def test_a_file_worse_than_the_allowed_share_is_refused_whole(root, inbox):
    report = take(root, inbox, max_reject_share=0.2)
    assert by_file(report)["train.ndjson"].status == "refused"
    assert Lake(root).read(observed.STEPS).is_empty()
    take(root, inbox)
    assert Lake(root).read(observed.STEPS).height == 2
    assert Lake(root).read(observed.REJECTS)["line_no"].to_list() == [3]


def test_a_clock_that_was_never_set_is_refused(root, tmp_path):
    early = KERNEL.splitlines()[0].replace("2026-03-02", "1970-01-01")
    write(tmp_path, {"kern.log": KERNEL + early})
    file = by_file(take(root, tmp_path / "kern.log"))["kern.log"]
    assert (file.accepted, file.rejected, file.ignored) == (2, 1, 1)
    assert list(file.reasons) == [
        "kernel_events.observed_at lies before 2000: the clock was not set"
    ]
    assert Lake(root).read(observed.REJECTS)["line_no"].to_list() == [4]


def test_a_dry_run_counts_and_writes_nothing(root, inbox):
    report = take(root, inbox, is_dry_run=True)
    assert by_file(report)["sacct.psv"].rows == {"job_attempts": 2}
    assert not root.exists()


def test_what_the_caller_knows_fills_what_the_file_leaves_out(root, tmp_path):
    write(tmp_path, {"bare.psv": SACCT_UNNAMED})
    take(root, tmp_path / "bare.psv", cluster="beta", zone="Europe/Berlin")
    attempts = Lake(root).read(observed.JOB_ATTEMPTS)
    assert attempts["cluster"].unique().to_list() == ["beta"]
    assert attempts["submitted"].min() == at("2026-03-02T07:00")


def test_the_lakes_settings_name_the_cluster_and_the_time_of_collecting(root, tmp_path):
    root.mkdir()
    (root / "settings.toml").write_text('cluster = "gamma"\nobserved_until = 2026-03-10\n')
    write(tmp_path, {"bare.psv": SACCT_UNNAMED})
    take(root, tmp_path / "bare.psv")
    assert Lake(root).read(observed.JOB_ATTEMPTS)["cluster"].unique().to_list() == ["gamma"]
    assert Lake(root).read(observed.ARRIVALS)["modified"].item() == at("2026-03-10")


def test_many_files_go_in_few_batches(tmp_path):
    lines = [f"2026-03-02T10:15:04+00:00 n{n} kernel: usb 1-1: reset" for n in range(1200)]
    inbox = write(tmp_path, {f"{n:04}.log": line for n, line in enumerate(lines)})
    options = ingesting.Options()
    planned = ingesting.plan([inbox], options)
    assert sum(len(batch.files) for batch in planned.batches) == 1200
    assert len(planned.batches) <= ingesting.MOST_BATCHES


def test_bulk_samples_keep_their_arrival_and_not_their_bytes(root, tmp_path):
    scrape = '# TYPE DCGM_FI_DEV_GPU_TEMP gauge\nDCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1",Hostname="n1"} 41\n'
    write(tmp_path, {"dcgm.metrics": scrape})
    take(root, tmp_path / "dcgm.metrics")
    assert Lake(root).read(observed.ARRIVALS)["accepted"].to_list() == [1]
    assert not (root / "landed").exists()


def test_a_file_whose_rows_were_written_but_not_its_arrival_is_taken_again(root, inbox):
    take(root, inbox)
    whole = bytes_of(root, *ROOMS)
    arrivals = Lake(root).read(observed.ARRIVALS)
    Lake(root).replace(observed.ARRIVALS, arrivals.clear(), NOW, NOW + timedelta(days=1))
    report = take(root, inbox)
    assert {file.status for file in report.files} == {"read"}
    assert bytes_of(root, *ROOMS) == whole
