"""Kernel logs: real files, every stamp form, every way of saying that something broke."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.catalogue import previous_xid
from transforms.sources.base import Origin
from transforms.sources.kernel_log import SOURCE
from transforms.sources.kernel_patterns import PATTERNS, SIGNATURES

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
CASES = Path(__file__).parent / "cases" / "sources" / "kernel_log"
XID = "NVRM: Xid (PCI:0000:1b:00): 119, pid=7, Timeout"


def read(text: str, origin: Origin = ORIGIN) -> pl.DataFrame:
    return SOURCE.parse(text.encode(), origin).frames["kernel_events"]


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("dmesg-with-xid-119.log", {("xid", 119): 5}),
        ("syslog-0-flaps.log", {}),
        ("syslog-6-flaps-ib6.log", {("link_down", 0): 6, ("link_up", 0): 6}),
        ("nvsentinel-155-fallen-no-xid.txt", {("lost", 0): 1}),
        ("ogkm-1150-xid149-145-45.txt", {("xid", 45): 7}),
        ("gpud-doc-xid79-sxid20034.txt", {("xid", 79): 1, ("lost", 0): 1, ("sxid", 20034): 8}),
        ("issues-dmesg-akash-244.txt", {("xid", 43): 2, ("xid", 31): 1, ("xid", 94): 1}),
        ("dmesg-iso.log", {("segfault", 0): 2}),
        ("kmsg.1.log", {}),
        ("fabricmanager.log", {}),
    ],
)
def test_a_real_log_holds_exactly_its_faults(shared_data, file, counts):
    parsed = SOURCE.parse((shared_data / "kernel-logs" / file).read_bytes(), ORIGIN)
    found = parsed.frames["kernel_events"].group_by("kind", "code").len()
    assert {(kind, code): n for kind, code, n in found.iter_rows()} == counts
    assert parsed.rejected == 0
    assert parsed.accepted == sum(counts.values())
    assert parsed.records == parsed.accepted + parsed.ignored


def test_the_real_flaps_are_all_of_one_link(shared_data):
    flaps = read((shared_data / "kernel-logs" / "syslog-6-flaps-ib6.log").read_text())
    assert set(flaps["device"]) == {"ib6"}
    assert set(flaps["node"]) == {"jplc7eb7-vm-0"}
    # Five of the six fall into one second: each is kept.
    downs = flaps.filter(pl.col("kind") == "link_down")
    assert sorted(downs["repeat"]) == [0, 0, 1, 2, 3, 4]


def test_the_real_gpu_lost_without_a_number_is_named(shared_data):
    lost = read((shared_data / "kernel-logs" / "nvsentinel-155-fallen-no-xid.txt").read_text())
    assert lost.select("device", "code", "clock").rows() == [("0000:b3:00", 0, "anchored")]


def test_real_clean_ups_name_the_errors_before_them(shared_data):
    file = shared_data / "kernel-logs" / "ogkm-1150-xid149-145-45.txt"
    told = read(file.read_text()).select(previous_xid(pl.col("detail"))).to_series()
    assert sorted(told) == [145, 145, 145, 145, 145, 149, 149]


@pytest.mark.parametrize("file", ["dmesg-with-xid-119.log", "kmsg.1.log", "dmesg-iso.log"])
def test_a_real_kernel_log_is_recognised(shared_data, file):
    assert SOURCE.sniff((shared_data / "kernel-logs" / file).read_text(), file) == 2


@pytest.mark.parametrize(
    ("line", "node", "clock"),
    [
        (f"2026-03-02T10:15:04.250000+00:00 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"2026-03-02T15:45:04.250+0530 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"2026-03-02T10:15:04.25Z gpu-1 kernel: [  12.000001] {XID}", "gpu-1", "stamped"),
        (f"2026-03-02T11:15:04.25 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"Mar 02 11:15:04.250000 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"<4>Mar  2 11:15:04.250 gpu-1 kernel: [12.000001] {XID}", "gpu-1", "stamped"),
        (f"Mar  2 2026 11:15:04.250 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"Mon 2026-03-02 10:15:04.250 UTC gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"1772446504.250000 gpu-1 kernel: {XID}", "gpu-1", "stamped"),
        (f"<6>1 2026-03-02T10:15:04.250Z gpu-1 kernel - - - {XID}", "gpu-1", "stamped"),
        (f'<6>1 2026-03-02T10:15:04.250Z gpu-1 kernel - - [m a="x]"] {XID}', "gpu-1", "stamped"),
        (f"[Mon Mar  2 11:15:04.250 2026] {XID}", "caller", "stamped"),
        (f"kern  :warn  : 2026-03-02T10:15:04,250000+00:00 {XID}", "caller", "stamped"),
        (f"2026-03-02T10:15:04,250000+00:00 {XID}", "caller", "stamped"),
        (f"[36904.250000] {XID}", "caller", "boot"),
        (f"[36904.250000][ T1234] {XID}", "caller", "boot"),
        (f"<4>[36904.250000] {XID}", "caller", "boot"),
        (f"kern  :err   : [36904.250000] {XID}", "caller", "boot"),
        (f"[36904.250000] gpu-1 kernel: {XID}", "gpu-1", "boot"),
        (f"4,3965,36904250000,-;{XID}", "caller", "boot"),
        (f"4,3965,36904250000,-,caller=T1;{XID}\r", "caller", "boot"),
    ],
)
def test_every_form_of_stamp_tells_the_same_instant(line, node, clock):
    origin = Origin(
        file="input",
        modified=datetime(2026, 3, 15, tzinfo=UTC),
        node="caller",
        zone="Europe/Berlin",
        booted=datetime(2026, 3, 2, tzinfo=UTC),
    )
    assert read(line, origin).select(
        "observed_at", "node", "clock", "kind", "code", "device", "detail"
    ).rows() == [
        (
            datetime(2026, 3, 2, 10, 15, 4, 250_000, UTC),
            node,
            clock,
            "xid",
            119,
            "0000:1b:00",
            "pid=7, Timeout",
        )
    ]


@pytest.mark.parametrize(
    "line", [XID, f"kernel: {XID}", f"    {XID}", f"<6>1 - - kernel - - - {XID}"]
)
def test_a_line_without_a_stamp_is_as_old_as_its_file(line):
    assert read(line).select("observed_at", "clock").rows() == [(ORIGIN.modified, "file")]


@settings(max_examples=60, deadline=None)
@given(
    modified_s=st.integers(315_532_800, 3_786_912_000),
    age=st.integers(-86_000, 363 * 86_400),
)
def test_a_missing_year_is_found_within_a_year_of_the_file(modified_s, age):
    modified = datetime.fromtimestamp(modified_s, UTC)
    at = modified - timedelta(seconds=age)
    line = f"{at:%b} {at.day:>2} {at:%H:%M:%S} gpu-1 kernel: {XID}"
    assert read(line, Origin(file="x", modified=modified))["observed_at"].to_list() == [at]


def test_a_leap_day_is_the_latest_there_was():
    line = f"Feb 29 12:00:00 gpu-1 kernel: {XID}"
    origin = Origin(file="x", modified=datetime(2103, 1, 1, tzinfo=UTC))
    assert read(line, origin)["observed_at"].to_list() == [datetime(2096, 2, 29, 12, tzinfo=UTC)]


def test_the_boots_of_a_log_follow_each_other_without_overlap():
    lines = [f"[{s:>5}.000000] {XID} {i}" for i, s in enumerate([1, 90, 2, 80, 3, 70])]
    found = read("\n".join(lines)).sort("line_no")
    ages = [(ORIGIN.modified - at).total_seconds() for at in found["observed_at"]]
    # Boots of 70, 80 and 90 seconds, the last one ending with the file.
    assert ages == [70 + 80 + 89, 70 + 80, 70 + 78, 70, 67, 0]
    assert set(found["clock"]) == {"anchored"}
    booted = datetime(2026, 3, 1, tzinfo=UTC)
    known = read("\n".join(lines), Origin("x", ORIGIN.modified, booted=booted)).sort("line_no")
    assert known["observed_at"].to_list()[3:] == [booted + timedelta(seconds=s) for s in (0, 3, 70)]
    assert known["clock"].to_list() == ["anchored"] * 4 + ["boot"] * 2


SPOKEN = [
    ("mce", "mce: [Hardware Error]: Machine check events logged"),
    ("mce", "mce: CPU3: Core temperature above threshold, cpu clock throttled"),
    ("mce", "{1}[Hardware Error]: event severity: fatal"),
    ("mce", "[Hardware Error]: Corrected error, no action required."),
    ("aer", "pcieport 0000:64:00.0: AER: Corrected error received: 0000:65:00.0"),
    ("aer", "pcieport 0000:64:00.0: AER: Corrected error received: id=00e5"),
    ("aer", "pcieport 0000:64:00.0: AER: device recovery failed"),
    ("aer", "pcieport 0000:64:00.0: DPC: containment event, status:0x1f01 source:0x0000"),
    ("link_down", "bond0: link status definitely down for interface eth1, disabling it"),
    ("link_up", "bond0: (slave eth1): link status definitely up, 25000 Mbps full duplex"),
    ("link_up", "mlx5_core 0000:c1:00.0: Port module event: module 0, Cable plugged"),
    ("link_down", "infiniband mlx5_0: Port: 1 Link DOWN"),
    ("link_down", "mlx5_core 0000:c1:00.0: Link down"),
    ("nvme", "nvme nvme1: Removing after probe failure status: -19"),
    ("nvme", "Buffer I/O error on dev sda1, logical block 7, lost async page write"),
    ("nvme", "critical medium error, dev nvme0n1, sector 9"),
    ("fs", "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading"),
    ("fs", "XFS (nvme0n1): Filesystem has been shut down due to log error (0x2)."),
    ("fs", "Lustre: scratch-MDT0000-mdc-ff: Connection to scratch-MDT0000 (at 10.0.0.1) was lost"),
    ("fs", "ceph: mds0 hung"),
    ("panic", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3"),
    ("panic", "BUG: unable to handle kernel paging request at 0000000000003818"),
    ("panic", "kernel BUG at mm/slub.c:305!"),
    ("panic", "Oops: 0002 [#1] SMP NOPTI"),
    ("panic", "rcu: INFO: rcu_sched self-detected stall on CPU"),
    ("segfault", "traps: python[77] general protection fault ip:1 sp:2 error:0"),
    ("segfault", "traps: python[77] trap invalid opcode ip:1 sp:2 error:0"),
    ("oom", "Out of memory: Killed process 4242 (python) total-vm:999kB"),
    ("lost", "NVRM: The NVIDIA GPU 0000:b3:00.0 (PCI ID: 10de:26b5) has fallen off the bus"),
]
UNSPOKEN = [
    "EDAC MC0: Giving out device to module skx_edac",
    "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
    "IPv6: ADDRCONF(NETDEV_UP): ib0: link is not ready",
    "ata1: SATA link down (SStatus 0 SControl 300)",
    "nvme nvme0: 8/0/0 default/read/poll queues",
    "mce: [Hardware Error]: TSC 0 ADDR fef1a140 MISC 47880018086",
    "python invoked oom-killer: gfp_mask=0xcc0",
    "nfs: server 10.1.2.3 OK",
    "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.183.01",
]


@pytest.mark.parametrize(("kind", "message"), SPOKEN)
def test_a_kernel_message_is_of_its_kind(kind, message):
    assert read(f"[   12.000000] {message}")["kind"].to_list() == [kind]


@pytest.mark.parametrize("message", UNSPOKEN)
def test_a_harmless_message_is_ignored(message):
    parsed = SOURCE.parse(f"[   12.000000] {message}\n".encode(), ORIGIN)
    assert (parsed.records, parsed.ignored) == (1, 1)


def test_every_pattern_is_spoken_by_some_line_here():
    spoken = [m for _, m in SPOKEN]
    spoken += [line for case in CASES.glob("*/input.*") for line in case.read_text().splitlines()]
    silent = [p for _, p in PATTERNS if not any(re.search(p, m) for m in spoken)]
    assert not silent


def test_the_sieve_lets_every_message_through():
    assert all(any(s.lower() in m.lower() for s in SIGNATURES) for _, m in SPOKEN)


def test_the_same_fault_twice_in_a_second_is_two_records():
    line = f"Mar  2 10:15:04 gpu-1 kernel: {XID}\n"
    assert sorted(read(line * 3)["repeat"]) == [0, 1, 2]


def test_a_log_of_hosts_tells_lost_gpus_apart():
    lines = [
        "Mar  2 10:15:04 gpu-1 kernel: NVRM: The NVIDIA GPU 0000:b3:00.0",
        "Mar  2 10:15:04 gpu-2 kernel: NVRM: The NVIDIA GPU 0000:1b:00.0",
        "Mar  2 10:15:04 gpu-1 kernel: NVRM: fallen off the bus and is not responding to commands.",
        "Mar  2 10:15:04 gpu-3 kernel: NVRM: fallen off the bus and is not responding to commands.",
    ]
    assert read("\n".join(lines)).select("node", "device").rows() == [
        ("gpu-1", "0000:b3:00"),
        ("gpu-3", ""),
    ]
