"""mcelog and rasdaemon: one error told by several daemons, and how bad each of them says it is."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from transforms.catalogue import explain
from transforms.sources import mcelog, rasdaemon
from transforms.sources.base import Origin

ORIGIN = Origin(file="ras", modified=datetime(2026, 3, 15, tzinfo=UTC), node="n1")
DATABASE = Path(__file__).parent / "cases/sources/rasdaemon/the_database_itself/input.db"
CHECK = (
    "1 2026-03-02 10:15:04 +0000 error: {words}, CPU 2, bank Unified Memory Controller (bank=17), "
    "mcg mcgstatus=0, mci CECC, status=0x{status}, walltime=0x69a56cc8, bank=0x00000011"
)
SAID = [
    ("MCE", CHECK.format(words="Corrected error", status="9c2040000000011b"), "precursor"),
    ("MCE", CHECK.format(words="Uncorrected error", status="be00000000800400"), "yes"),
    ("MCE", "1 .. error: Uncorrected error, CPU 2, mcg mcgstatus=0", "yes"),
    ("Memory controller", "1 .. 1 Corrected error(s): read at A1 location: 0:0:0:0, addr 0, grain 0, syndrome 0 ", "precursor"),
    ("Memory controller", "1 .. 1 Uncorrected error(s): read at A1 location: 0:0:0:0, addr 0, grain 0, syndrome 0 ", "yes"),
    ("Memory controller", "1 .. 1 Fatal error(s): read at A1 location: 0:0:0:0, addr 0, grain 0, syndrome 0 ", "yes"),
    ("PCIe AER", "1 .. 0000:3b:00.0 Corrected error: Advisory Non-Fatal", "precursor"),
    ("PCIe AER", "1 .. 0000:3b:00.0 Uncorrected (Non-Fatal) error: Completion Timeout", "corroborate"),
    ("PCIe AER", "1 .. 0000:3b:00.0 Uncorrected (Fatal) error: Surprise Link Down", "yes"),
    ("Extlog", "1 .. error: type=Memory, severity=corrected, address=0x0, ", "precursor"),
    ("Extlog", "1 .. error: type=Memory, severity=recoverable, address=0x0, ", "yes"),
    ("Memory failure", "1 .. error: pfn=0x1, page_type=clean LRU page, action_result=Failed", "yes"),
]  # fmt: skip


def counts(events: pl.DataFrame) -> list[str]:
    return explain(events)["counts"].to_list()


@pytest.mark.parametrize(("section", "line", "counted"), SAID, ids=lambda v: v[:60])
def test_what_is_corrected_foretells_and_what_is_not_counts(section, line, counted):
    parsed = rasdaemon.parse(f"{section} events:\n{line}\n".encode(), ORIGIN)
    assert parsed.rejects.is_empty()
    assert counts(parsed.frames["kernel_events"]) == [counted]


@pytest.mark.parametrize(
    ("inside", "counted"),
    [
        ("Corrected error\nSTATUS 9c00004001010090 MCGSTATUS 0", "precursor"),
        ("Uncorrected error\nSTATUS be00000000800400 MCGSTATUS 5", "yes"),
        ("Uncorrected error\nProcessor context corrupt", "yes"),
        ("Processor 3 heated above trip temperature. Throttling enabled.", "precursor"),
    ],
)
def test_a_decoded_machine_check_counts_like_the_kernels(inside, counted):
    text = (
        f"Hardware event. This is not a software error.\nCPU 1 BANK 7\nTIME 1772446504\n{inside}\n"
    )
    assert counts(mcelog.parse(text.encode(), ORIGIN).frames["kernel_events"]) == [counted]


def test_print_and_database_give_the_same_rows():
    printed = (
        "Memory controller events:\n"
        + 2
        * "1 2026-03-02 03:09:05 +0100 1 Corrected error(s): memory read error at CPU0_DIMM_A1 location: 0:0:1:0, addr 12345, grain 6, syndrome 0 channel:1 slot:0\n"
        + "\nPCIe AER events:\n1 2026-03-02 10:15:02 +0000 0000:3b:00.0 Uncorrected (Fatal) error: Surprise Link Down\n"
        "\nDisk errors:\n1 2026-03-02 10:15:06 +0000 error: dev=259:0, sector=8, nr_sector=8, error='I/O error', rwbs='R', cmd='', \n"
        "\nMCE events:\n1 .. error: Corrected error, no action required., CPU 2, bank Unified Memory Controller (bank=21), mcg mcgstatus=0, mci Error_overflow CECC, status=0xdc2040000400011b, walltime=0x69a56cc8, bank=0x00000015\n"
    )
    key = ["node", "observed_at", "kind", "code", "device", "detail", "repeat", "clock"]
    ours = rasdaemon.parse(printed.encode(), ORIGIN).frames["kernel_events"].select(key)
    kept = rasdaemon.parse(DATABASE.read_bytes(), ORIGIN).frames["kernel_events"].select(key)
    assert ours.sort(key).equals(kept.filter(~pl.col("detail").str.contains("severity")).sort(key))


def test_a_database_in_write_ahead_mode_is_read_too():
    data = DATABASE.read_bytes()
    ahead = data[:18] + b"\x02\x02" + data[20:]
    assert rasdaemon.parse(ahead, ORIGIN).accepted == rasdaemon.parse(data, ORIGIN).accepted == 6


def test_a_database_cut_short_is_told_and_keeps_what_could_be_read():
    data = DATABASE.read_bytes()
    parsed = rasdaemon.parse(data[: len(data) // 2], ORIGIN)
    assert parsed.rejected >= 1
    assert "the database cannot be read on" in parsed.rejects["reason"][-1]


def test_a_database_that_would_run_code_of_its_own_is_refused(tmp_path):
    """A generated column calls a function whenever somebody looks."""
    file = tmp_path / "trap.db"
    with sqlite3.connect(file) as trap:
        trap.execute(
            "CREATE TABLE mc_event (id INTEGER PRIMARY KEY, timestamp TEXT, "
            "err_msg TEXT GENERATED ALWAYS AS (hex(zeroblob(1000))))"
        )
        trap.execute("INSERT INTO mc_event (timestamp) VALUES ('2026-03-02 03:09:05 +0100')")
    parsed = rasdaemon.parse(file.read_bytes(), ORIGIN)
    assert (parsed.accepted, parsed.rejected) == (0, 1)
    assert "no plain table" in parsed.rejects["reason"].item()


@pytest.mark.parametrize(
    ("text", "surety"),
    [
        ("Mar  2 10:15:04 n1 mcelog[22]: Hardware event. This is not a software error.\n", 2),
        ("Mar  2 10:15:04 n1 mcelog[22]: Hardware event. This is not a software error.\nMar  2 10:15:04 n1 kernel: x\n", 1),
        ("Hardware event. This is not a software error.\n", 2),
        ("the log said: Hardware event. This is not a software error.\n", 0),
    ],
)  # fmt: skip
def test_a_syslog_that_holds_more_is_only_perhaps_the_daemons(text, surety):
    assert mcelog.sniff(text, "messages") == surety
