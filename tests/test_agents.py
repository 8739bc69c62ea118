"""What other tools' agents stored is a witness of the same incident as the kernel's own line."""

import dataclasses
import json
import sqlite3
from pathlib import Path

import pytest
from incident_frames import T0, at, attempt, derived, event

from transforms.sources import BY_NAME
from transforms.sources.base import Origin

ORIGIN = Origin(file="input", modified=T0, cluster="c", node="n1")


def rows_of(source, data):
    parsed = BY_NAME[source].parse(data, ORIGIN)
    assert parsed.rejected == 0, parsed.rejects.rows()
    return parsed.frames["cluster_events"].to_dicts()


def gpud_state(tmp_path: Path, *events: tuple, component="accelerator_nvidia_error_xid") -> bytes:
    """A state file as the agent leaves it: of write-ahead mode, checkpointed."""
    file = tmp_path / "gpud.state"
    table = f"components_{component}_events_v0_5_0"
    with sqlite3.connect(file) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute(
            f"CREATE TABLE {table} (timestamp INTEGER NOT NULL, name TEXT NOT NULL,"
            " type TEXT NOT NULL, message TEXT, extra_info TEXT)"
        )
        for seconds, name, kind, more in events:
            row = (int(at(seconds).timestamp()), name, kind, None, more)
            base.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", row)
    base.close()
    return file.read_bytes()


GPUD_XID = '{"data":"79","device_uuid":"PCI:0000:3b:00"}'


def gpud(tmp_path, *events):
    return rows_of("gpud", gpud_state(tmp_path, *events))


def incidents(**rows):
    found = derived(**rows)["incidents"].filter(definition="coalesced-180s")
    return found.select("root_code", "events", "counts").rows()


def test_gpuds_xid_is_another_witness_of_the_kernels(tmp_path):
    told = gpud(tmp_path, (20, "error_xid", "Fatal", GPUD_XID))
    assert incidents(kernel_events=[event(0)], cluster_events=told) == [(79, 2, True)]
    assert incidents(cluster_events=told) == [(79, 1, True)]


def test_gpuds_all_clear_and_reboots_are_no_failures(tmp_path):
    told = gpud(tmp_path, (20, "SetHealthy", "", None), (400, "reboot", "Warning", None))
    assert not any(counts for _, _, counts in incidents(cluster_events=told))


@pytest.mark.parametrize(
    ("name", "klass", "component"),
    [
        ("memory_oom_cgroup", "Software (user)", "host out of memory"),
        ("row_remapping_failed", "GPU", "row remap exhausted"),
        ("nvme_path_failure", "Host", "NVMe / local disk"),
    ],
)
def test_gpuds_own_words_are_known(tmp_path, name, klass, component):
    made = derived(cluster_events=gpud(tmp_path, (20, name, "Critical", None)))["incidents"]
    found = made.filter(definition="coalesced-180s").select("class", "component").rows()
    assert found == [(klass, component)]


def test_gpuds_file_is_read_whatever_its_journal_says(tmp_path):
    data = gpud_state(tmp_path, (0, "error_xid", "Fatal", GPUD_XID))
    older = data[:18] + b"\x01\x01" + data[20:]
    assert data[18:20] == b"\x02\x02"
    assert rows_of("gpud", data) == rows_of("gpud", older)


@pytest.mark.parametrize("size", [0, 50, 100, 511, 3000])
def test_gpuds_file_cut_short_is_counted_never_raised(tmp_path, size):
    data = gpud_state(tmp_path, (0, "error_xid", "Fatal", GPUD_XID))
    parsed = BY_NAME["gpud"].parse(data[:size], ORIGIN)
    assert (parsed.accepted, parsed.rejected) == (0, 1 if size else 0)


def test_gpuds_events_are_its_nodes(tmp_path):
    data = gpud_state(tmp_path, (0, "error_xid", "Fatal", GPUD_XID))
    other = dataclasses.replace(ORIGIN, node="n2", cluster="d")
    frame = BY_NAME["gpud"].parse(data, other).frames["cluster_events"]
    assert frame.select("cluster", "node").rows() == [("d", "n2")]


def nvsentinel(seconds, **more):
    """A health event in the words of its store, which are in lower case."""
    event = {
        "agent": "syslog-health-monitor", "componentclass": "GPU", "checkname": "SysLogsXIDError",
        "isfatal": True, "ishealthy": False, "errorcode": ["79"], "nodename": "n1",
        "message": "GPU has fallen off the bus", "recommendedaction": 24,
        "entitiesimpacted": [{"entitytype": "PCI", "entityvalue": "0000:3b:00"}],
        "generatedtimestamp": {"seconds": int(at(seconds).timestamp()), "nanos": 5000}, **more,
    }  # fmt: skip
    return rows_of("nvsentinel", json.dumps({"healthevent": event}).encode())


def test_nvsentinels_xid_is_another_witness_of_the_kernels():
    assert incidents(kernel_events=[event(0)], cluster_events=nvsentinel(5)) == [(79, 2, True)]
    assert incidents(cluster_events=nvsentinel(5)) == [(79, 1, True)]


@pytest.mark.parametrize(
    "quiet",
    [
        {"ishealthy": True, "isfatal": False, "message": "No health failures"},
        {"componentclass": "CSP", "checkname": "CSPMaintenance", "message": "maintenance planned"},
    ],
    ids=["recovered", "planned"],
)
def test_what_nvsentinel_says_has_recovered_or_is_planned_is_no_failure(quiet):
    told = nvsentinel(5, **{"errorcode": [], **quiet})
    assert not any(counts for _, _, counts in incidents(cluster_events=told))


def test_a_recovery_names_no_xid_even_with_its_error_code():
    (row,) = nvsentinel(5, ishealthy=True, isfatal=False)
    assert (row["code"], row["level"]) == (0, "info")


def test_a_recovery_does_not_bear_the_word_of_its_fault():
    """The catalogue of machine words knows XidError as a fault, whatever the level says."""
    lost = attempt(-7200, 30, state="NODE_FAIL")
    told = nvsentinel(5, checkname="XidError", ishealthy=True, isfatal=False)
    assert [row["reason"] for row in told] == ["XidErrorIsHealthy"]
    assert incidents(cluster_events=told, run_attempts=[lost]) == incidents(run_attempts=[lost])


def test_microseconds_of_seconds_and_nanos_are_exact():
    (row,) = nvsentinel(5)
    assert row["observed_at"] == at(5.000005)


def nhc(seconds, line):
    return rows_of("nhc", f"[{int(at(seconds).timestamp())}] - {line}\n".encode())


OLD_XID = (
    "ERROR:  nhc:  Health check failed:  check_gpu_xid: GPU Xid errors detected: "
    "[ 3711.1] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
)


def test_an_xid_that_a_health_check_finds_hours_later_is_no_xid_of_now():
    """Every run finds it again until the kernel's log is rotated."""
    again = [row for hour in range(1, 6) for row in nhc(hour * 3600, OLD_XID)]
    made = incidents(kernel_events=[event(0)], cluster_events=again)
    assert [counts for _, _, counts in made if counts] == [True]


def test_a_failed_health_check_counts_when_a_run_was_lost_to_it():
    lost = attempt(-7200, 30, state="NODE_FAIL")
    told = nhc(0, OLD_XID)
    assert incidents(cluster_events=told, run_attempts=[lost]) == [(0, 1, True)]
