"""What the kernel of a failing, or merely noisy, node says: (delay in ms, text) pairs."""

import numpy as np

from transforms.simulate.history import Gpu
from transforms.simulate.moments import SECOND, between

Words = list[tuple[int, str]]
NIC = ("0000:5e:00.0", "ib3")


def failure(mode: str, boards: list[Gpu], slot: int, rng: np.random.Generator) -> Words:
    """The lines of one failure of `mode`; its GPU, if it has one, sits in `slot`."""
    board = boards[slot]
    peer = boards[(slot + 1) % len(boards)]
    pid = 1_000_000 + int(rng.integers(0, 900_000))
    if mode == "gpu_lost":
        return _gpu_lost(board, peer, pid, rng)
    if mode == "hbm":
        return _hbm(board, pid, contained=bool(rng.random() < 0.6))
    if mode == "gsp":
        return _gsp(board, pid, times=3 + int(rng.integers(0, 3)))
    if mode == "nvlink":
        return _nvlink(board, peer, pid)
    if mode == "nic":
        return _flaps(times=2 + int(rng.integers(0, 3)), rng=rng)
    if mode == "host":
        return _machine_check(cpu=int(rng.integers(0, 96)))
    if mode == "storage":
        return _lost_filesystem()
    return []  # silent and pdu: the node is gone before it can say a word


def xid(board: Gpu, code: int, rest: str, pid: int | None = None) -> str:
    who = "pid='<unknown>', name=<unknown>" if pid is None else f"pid={pid}, name=python3"
    return f"NVRM: Xid (PCI:{board.pci}): {code}, {who}, {rest}"


def _about(board: Gpu) -> Words:
    return [
        (0, f"NVRM: GPU at PCI:{board.pci}: {board.uuid}"),
        (0, f"NVRM: GPU Board Serial Number: {board.serial}"),
    ]


def _gpu_lost(board: Gpu, peer: Gpu, pid: int, rng: np.random.Generator) -> Words:
    """The loss, then about 12 s later the switches that miss their link (methods 2.4)."""
    later = between(rng, 11_800, 12_400)
    return [
        *_about(board),
        (0, xid(board, 79, "GPU has fallen off the bus.")),
        (0, f"NVRM: GPU {board.pci}.0: GPU has fallen off the bus."),
        (0, f"NVRM: GPU {board.pci}.0: GPU serial number is {board.serial}."),
        (later, "nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 48 LTSSM Fault Up"),
        (
            later + 4,
            "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 63 LTSSM Fault Up",
        ),
        (
            later + 9,
            xid(
                board,
                154,
                "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
            ),
        ),
        (later + 640, xid(peer, 45, "Ch 00000008", pid)),
    ]


def _hbm(board: Gpu, pid: int, contained: bool) -> Words:
    after = (
        xid(board, 94, "Contained: CE User Channel (0x9). RST: No, D-RST: No", pid)
        if contained
        else xid(board, 95, "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No", pid)
    )
    return [
        (
            0,
            xid(
                board,
                48,
                "An uncorrectable double bit error (DBE) has been detected on GPU in the "
                "framebuffer at partition 6, subpartition 0.",
                pid,
            ),
        ),
        (3, xid(board, 171, "Uncorrectable DRAM error at partition 6, subpartition 0")),
        (
            8,
            xid(
                board,
                63,
                "Row Remapper: New row (0x0000000001fb2b80) marked for remapping, "
                "reset gpu to activate.",
            ),
        ),
        (25, after),
        (26, after),
        (410, xid(board, 45, "Ch 00000010", pid)),
    ]


def _gsp(board: Gpu, pid: int, times: int) -> Words:
    text = (
        f"Timeout after 6s of waiting for RPC response from GPU{board.slot} GSP! "
        "Expected function 76 (GSP_RM_CONTROL) (0x20802a02 0x8)."
    )
    return [*_about(board), *((n * 6_003, xid(board, 119, text, pid)) for n in range(times))]


def _nvlink(board: Gpu, peer: Gpu, pid: int) -> Words:
    text = "NVLink: fatal error detected on link {}(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"
    return [
        (0, xid(board, 74, text.format(6))),
        (2, xid(peer, 74, text.format(11))),
        (1_450, xid(board, 45, "Ch 0000000c", pid)),
        (1_451, xid(peer, 45, "Ch 0000000c", pid)),
    ]


def _flaps(times: int, rng: np.random.Generator) -> Words:
    """Up to four losses of carrier; the last one stays."""
    pci, link = NIC
    words: Words = []
    now = 0
    for _ in range(times):
        words.append((now, f"mlx5_core {pci} {link}: Link down"))
        now += between(rng, 3_000, 9_000)
        words.append((now, f"mlx5_core {pci} {link}: Link up"))
        now += between(rng, 1_000, 6_000)
    return [*words, (now, f"mlx5_core {pci} {link}: Link down")]


def _machine_check(cpu: int) -> Words:
    return [
        (
            0,
            f"mce: [Hardware Error]: CPU {cpu}: Machine Check Exception: 5 Bank 7: be00000000800400",
        ),
        (1, f"mce: [Hardware Error]: TSC 0 ADDR 1ffff81087f2a MISC 7880018086 SOCKET {cpu // 48}"),
        (4, "Kernel panic - not syncing: Fatal machine check"),
    ]


def _lost_filesystem() -> Words:
    target = "scratch-OST0007-osc-ffff9c1d"
    return [
        (
            0,
            f"LustreError: 11-0: {target}: operation ost_write to node 10.0.8.7@o2ib failed: "
            "rc = -107",
        ),
        (
            2 * SECOND,
            f"Lustre: {target}: Connection to scratch-OST0007 (at 10.0.8.7@o2ib) was lost; "
            "in progress operations using this service will wait for recovery to complete",
        ),
    ]


def boot(boards: list[Gpu]) -> Words:
    """A node coming back: nothing that any count should notice."""
    return [
        (0, "Linux version 5.15.0-131-generic (buildd@lcy02-amd64-013) #141-Ubuntu SMP"),
        (31 * SECOND, "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.127.08"),
        (33 * SECOND, f"nvidia 0000:{boards[0].pci[5:7]}:00.0: enabling device (0140 -> 0142)"),
        (52 * SECOND, "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready"),
    ]


def user_fault(board: Gpu, pid: int, code: int) -> Words:
    """A program's own error on a GPU, once or in repeats."""
    if code == 13:
        text = (
            "Graphics SM Warp Exception on (GPC 2, TPC 3, SM 1): Out Of Range Address",
            "Graphics Exception: ESR 0x514f30=0x107000e 0x514f34=0x0 0x514f28=0xf812b60",
        )
        return [(n * 2, xid(board, 13, line, pid)) for n, line in enumerate((*text, text[0]))]
    if code == 31:
        text31 = (
            "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ "
            "0x7f3c_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE"
        )
        return [(0, xid(board, 31, text31, pid)), (900, xid(board, 45, "Ch 00000008", pid))]
    return [(0, xid(board, 43, "Ch 00000008", pid))]


def row_remapped(board: Gpu) -> str:
    return xid(
        board,
        63,
        "Row Remapper: New row (0x0000000000c1d600) marked for remapping, reset gpu to activate.",
    )


def many_corrected(board: Gpu) -> str:
    return xid(board, 92, "High single-bit ECC error rate")


def corrected_memory(channel: int) -> str:
    return (
        f"EDAC MC1: 1 CE memory read error on CPU_SrcID#1_MC#0_Chan#{channel}_DIMM#0 "
        f"(channel:{channel} slot:0 page:0x3fa71c offset:0x940 grain:32 syndrome:0x0)"
    )


def corrected_pcie() -> str:
    return "pcieport 0000:16:01.0: AER: Corrected error received: 0000:17:00.0"


CHATTER = (
    "perf: interrupt took too long (2511 > 2500), lowering kernel.perf_event_max_sample_rate",
    "docker0: port 1(veth41b2c0e) entered forwarding state",
    'audit: type=1400 audit(1772400000.101:412): apparmor="STATUS" operation="profile_load"',
    "systemd-journald[812]: Data hash table of /run/log/journal has a fill level at 75.0",
)
