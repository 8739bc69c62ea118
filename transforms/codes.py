"""What NVIDIA's Xid and SXid numbers mean, as facts in rows of codes that mean the same.

A group says, for all its codes at once: a short name, the two-level class of methods 2.2, how
severe the vendor calls it, whether it may enter a failure count, whose fault it is before any
evidence, what the vendor asks for, and where it stands when a root cause is chosen.

Facts are those of NVIDIA's published Xid catalogue (October 2025) and Fabric Manager guide; the
counting rules are methods 2.3 and 2.4, the precedence is methods 2.9, stage 4.
"""

from typing import NamedTuple

# Precedence of root causes: smaller explains larger. The gaps leave room.
LOSS, MEMORY, FIRMWARE, LINK, PCIE, HOST, NETWORK, STORAGE = 10, 20, 30, 40, 50, 60, 70, 80
ENGINE, USER, PRECURSOR, SECONDARY, NOISE = 85, 90, 95, 100, 110

COUNTS = ("yes", "corroborate", "by_subcode", "precursor", "no_user", "no_secondary", "no")
"""`corroborate` counts beside an interruption or a second sign; `by_subcode` needs the detail;
`precursor` warns; the others never count."""


class Meaning(NamedTuple):
    """What one group of codes means."""

    codes: tuple[int, ...]
    name: str
    klass: str
    component: str
    severity: str
    counts: str
    prior: str
    action: str
    rank: int
    summary: str


_GPU_ECC = "HBM uncorrectable"
_MICRO = "microcontroller / timeout"
_LINK = "link / switch"
_POWER = "thermal / power capping"
_PROGRAM = "program error"
_CORRECTED = "corrected memory"
_FABRIC5 = "NVLink 5 reports an error; the words in the line tell whether it is fatal"

# Numbers that no GPU since Ampere emits. They are known, and say nothing about hardware.
UNUSED = tuple(
    sorted(
        {*range(1, 8), 9, 10, 12, *range(14, 25), *range(26, 31), *range(33, 37), 42, 47}
        | {*range(49, 54), *range(55, 60), 61, 65, 73, 81, 87, 90, 91, *range(111, 119)}
        | {124, 125, 138}
    )
)
_COPY = (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))
_VIDEO = (68, 83, 84, 88, 89, 96, 97, 98)
_JPEG = (82, *range(99, 106))

# fmt: off
XIDS: tuple[Meaning, ...] = (
    # codes, name, class, component, severity, counts, prior, action, rank, summary
    Meaning(UNUSED, "unused", "Unknown", "unused code", "unused", "no", "unused", "contact vendor", NOISE, "number out of use since Ampere"),
    # loss of the device
    Meaning((79,), "off the bus", "GPU", "lost", "node_reboot", "yes", "hardware", "reboot node", LOSS, "the GPU no longer answers on PCIe"),
    Meaning((143,), "init failure", "GPU", "lost", "gpu_reset", "yes", "hardware", "reset GPU", LOSS, "the GPU could not be initialised"),
    # uncorrectable memory
    Meaning((48,), "double-bit ECC", "GPU", _GPU_ECC, "workflow", "yes", "hardware", "ECC workflow", MEMORY, "memory error beyond correction; 171 or 172 beside it says where"),
    Meaning((94,), "contained ECC", "GPU", _GPU_ECC, "app", "yes", "hardware", "restart program", MEMORY, "memory error that killed one process and spared the others"),
    Meaning((95,), "uncontained ECC", "GPU", _GPU_ECC, "gpu_reset", "yes", "hardware", "reset GPU", MEMORY, "memory error that cost all work on the GPU"),
    Meaning((140,), "ECC escape", "GPU", _GPU_ECC, "gpu_reset", "yes", "hardware", "reset GPU", MEMORY, "memory error that escaped containment"),
    Meaning((64,), "row remap failure", "GPU", "row remap exhausted", "gpu_reset", "yes", "hardware", "reset GPU", MEMORY, "no spare row left, or the remap could not be recorded"),
    Meaning((157,), "retirement failure", "GPU", "row remap exhausted", "info", "yes", "hardware", "none", MEMORY, "a bad resource could not be retired"),
    Meaning((171,), "DRAM detail", "GPU", _GPU_ECC, "unspecified", "no_secondary", "hardware", "unpublished", SECONDARY, "says that a double-bit error sat in DRAM"),
    Meaning((172,), "SRAM detail", "GPU", "SRAM uncorrectable", "unspecified", "no_secondary", "hardware", "unpublished", SECONDARY, "says that a double-bit error sat in SRAM"),
    Meaning((63,), "row remap", "GPU", _CORRECTED, "info", "precursor", "hardware", "none", PRECURSOR, "a spare row replaces a bad one after the next reset"),
    Meaning((92,), "many corrected errors", "GPU", _CORRECTED, "info", "precursor", "hardware", "none", PRECURSOR, "corrected memory errors arrive fast"),
    Meaning((156,), "retirement", "GPU", _CORRECTED, "gpu_reset", "precursor", "hardware", "reset GPU", PRECURSOR, "a bad resource is retired by the next reset"),
    Meaning((160,), "channel retirement", "GPU", _CORRECTED, "info", "precursor", "hardware", "none", PRECURSOR, "a memory channel was retired"),
    Meaning((161,), "channel retirement failure", "GPU", "row remap exhausted", "info", "corroborate", "hardware", "none", MEMORY, "a memory channel could not be retired"),
    Meaning((168,), "reduced memory", "GPU", _CORRECTED, "unspecified", "precursor", "hardware", "unpublished", PRECURSOR, "less memory is usable than installed"),
    Meaning((93,), "InfoROM worn", "GPU", "InfoROM", "info", "precursor", "hardware", "none", PRECURSOR, "the board's record store nears its write limit"),
    # firmware and microcontrollers
    Meaning((119,), "GSP timeout", "GPU", "GSP / firmware", "gpu_reset", "yes", "ambiguous", "reset GPU", FIRMWARE, "the GPU's system processor did not answer the driver"),
    Meaning((120,), "GSP fault", "GPU", "GSP / firmware", "gpu_reset", "yes", "ambiguous", "reset GPU", FIRMWARE, "the GPU's system processor crashed"),
    Meaning((46,), "GPU stopped", "GPU", _MICRO, "gpu_reset", "yes", "hardware", "reset GPU", FIRMWARE, "the GPU stopped processing"),
    Meaning((62,), "PMU halt", "GPU", _MICRO, "gpu_reset", "yes", "hardware", "reset GPU", FIRMWARE, "the power-management controller halted"),
    Meaning((158,), "fatal timeout", "GPU", _MICRO, "gpu_reset", "yes", "hardware", "reset GPU", FIRMWARE, "something inside the GPU timed out for good"),
    Meaning((169,), "SEC2 halt", "GPU", _MICRO, "unspecified", "yes", "hardware", "unpublished", FIRMWARE, "the security controller halted"),
    Meaning((109,), "context switch timeout", "GPU", _MICRO, "gpu_reset", "corroborate", "ambiguous", "reset GPU", FIRMWARE, "a context switch did not finish"),
    Meaning((110,), "security fault", "GPU", _MICRO, "gpu_reset", "corroborate", "ambiguous", "reset GPU", FIRMWARE, "security fault: mismatched firmware, or hardware"),
    Meaning((122, 123), "PMU flash access", "GPU", _MICRO, "unused", "corroborate", "hardware", "contact vendor", FIRMWARE, "the power controller could not reach its flash"),
    # power
    Meaning((54,), "power cable", "GPU", _POWER, "physical", "yes", "hardware", "check power cable", FIRMWARE, "auxiliary power is not connected"),
    Meaning((162,), "power smoothing back", "GPU", _POWER, "unspecified", "no", "hardware", "unpublished", NOISE, "power smoothing works again"),
    Meaning((163,), "power smoothing off", "GPU", _POWER, "unspecified", "precursor", "hardware", "unpublished", PRECURSOR, "power smoothing stopped"),
    Meaning((164,), "power smoothing worn", "GPU", _POWER, "unspecified", "precursor", "hardware", "unpublished", PRECURSOR, "power smoothing nears the end of its life"),
    Meaning((165,), "power smoothing dead", "GPU", _POWER, "unspecified", "precursor", "hardware", "unpublished", PRECURSOR, "power smoothing has used up its life"),
    # links
    Meaning((74,), "NVLink", "NVLink", _LINK, "workflow", "yes", "hardware", "NVLink workflow", LINK, "an NVLink failed: the link, the peer or the switch (up to Hopper)"),
    Meaning((136,), "link training", "NVLink", _LINK, "gpu_reset", "yes", "hardware", "reset GPU", LINK, "an NVLink could not be trained"),
    Meaning((144,), "NVLink 5 SAW", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((145,), "NVLink 5 RLW", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((146,), "NVLink 5 TLW", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((147,), "NVLink 5 TREX", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((148,), "NVLink 5 port control", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((149,), "NVLink 5 link event", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, "NVLink 5 link down (fatal) or bit errors (not)"),
    Meaning((150,), "NVLink 5 watchdog", "NVLink", _LINK, "workflow", "by_subcode", "hardware", "NVLink 5 workflow", LINK, _FABRIC5),
    Meaning((155,), "NVLink software error", "NVLink", _LINK, "gpu_reset", "corroborate", "system_software", "reset GPU", LINK, "NVLink error raised by software"),
    Meaning((166,), "NVLink encryption", "NVLink", _LINK, "unspecified", "corroborate", "system_software", "unpublished", LINK, "confidential traffic before the link was encrypted"),
    Meaning((173,), "C2C link down", "NVLink", _LINK, "gpu_reset", "yes", "hardware", "unpublished", LINK, "the link between CPU and GPU chip failed for good"),
    Meaning((159,), "CHI error", "NVLink", _LINK, "workflow", "corroborate", "hardware", "check UVM", LINK, "the coherent CPU interface reports an error"),
    Meaning((121,), "C2C corrected", "NVLink", _LINK, "info", "precursor", "hardware", "none", PRECURSOR, "corrected error between CPU and GPU chip"),
    Meaning((137,), "NVLink privilege", "NVLink", "peer fault", "info", "no_secondary", "user_app", "none", SECONDARY, "a peer's access over NVLink was refused; the peer faulted"),
    Meaning((108,), "NVLink translation", "NVLink", "peer fault", "unused", "no", "unused", "none", NOISE, "remote address translation; out of use"),
    Meaning((167,), "PCIe timeout", "PCIe", "AER, width/speed downgrade", "unspecified", "yes", "hardware", "unpublished", PCIE, "PCIe timed out for good"),
    # engines: program, driver or hardware, and the code alone cannot tell
    Meaning(_COPY, "copy engine", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "exception in a copy engine"),
    Meaning(_VIDEO, "video decoder", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "exception in a video decoder"),
    Meaning(_JPEG, "JPEG engine", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "exception in a JPEG engine"),
    Meaning((86, 139), "optical flow", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "exception in the optical-flow engine"),
    Meaning((142,), "video encoder", "GPU", "engine", "support", "corroborate", "ambiguous", "contact vendor", ENGINE, "exception in a video encoder"),
    Meaning((60,), "SEC2 exception", "GPU", "engine", "app", "corroborate", "system_software", "restart program", ENGINE, "exception in the security engine"),
    Meaning((8,), "channel idle timeout", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "a channel stopped making progress"),
    Meaning((32, 80), "corrupt push buffer", "GPU", "engine", "app", "corroborate", "ambiguous", "restart program", ENGINE, "commands reached the GPU damaged"),
    Meaning((44,), "context switch fault", "GPU", "engine", "info", "corroborate", "ambiguous", "none", ENGINE, "fault while switching contexts"),
    Meaning((141,), "fast path", "GPU", "engine", "info", "corroborate", "ambiguous", "none", ENGINE, "error on a driver fast path"),
    Meaning((170,), "confidential interrupt", "GPU", "engine", "unspecified", "corroborate", "ambiguous", "unpublished", ENGINE, "unexpected interrupt in confidential mode"),
    # programs
    Meaning((13,), "graphics engine", "Software (user)", _PROGRAM, "app", "no_user", "user_app", "restart program", USER, "illegal instruction or address in a program, as a rule"),
    Meaning((31,), "page fault", "Software (user)", _PROGRAM, "app", "no_user", "user_app", "restart program", USER, "a program touched an address it has not got"),
    Meaning((11, 25), "illegal commands", "Software (user)", _PROGRAM, "app", "no_user", "user_app", "restart program", USER, "illegal command stream from a program"),
    Meaning((69,), "class error", "Software (user)", _PROGRAM, "app", "no_user", "user_app", "restart program", USER, "illegal engine state set by a program"),
    Meaning((43,), "channel reset", "Software (user)", _PROGRAM, "info", "no_user", "user_app", "none", USER, "a faulting program's channel was reset; the GPU is fine"),
    # consequences and messages
    Meaning((45,), "channel clean-up", "Unknown", "channel clean-up", "workflow", "no_secondary", "secondary", "follow the other Xid", SECONDARY, "channels removed after some other error"),
    Meaning((154,), "recovery action", "Unknown", "recovery advisory", "advisory", "no_secondary", "informational", "follow its payload", SECONDARY, "the driver asks for another recovery action"),
    Meaning((151,), "key rotation", "Software (system)", "driver", "vm_restart", "corroborate", "system_software", "restart VM", ENGINE, "confidential-computing keys could not be rotated"),
    Meaning((38,), "firmware watchdog", "Software (system)", "driver", "info", "corroborate", "system_software", "none", ENGINE, "watchdog of the context-switch firmware"),
    Meaning((37, 66, 67), "driver message", "Software (system)", "driver", "info", "no", "system_software", "none", NOISE, "the driver did something its firmware refuses"),
    Meaning((78,), "vGPU start", "Software (system)", "driver", "software_update", "no", "system_software", "update software", NOISE, "a virtual GPU did not start"),
    Meaning((152, 153), "DLA", "Software (system)", "driver", "info", "no", "system_software", "none", NOISE, "deep-learning accelerator message"),
    Meaning((106, 107), "test message", "Unknown", "test message", "info", "no", "test", "none", NOISE, "somebody tests the reporting path"),
)
# fmt: on

_ALWAYS_FATAL = (10003, 12020, 22003, 22011, *range(23001, 23018))
_POTENTIALLY_FATAL = (
    *(10001, 10002, 11001, 11009, 11013, 11018, 11019, 11020, 12001, 12002, 12022),
    *(12024, 12025, 12026, 12027, 12030, 12031, 12032, 14017, 15001, 15006, 15009, 15010, 15012),
    *(15013, 19047, 19048, 19054, 19056, 19058, 19060, 19061, 19063, 19064, 19066, 19067, 19069),
    *(19070, 22012, 24004, 24005, 24006, 24007),
)
_CORRECTED_SWITCH = (
    *(11012, 11021, 11022, 11023, 12021, 12023, 15008, 15011, 19049, 19055, 19057, 19059),
    *(19062, 19065, 19068, 19071, 24001, 24002, 24003),
)

# fmt: off
SXIDS: tuple[Meaning, ...] = (
    Meaning(_ALWAYS_FATAL, "switch fatal", "NVLink", _LINK, "always_fatal", "yes", "hardware", "reset all switches and GPUs", LINK, "the host's whole NVLink fabric is down"),
    Meaning(_POTENTIALLY_FATAL, "switch port error", "NVLink", _LINK, "potentially_fatal", "corroborate", "hardware", "restart what crosses the port", LINK, "one GPU on an access port; on a trunk port all that crosses it"),
    Meaning((20034,), "link fault", "NVLink", _LINK, "potentially_fatal", "corroborate", "hardware", "restart what crosses the port", LINK, "an NVLink went down at the switch, often because its GPU did"),
    Meaning((10004,), "switch hot", "NVLink", _LINK, "potentially_fatal", "corroborate", "hardware", "check cooling", LINK, "the switch overheats"),
    Meaning((10005,), "switch cool again", "NVLink", _LINK, "potentially_fatal", "no_secondary", "hardware", "check cooling", SECONDARY, "the switch has cooled down"),
    Meaning(_CORRECTED_SWITCH, "switch corrected ECC", "NVLink", _LINK, "non_fatal", "precursor", "hardware", "watch the rate", PRECURSOR, "single-bit error, corrected"),
    Meaning((11004, 12028, 19084, 20001, 20009, 20012, 22013), "switch warning", "NVLink", _LINK, "non_fatal", "precursor", "hardware", "watch the rate", PRECURSOR, "the switch recovered by itself"),
)
# fmt: on
