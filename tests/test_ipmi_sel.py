"""Boards' event logs: real ones, and what collectors put around them."""

from datetime import UTC, datetime

import polars as pl
import pytest

from transforms.sources.base import Origin
from transforms.sources.ipmi_sel import parse, sniff

ORIGIN = Origin(file="sel", modified=datetime(2026, 3, 15, tzinfo=UTC), node="n1")
LINE = "  54 | 03/11/2026 | 16:34:51 | Memory #0x08 | Uncorrectable ECC | Asserted\n"


def events(text: str, **origin: object) -> pl.DataFrame:
    parsed = parse(text.encode(), Origin(**{**ORIGIN.__dict__, **origin}))  # type: ignore[arg-type]
    assert parsed.rejects.is_empty(), parsed.rejects
    return parsed.frames["bmc_events"]


def test_the_real_logs_of_five_nodes_are_read(shared_data):
    parsed = parse((shared_data / "bmc" / "ipmi_sel_excerpt.txt").read_bytes(), ORIGIN)
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (42, 40, 2, 0)
    assert set(parsed.rejects["reason"]) == {"the log of argon-itf-cf44-06 could not be fetched"}
    found = parsed.frames["bmc_events"]
    by_node = {f"argon-itf-bx{n}": 10 for n in ("41-06", "43-01", "44-01", "44-03")}
    assert dict(found.group_by("node").len().rows()) == by_node
    assert found.filter(pl.col("clock") == "stamped").height == 40
    assert found["direction"].value_counts().sort("count").rows() == [
        ("deasserted", 18),
        ("asserted", 22),
    ]
    worst = found.filter(pl.col("event") == "Uncorrectable ECC").row(0, named=True)
    assert worst["observed_at"] == datetime(2025, 3, 11, 16, 34, 51, tzinfo=UTC)
    assert (worst["record"], worst["sensor"]) == ("54", "Memory #0x08")
    assert found.filter(pl.col("level") == "critical").height == 5


def test_the_real_log_is_surely_ours(shared_data):
    assert sniff((shared_data / "bmc" / "ipmi_sel_excerpt.txt").read_text(), "sel.txt") == 2


@pytest.mark.parametrize(
    "text",
    [
        "cluster|gpu007|2026-11-23T06:49:53|Unknown|DRAIN|reason|root(0)\n",
        "12|2026-03-01 00:00:00|COMPLETED\n",
        "a | b | c\n1 | 2 | 3\n",
        "uuid, timestamp\nGPU-a, 2026/03/02 10:15:04.123\n",
    ],
)
def test_other_tables_with_bars_are_not_ours(text):
    assert sniff(text, "input") == 0


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        ("16:34:51", 15),
        ("16:34:51 UTC", 16),
        ("04:34:51 PM", 15),
        ("16:34:51 +0300", 13),
        ("11:34:51 EST", 16),
        ("16:34:51 CST", 15),  # names two zones: the caller's stands
    ],
)
def test_a_time_is_local_unless_a_zone_stands_beside_it(stamp, hour):
    row = events(LINE.replace("16:34:51", stamp), zone="Europe/Berlin")
    assert row["observed_at"].item() == datetime(2026, 3, 11, hour, 34, 51, tzinfo=UTC)


def test_a_log_reads_alike_as_table_csv_and_fields():
    csv = LINE.replace(" | ", ",").strip() + "\n"
    fields = (
        "SEL Record ID          : 0054\n Record Type           : 02\n"
        " Timestamp             : 03/11/2026 16:34:51\n Sensor Type           : Memory\n"
        " Sensor Number         : 08\n Event Direction       : Assertion Event\n"
        " Description           : Uncorrectable ECC\n"
    )
    key = ["node", "observed_at", "record", "sensor", "event", "direction"]
    assert events(LINE)[key].rows() == events(csv)[key].rows() == events(fields)[key].rows()


def test_an_unset_clock_takes_the_same_neighbour_whichever_way_the_log_is_listed():
    unset = "  53 | Pre-Init |0000000012| Fan #0x41 | Lower Critical going low | Asserted\n"
    before = LINE.replace("54 |", "52 |").replace("03/11", "03/10")
    lists = [before + unset + LINE, LINE + unset + before]
    for text in lists:
        row = events(text).filter(record="53").row(0, named=True)
        assert row["observed_at"] == datetime(2026, 3, 11, 16, 34, 51, tzinfo=UTC)
        assert row["clock"] == "neighbour"


def test_a_node_without_any_stamp_takes_the_files_time():
    alone = events("n2:  1 | Pre-Init |0000000012| Fan #0x41 | Redundancy Lost | Asserted\n" + LINE)
    assert alone.filter(node="n2").select("observed_at", "clock").row(0) == (
        ORIGIN.modified,
        "file",
    )
