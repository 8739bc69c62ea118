"""`faultledger analyze`: files to the headline of their last week, whatever they lack."""

import pytest
from lakes import write

from flows.cli import main

KERNEL = (
    "2026-03-02T10:15:04.120000+00:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1, "
    "GPU has fallen off the bus.\n"
)
SETTING = ("--as-of", "2026-03-20T00:00Z", "--cluster", "c")


@pytest.fixture
def analyze(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAULTLEDGER_LAKE", str(tmp_path / "lake"))

    def run(*paths):
        code = main(["analyze", *map(str, paths), *SETTING])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_files_become_the_headline_of_their_last_busy_week(analyze, tmp_path):
    code, out, err = analyze(write(tmp_path / "inbox"))
    assert (code, err) == (0, "")
    assert "Week 2026-W10\n" in out
    assert "Failures per 1000 node-days:" in out
    assert (tmp_path / "lake" / "reports" / "2026-W10" / "report.html").is_file()
    again, told, _ = analyze(tmp_path / "inbox")
    assert again == 0
    assert "Nothing new." in told
    assert out.split("Week ")[1] == told.split("Week ")[1]


def test_jobs_alone_have_no_goodput_and_say_what_is_missing(analyze, tmp_path):
    files = write(tmp_path / "inbox")
    code, out, _ = analyze(files / "sacct.psv")
    assert code == 0
    assert "Fleet goodput: not measured  (no job logs its steps: give training logs;" in out


def test_kernel_logs_alone_report_what_they_can(analyze, tmp_path):
    code, out, _ = analyze(write(tmp_path / "inbox", {"kern.log": KERNEL}))
    assert code in (0, 1)
    assert "1 incidents, 1 of them failures." in out
    assert "Traceback" not in out


def test_a_file_that_nobody_knows_is_told_and_ends_with_one(analyze, tmp_path):
    code, out, err = analyze(write(tmp_path / "inbox", {"notes.txt": "what a day\n"}))
    assert code == 1
    assert "1 unrecognised" in out
    assert err.startswith("faultledger: ")
    assert err.count("\n") == 1
