"""Redfish entries in every wrapping that firmwares and collectors give them."""

import json
from datetime import UTC, datetime

import pytest

from transforms.reported import board_reports
from transforms.sources.base import Origin
from transforms.sources.ipmi_sel import parse as parse_ipmi
from transforms.sources.redfish_log import parse, sniff

ORIGIN = Origin(file="log", modified=datetime(2026, 3, 15, tzinfo=UTC), node="n1")
ENTRY = {
    "@odata.type": "#LogEntry.v1_3_0.LogEntry", "Id": "54", "Created": "2026-03-11T16:34:51+00:00",
    "EntryType": "SEL", "EntryCode": "Assert", "SensorType": "Memory", "SensorNumber": 8,
    "Message": "Uncorrectable ECC", "Severity": "Critical",
}  # fmt: skip
WRAPPED = {
    "a collection": json.dumps({"Members": [ENTRY], "Members@odata.count": 1}, indent=2),
    "one entry": json.dumps(ENTRY, indent=2),
    "an array": json.dumps([ENTRY]),
    "one a line": json.dumps(ENTRY) + "\n",
    "an event": json.dumps({"@odata.type": "#Event.v1_4_0.Event", "Events": [ENTRY]}),
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_an_entry_is_the_same_in_every_wrapping(text):
    parsed = parse(text.encode(), ORIGIN)
    assert (parsed.records, parsed.accepted, parsed.rejected) == (1, 1, 0)
    row = parsed.frames["bmc_events"].row(0, named=True)
    assert (row["record"], row["sensor"], row["event"]) == ("54", "Memory #0x08", ENTRY["Message"])
    assert (row["direction"], row["level"], row["clock"]) == ("asserted", "critical", "stamped")
    assert sniff(text, "log.json") == 2


def test_a_log_collected_both_ways_is_one_record():
    line = "54 | 03/11/2026 | 16:34:51 | Memory #0x08 | Uncorrectable ECC | Asserted\n"
    key = ["cluster", "node", "observed_at", "record", "sensor", "event", "direction"]
    ours = parse(WRAPPED["one entry"].encode(), ORIGIN).frames["bmc_events"]
    theirs = parse_ipmi(line.encode(), ORIGIN).frames["bmc_events"]
    assert ours[key].equals(theirs[key])


def test_what_counts_is_told_by_the_words_of_any_vendor():
    said = [
        ("CPU 1 has an internal error (IERR).", "Critical", "yes"),
        ("Correctable memory error rate exceeded for DIMM_A1.", "Warning", "precursor"),
        ("Power supply 2 failed.", "Critical", "corroborate"),
        ("The power supplies are redundant.", "OK", "no"),
        ("The chassis is open while the power is off.", "Critical", "no"),
        ("A bus fatal error was detected on a component at slot 4.", "Critical", "yes"),
    ]
    entries = [{"Id": str(i), "EntryType": "SEL", "Created": f"2026-03-11T16:34:5{i}Z", "Message": m, "Severity": s} for i, (m, s, _) in enumerate(said)]  # fmt: skip
    made = board_reports(parse(json.dumps(entries).encode(), ORIGIN).frames["bmc_events"])
    assert made.sort("record")["counts"].to_list() == [counts for *_, counts in said]


@pytest.mark.parametrize("cut", range(10, 400, 7))
def test_entries_before_a_cut_stay_wherever_it_is(cut):
    whole = json.dumps({"Members": [ENTRY, ENTRY | {"Id": "55"}]}, indent=1)
    parsed = parse(whole[:cut].encode(), ORIGIN)
    sound = whole[:cut].count("}")
    assert parsed.accepted == min(sound, 2)
    assert parsed.rejected == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"Members": [' * 50_000, "{" + "9" * 6000])
def test_nesting_and_numbers_beyond_reason_are_refused(text):
    parsed = parse(text.encode(), ORIGIN)
    assert (parsed.accepted, parsed.rejected >= 1) == (0, True)


@pytest.mark.parametrize(
    "text", ['{"jobs": [{"job_id": 1}]}', '{"t": 1, "event": "step"}', '[{"kind": "Event"}]', ""]
)
def test_other_json_is_not_ours(text):
    assert sniff(text, "input.json") == 0
