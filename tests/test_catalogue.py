"""What codes, reasons and node states mean."""

import csv

import polars as pl
import pytest

from transforms import catalogue, node_states
from transforms.catalogue import classify_reasons, explain, meaning, previous_xid
from transforms.codes import COUNTS
from transforms.tables.derived import CLASSES
from transforms.tables.observed import KERNEL_KINDS


def reference(shared_data, name):
    with (shared_data.parent / "reference" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def events(*rows: tuple[str, int, str]) -> pl.DataFrame:
    schema = {"kind": pl.Enum(KERNEL_KINDS), "code": pl.Int32, "detail": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def rank(kind: str, code: int = 0) -> int:
    return meaning().filter(pl.col("kind") == kind, pl.col("code") == code)["rank"].item()


def test_every_xid_of_the_vendor_is_known_and_counts_as_the_methods_say(shared_data):
    ours = {row["code"]: row for row in catalogue.xid_frame().iter_rows(named=True)}
    theirs = reference(shared_data, "xid.csv")
    assert len(theirs) == len(ours) == 173
    for row in theirs:
        mine = ours[int(row["code"])]
        told = (row["counts_in_hw_mtbf"], row["severity"], row["user_or_hardware"])
        assert (mine["counts"], mine["severity"], mine["prior"]) == told, row


def test_every_sxid_of_the_vendor_is_known_with_its_class(shared_data):
    ours = dict(catalogue.sxid_frame().select("code", "severity").iter_rows())
    theirs = {int(r["sxid"]): r["class"] for r in reference(shared_data, "sxid.csv")}
    assert ours == theirs


def test_the_catalogue_is_whole_without_the_reference_beside_it():
    xids = catalogue.xid_frame()
    assert xids["code"].to_list() == list(range(1, 174))
    counts = dict(xids.group_by("counts").len().iter_rows())
    assert counts == {
        "yes": 19,
        "corroborate": 56,
        "by_subcode": 7,
        "precursor": 10,
        "no_user": 6,
        "no_secondary": 5,
        "no": 70,
    }
    severities = dict(catalogue.sxid_frame().group_by("severity").len().iter_rows())
    assert severities == {"non_fatal": 26, "potentially_fatal": 46, "always_fatal": 21}


def test_each_kind_and_code_has_one_meaning_in_the_words_of_the_dictionary():
    table = meaning()
    assert table.select("kind", "code").is_unique().all()
    assert set(table["class"]) <= set(CLASSES)
    assert set(table["counts"]) <= set(COUNTS)
    assert set(table["kind"]) == set(KERNEL_KINDS)
    assert table.null_count().sum_horizontal().item() == 0


def test_root_causes_are_chosen_in_the_order_of_the_methods():
    classes = [
        [("xid", 79), ("xid", 143), ("lost", 0)],
        [("xid", 95), ("xid", 140), ("xid", 48), ("xid", 94), ("xid", 64)],
        [("xid", 119), ("xid", 120), ("xid", 62), ("xid", 158)],
        [("xid", 136), ("xid", 149), ("xid", 74), ("sxid", 22003), ("sxid", 20034)],
        [("aer", 0)],
        [("mce", 0), ("edac", 0)],
        [("link_down", 0)],
        [("fs", 0)],
        [("xid", 13), ("xid", 31)],
        [("xid", 45), ("xid", 137)],
    ]
    ranks = [{rank(*signal) for signal in signals} for signals in classes]
    assert all(len(level) == 1 for level in ranks)
    order = [level.pop() for level in ranks]
    assert order == sorted(set(order))


@pytest.mark.parametrize(
    ("kind", "code", "detail", "klass", "counts"),
    [
        ("xid", 149, "NETIR_LINK_EVT Fatal XC0 i0 Link 09 (0x004c1446)", "NVLink", "yes"),
        ("xid", 149, "NETIR_LINK_EVT Nonfatal XC0 i0 Link 09", "NVLink", "corroborate"),
        ("xid", 149, "NETIR_BER_EVENT Nonfatal XC0 i0 Link 09", "NVLink", "precursor"),
        ("xid", 145, "RLW_RXPIPE Non-fatal XC0", "NVLink", "corroborate"),
        ("xid", 145, "", "NVLink", "corroborate"),
        ("xid", 45, "Ch 1 caused by previous Xid 79", "GPU", "yes"),
        ("xid", 45, "Ch 1", "Unknown", "no_secondary"),
        ("xid", 31, "says fatal, but is the program's", "Software (user)", "no_user"),
        ("xid", 9999, "from a driver of next year", "GPU", "corroborate"),
        ("sxid", 77, "from a switch of next year", "NVLink", "corroborate"),
        ("mce", 0, "CPU 0: Machine Check: 0 Bank 5: be00000000800400", "Host", "yes"),
        ("mce", 0, "CPU 0: Machine Check: 0 Bank 5: 8c00000000800400", "Host", "precursor"),
        ("mce", 0, "event severity: fatal", "Host", "yes"),
        ("mce", 0, "something new", "Host", "corroborate"),
        ("edac", 0, "1 UE memory scrubbing error", "Host", "yes"),
        ("edac", 0, "1 CE memory read error", "Host", "precursor"),
        ("aer", 0, "PCIe Bus Error: severity=Corrected, type=Data Link", "PCIe", "precursor"),
        ("aer", 0, "PCIe Bus Error: severity=Correctable, type=x", "PCIe", "precursor"),
        ("aer", 0, "severity=Uncorrectable (Non-Fatal), type=x", "PCIe", "corroborate"),
        ("aer", 0, "severity=Uncorrected (Fatal), type=x", "PCIe", "yes"),
        ("fs", 0, "EXT4-fs (sda1): Remounting filesystem read-only", "Host", "yes"),
        ("fs", 0, "nfs: server x not responding", "Storage", "corroborate"),
        ("panic", 0, "task python:1 blocked for more than 120 seconds.", "Host", "corroborate"),
        ("panic", 0, "Kernel panic - not syncing", "Host", "yes"),
        ("oom", 0, "Killed process 1", "Software (user)", "no_user"),
        ("link_up", 0, "Link up", "Network", "no"),
    ],
)
def test_the_detail_settles_what_the_code_leaves_open(kind, code, detail, klass, counts):
    row = explain(events((kind, code, detail))).row(0, named=True)
    assert (row["class"], row["counts"]) == (klass, counts)


def test_an_explained_event_keeps_its_row_and_place():
    rows = events(("xid", 45, "caused by previous Xid 149"), ("oom", 0, ""), ("xid", 45, ""))
    told = explain(rows)
    assert told.select(rows.columns).equals(rows)
    assert told["cause_code"].to_list() == [149, 0, 45]
    assert explain(rows.clear()).columns == told.columns


def test_a_clean_up_names_the_error_before_it():
    text = pl.DataFrame({"detail": ["Ch 00000001 caused by previous Xid 149", "Ch 00000001"]})
    assert text.select(previous_xid(pl.col("detail"))).to_series().to_list() == [149, None]


@pytest.mark.parametrize(
    ("reason", "klass", "component", "kind"),
    [
        ("Not responding", "Unknown", "host unreachable", "fault"),
        ("XID 79 GPU has fallen off the bus", "GPU", "lost", "fault"),
        ("xid=48 seen by check", "GPU", "HBM uncorrectable", "fault"),
        ("SXid 22003 on switch 2", "NVLink", "link / switch", "fault"),
        ("Xid 13: repeats across users", "Software (user)", "program error", "fault"),
        ("xid 4711", "GPU", "unspecified", "fault"),
        ("IB link flap mlx5_0", "Network", "cable / optic / switch port", "fault"),
        ("mlx5_1 down", "Network", "NIC", "fault"),
        (
            "gres/gpu count reported lower than configured (0 < 8), Low CPUs",
            "GPU",
            "lost",
            "fault",
        ),
        ("Low RealMemory (reported:1 < 100.00% of configured:2)", "Host", "DIMM", "fault"),
        ("Low socket*core*thread count, Low CPUs", "Host", "CPU / MCE", "fault"),
        ("cluster maint window", "Planned", "maintenance", "planned"),
        ("firmware upgrade wave 3", "Planned", "firmware", "planned"),
        ("GPU VBIOS flash", "Planned", "firmware", "planned"),
        ("Reboot ASAP", "Planned", "maintenance", "planned"),
        ("Node unexpectedly rebooted", "Unknown", "unexpected reboot", "fault"),
        ("Kill task failed", "Software (system)", "scheduler", "fault"),
        ("Epilog error", "Software (system)", "scheduler", "fault"),
        (
            "NHC: check_fs_mount: /scratch not mounted",
            "Storage",
            "filesystem mount, metadata, bandwidth",
            "fault",
        ),
        ("HC failed", "Unknown", "health check", "fault"),
        ("PSU 2 failed", "Host", "PSU / chassis / fan / BMC", "fault"),
        ("GSP firmware timeout", "GPU", "GSP / firmware", "fault"),
        ("bad DIMM A1", "Host", "DIMM", "fault"),
        ("PDU B lost", "Facility", "power feed, PDU, cooling", "fault"),
        ("lemon suspect, burn-in", "Unknown", "under suspicion", "precautionary"),
        ("cold-start", "Unknown", "not seen since the scheduler started", "unknown"),
        ("frobnicated", "Unknown", "unclassified", "unknown"),
        ("Xid 63: diag passed, no fault found", "Unknown", "false alarm", "false alarm"),
        ("NHC false positive", "Unknown", "false alarm", "false alarm"),
        ("alert cleared", "Unknown", "false alarm", "false alarm"),
        ("burn-in passed", "Unknown", "false alarm", "false alarm"),
        ("GPU 3 replaced, tests passed", "GPU", "unspecified", "fault"),
        ("ECC cleared after reset of gpu 2", "GPU", "HBM uncorrectable", "fault"),
        ("health check not passed", "Unknown", "health check", "fault"),
        ("", "Unknown", "no reason given", "unknown"),
        (None, "Unknown", "no reason given", "unknown"),
    ],
)
def test_a_reason_is_read(reason, klass, component, kind):
    told = classify_reasons(pl.DataFrame({"reason": [reason]}, schema={"reason": pl.String}))
    assert told.row(0) == (reason, klass, component, kind)


def test_reasons_speak_the_words_of_the_dictionary():
    assert {rule[1] for rule in catalogue.RULES} <= set(CLASSES)
    assert {rule[3] for rule in catalogue.RULES} <= set(catalogue.REASON_KINDS)
    assert catalogue.REASONS_VERSION


@pytest.mark.parametrize(
    ("state", "reason", "service"),
    [
        ("IDLE", None, "up"),
        ("MIXED+PLANNED", None, "up"),
        ("MIXED-", None, "up"),
        ("RESERVED", None, "up"),
        ("DOWN*", "Not responding", "down"),
        ("IDLE*", None, "down"),
        ("DOWN", "IB link flap mlx5_0", "down"),
        ("DOWN", "firmware upgrade", "planned"),
        ("FAIL", None, "down"),
        ("DRAIN", "XID 79 GPU has fallen off the bus", "down"),
        ("DRAIN", "firmware upgrade", "planned"),
        ("DRAIN", None, "down"),
        ("IDLE+DRAIN", "maint", "planned"),
        ("MIXED+DRAIN", "PSU 2 failed", "down"),
        ("DRAINING", "PSU 2 failed", "down"),
        ("MAINT", None, "planned"),
        ("IDLE$", None, "planned"),
        ("IDLE@", None, "planned"),
        ("DOWN^", None, "planned"),
        ("IDLE~", None, "planned"),
        ("IDLE+CLOUD+POWERED_DOWN", None, "planned"),
        ("FUTURE", None, "planned"),
        ("INVAL", "gres/gpu count reported lower than configured (0 < 8)", "down"),
        ("INVAL", "cold-start", "unknown"),
        ("UNK", "cold-start", "unknown"),
        ("UNKNOWN", None, "unknown"),
        ("", None, "unknown"),
        ("ENTANGLED", None, "unknown"),
    ],
)
def test_a_node_state_says_whether_the_node_serves(state, reason, service):
    schema = {"state": pl.String, "reason": pl.String}
    told = node_states.classify(pl.DataFrame([(state, reason)], schema=schema, orient="row"))
    assert told["service"].to_list() == [service]


def test_node_states_keep_their_rows_and_places():
    rows = pl.DataFrame(
        {
            "node": ["b", "a", "b"],
            "state": ["DOWN", "DRNG", "DOWN"],
            "reason": [None, "maint", None],
        }
    )
    told = node_states.classify(rows)
    assert told.select(rows.columns).equals(rows)
    assert told["service"].to_list() == ["down", "planned", "down"]
    assert told["is_draining"].to_list() == [False, True, False]
    assert told["class"].to_list() == ["Unknown", "Planned", "Unknown"]
    assert node_states.classify(rows.clear()).columns == told.columns


def test_the_states_of_a_real_scheduler_are_all_understood(shared_data):
    file = shared_data / "slurm-live" / "events.psv"
    lines = [line.split("|") for line in file.read_text().splitlines()[1:]]
    rows = pl.DataFrame(
        [(f[1], f[4], f[5]) for f in lines if f[1]],
        schema=["node", "state", "reason"],
        orient="row",
    )
    told = node_states.classify(rows).group_by("state", "service", "reason_kind").len()
    assert {(s, v, k): n for s, v, k, n in told.iter_rows()} == {
        ("UNK", "unknown", "unknown"): 17,
        ("INVAL", "down", "fault"): 9,
        ("DOWN*", "down", "fault"): 4,
        ("DRAIN", "down", "fault"): 2,
        ("DOWN", "down", "fault"): 2,
    }
