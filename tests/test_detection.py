"""What the command says of odd files and of very many: an answer each, never a traceback."""

import json
import os
import socket
import stat
import time

import pytest
from lakes import FILES, KERNEL, NOW, take, write

from flows import ingest as ingesting
from flows import landing, tally
from flows.cli import main
from flows.reading import Options
from flows.reports import FileReport, IngestReport
from transforms.sources import SOURCES


@pytest.fixture
def inbox(tmp_path):
    return write(tmp_path / "inbox")


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FAULTLEDGER_LAKE", str(tmp_path / "lake"))

    def run(*words):
        code = main([*map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def statuses(report):
    return {file.file: (file.status, " ".join(file.reasons)) for file in report.files}


def test_pipes_sockets_and_links_get_an_answer_and_are_never_opened(
    tmp_path, inbox, call, monkeypatch
):
    os.mkfifo(inbox / "pipe")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "self").symlink_to("self")
    (inbox / "nowhere").symlink_to("not there")
    monkeypatch.chdir(inbox)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = statuses(take(tmp_path / "lake", inbox))
        code, out, _ = call("ingest", inbox / "pipe", "--dry-run")
    assert {name: found[name] for name in found if name not in FILES} == {
        "pipe": ("skipped", "a named pipe, not a file: write what it gives into one"),
        "socket": ("skipped", "a socket, not a file: write what it gives into one"),
        "loop": ("skipped", "a link to a folder is not followed: name that folder itself"),
        "self": (
            "refused",
            "cannot be read (too many levels of symbolic links): ask as a user who may",
        ),
        "nowhere": ("skipped", "a link to nothing"),
    }
    assert code == 1
    assert "a named pipe, not a file" in out


def test_a_file_that_may_not_be_read_and_one_that_is_gone_get_an_answer(
    tmp_path, inbox, monkeypatch
):
    planned = ingesting.plan([inbox], Options())
    (inbox / "kern.log").unlink()
    root = tmp_path / "lake"
    for batch in planned.batches:
        report = ingesting.ingest_batch(batch, root, Options(), NOW)
        if batch.source == "kernel_log":
            assert statuses(report) == {
                "kern.log": ("refused", "gone since it was listed: name it again if it is back")
            }
    real = landing.head

    def refuse(found):
        if found.name == "sacct.psv":
            raise PermissionError(13, "Permission denied")
        return real(found)

    monkeypatch.setattr(landing, "head", refuse)
    report = take(root, inbox)
    assert statuses(report)["sacct.psv"] == (
        "refused",
        "cannot be read (permission denied): ask as a user who may",
    )
    assert not report.is_fine


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_told(tmp_path, inbox):
    write(inbox, {"secret/kern.log": KERNEL})
    (inbox / "secret").chmod(0)
    report = take(tmp_path / "lake", inbox)
    (inbox / "secret").chmod(stat.S_IRWXU)
    assert statuses(report)["secret"][0] == "refused"


def test_names_and_lines_of_any_bytes_are_read_or_told(tmp_path, inbox):
    (inbox / os.fsdecode(b"kern\xff\n.log")).write_text(KERNEL.replace("n1", "n7"))
    (inbox / "junk.bin").write_bytes(bytes(range(256)) * 5_000)
    (inbox / "long.log").write_text(KERNEL.splitlines()[0] + "x" * 1_000_000 + "\n" + KERNEL)
    (inbox / "label.metrics").write_text(
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="' + "G" * 1_000_000 + '",Hostname="n1"} 41\n'
    )
    found = statuses(take(tmp_path / "lake", inbox))
    assert found["kern\ufffd\ufffd.log"][0] == "read"
    assert found["junk.bin"][0] == "unrecognised"
    assert found["long.log"][0] == "read"
    assert found["label.metrics"][0] in ("read", "unrecognised")


def test_totals_and_reasons_follow_the_table_of_a_dry_run(call, inbox):
    write(inbox, {"odd.txt": "a shopping list", "odd2.txt": "another", "empty.log": ""})
    code, out, _ = call("ingest", inbox, "--dry-run")
    lines = out.splitlines()
    assert code == 1
    assert lines[8] == "6 files: 3 read, 2 unrecognised, 1 skipped."
    assert lines[9] == "Took them for 1 kernel_log, 1 slurm_sacct, 1 train_log."
    assert lines[10] == "9 records: 7 accepted, 1 rejected, 1 ignored."
    assert lines[11].strip().startswith("2  no source knows this format")
    assert lines[11].endswith("odd.txt and 1 more files")
    assert {line.strip() for line in lines[12:]} == {
        "1  empty file: empty.log",
        "1  not a JSON object: train.ndjson",
    }


def test_ten_thousand_files_stay_readable_and_problems_come_first(capsys):
    files = [FileReport(f"{n:05}", "kernel_log", "read", 1, 1) for n in range(10_000)]
    files[7_000] = FileReport("07000", "", "unrecognised", reasons={"no source": 1})
    tally.show(IngestReport(files, {"arrivals": 9_999}), "table", False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < tally.MOST_FILES + 10
    assert lines[2].startswith("07000")
    assert "... and 9,900 more files that were fine: --format csv lists every one." in lines
    assert lines[-1] == "Gained 9,999 arrivals."


def test_every_file_is_listed_for_programs(call, inbox):
    code, out, _ = call("ingest", inbox, "--dry-run", "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert [row["file"] for row in rows] == ["kern.log", "sacct.psv", "train.ndjson"]
    assert rows[2]["reasons"] == "not a JSON object (1)"


def test_the_share_of_rejects_refuses_its_file_alone(call, inbox):
    code, out, _ = call("ingest", inbox, "--max-reject-share", "0.1")
    assert code == 1
    assert "more than the allowed share of 0.1" in out
    assert "2 kernel_events" in out


@pytest.mark.parametrize(
    "unit", ["\n", " ", "\t\n", "a,", "# ", '"', "{", "a=", "0", " " * 60 + "\n"]
)
def test_a_head_that_repeats_itself_is_told_in_no_time(unit):
    """A pattern that looks again from every line takes the square of the head: minutes, once."""
    head = unit * (65536 // len(unit))
    began = time.process_time()
    for source in SOURCES:
        source.sniff(head, "x.log")
    assert time.process_time() - began < 5
