"""What the kernel says when something breaks: one pattern per way of saying it.

    NVRM: Xid (PCI:0000:9b:00): 119, pid=2024380, name=nvidia-smi, Timeout after 6s ...
    nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 48 LTSSM Fault Up

`code`, `device` and `detail` are what the groups of a pattern catch; `scope` (a MIG instance) is
put in front of the detail. Patterns are searched anywhere in the message; the first that fits
decides, so the order is part of the meaning.
"""

PCI = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"
_DEVICE = rf"(?P<device>{PCI})(?:\.[0-9a-fA-F])?"
_NETDEV = rf"(?P<device>{PCI}|[A-Za-z][\w.@-]*)(?:\.[0-7])?"
_MANAGER = r"(?:^|nv-fabricmanager\[\d+\]: (?:\[[^\]]*\] )*)"  # its own log is another source
_PORT = r"<?(?P<device>[A-Za-z][\w.-]*)>?:?"
_DISK = r"(?P<device>nvme\d+|sd[a-z]+)\w*"

# (kind, pattern)
PATTERNS: tuple[tuple[str, str], ...] = (
    (
        "xid",
        rf"NVRM: Xid \((?:PCI:)?{_DEVICE} ?(?P<scope>GPU-I:\d+)?\): (?P<code>\d{{1,5}})\b,? *(?P<detail>.*)",
    ),
    ("sxid", rf"SXid \((?:PCI:)?{_DEVICE}\): (?P<code>\d{{1,6}})\b,? *(?P<detail>.*)"),
    # Fabric Manager's word, in a syslog or journal; the driver's own may stand beside it.
    (
        "sxid",
        rf"{_MANAGER}(?P<detail>detected NVSwitch (?:non-)?fatal error (?P<code>\d{{1,6}})\b.*?pci bus id {_DEVICE}.*)",
    ),
    (
        "lost",
        rf"NVRM: (?:GPU )?(?:at )?(?:PCI:)?{_DEVICE}: (?P<detail>GPU has fallen off the bus.*)",
    ),
    ("mce", r"mce: (?:\[Hardware Error\]: )?(?P<detail>CPU ?\d+: Machine Check.*)"),
    ("mce", r"mce: (?:\[Hardware Error\]: )?(?P<detail>(?i:machine check events logged).*)"),
    ("mce", r"(?P<detail>CPU\d+: .*temperature above threshold.*)"),
    ("mce", r"\[Hardware Error\]: (?P<detail>event severity: \w+.*)"),
    ("mce", r"\[Hardware Error\]: (?P<detail>(?:Corrected|Uncorrected|Deferred) error.*)"),
    ("edac", r"EDAC (?P<device>MC\d+): (?P<detail>.*\b(?:UE|CE)\b.*)"),
    (
        "aer",
        rf"AER: (?P<detail>(?:Multiple )?\w+(?: \([\w-]+\))? error (?:message )?received(?:: | from ){_DEVICE}.*)",
    ),
    ("aer", rf"{_DEVICE}: AER: (?P<detail>.*error (?:message )?received.*)"),
    ("aer", rf"{_DEVICE}: (?:AER: )?(?P<detail>PCIe Bus Error: severity=.*)"),
    ("aer", rf"{_DEVICE}: (?:AER: )?(?P<detail>(?:device|subordinate device.*) recovery failed.*)"),
    ("aer", rf"{_DEVICE}: (?P<detail>DPC: containment event.*)"),
    ("aer", rf"{_DEVICE}:? ?\w*: (?P<detail>(?i:slot)\([\w-]+\): (?i:link down).*)"),
    ("link_down", r"(?P<device>[\w.@-]+): (?P<detail>(?i:lost carrier).*)"),
    ("link_up", r"(?P<device>[\w.@-]+): (?P<detail>(?i:gained carrier).*)"),
    # NetworkManager says a loss twice: when it begins to wait, and when it acts on it.
    (
        "link_down",
        r"device \((?P<device>[\w.@-]+)\): (?:carrier: )?(?P<detail>link disconnected(?: \(deferring .*)?$)",
    ),
    ("link_up", r"device \((?P<device>[\w.@-]+)\): (?:carrier: )?(?P<detail>link connected.*)"),
    ("link_down", r"\(slave (?P<device>[\w.@-]+)\): (?P<detail>link status definitely down.*)"),
    (
        "link_down",
        r"(?P<detail>link status definitely down for (?:active )?interface (?P<device>[\w.@-]+).*)",
    ),
    ("link_up", r"\(slave (?P<device>[\w.@-]+)\): (?P<detail>link status definitely up.*)"),
    ("link_up", r"(?P<detail>link status definitely up for interface (?P<device>[\w.@-]+).*)"),
    (
        "link_down",
        rf"{_DEVICE}: (?P<detail>Port module event.*(?i:unplugged|\berror\b).*)",
    ),
    ("link_up", rf"{_DEVICE}: (?P<detail>Port module event.*(?i:plugged).*)"),
    (
        "link_down",
        rf"{_NETDEV}: (?:\w+: \w+ )?(?P<detail>(?:Port: \d+ )?(?:NIC )?(?i:link (?:is )?down)\b.*)",
    ),
    (
        "link_up",
        rf"{_NETDEV}: (?:\w+: \w+ )?(?P<detail>(?:Port: \d+ )?(?:NIC )?(?i:link (?:is )?up)\b.*)",
    ),
    # RDMA ports. INIT and ARMED are on the way: neither down nor up.
    ("link_up", rf"{_NETDEV}: (?P<detail>Port: \d+ Link ACTIVE\b.*)"),
    ("link_down", rf"{_PORT} (?P<detail>Port:? \d+:? (?i:link (?:is )?down)\b.*)"),
    ("link_up", rf"{_PORT} (?P<detail>Port:? \d+:? (?i:link (?:is )?(?:up|active))\b.*)"),
    ("link_down", r"(?P<device>hfi1_\d+): (?P<detail>logical state changed to PORT_DOWN\b.*)"),
    ("link_up", r"(?P<device>hfi1_\d+): (?P<detail>logical state changed to PORT_ACTIVE\b.*)"),
    (
        "nvme",
        r"nvme (?P<device>nvme\d+): (?P<detail>(?:I/O .*timeout|controller is down|Removing after|Device not ready|Disabling device|Abort status|frozen state|failed to|device gone).*)",
    ),
    ("nvme", rf"(?P<detail>(?:critical \w+|I/O) error,? dev {_DISK},? .*)"),
    ("nvme", rf"(?P<detail>Buffer I/O error on (?:dev|device) {_DISK},? .*)"),
    (
        "fs",
        r"(?P<detail>(?:EXT4-fs|BTRFS) (?:error|critical) \((?:device )?(?P<device>[\w.-]+)[^)]*\).*)",
    ),
    (
        "fs",
        r"(?P<detail>(?:EXT4-fs|XFS|BTRFS)(?: \w+)? \((?:device )?(?P<device>[\w.-]+)[^)]*\):? .*(?i:\berror\b|remounting.*read-only|forced readonly|shut ?down|corruption).*)",
    ),
    (
        "fs",
        r"(?P<detail>LustreError: (?:.*?(?P<device>[\w.-]+-(?:OST|MDT)[0-9a-f]{4}))?.*)",
    ),
    (
        "fs",
        r"(?P<detail>Lustre: (?:.*?(?P<device>[\w.-]+-(?:OST|MDT)[0-9a-f]{4}))?.*(?:was lost|timed out|evicted|not available).*)",
    ),
    ("fs", r"(?P<detail>nfs: server (?P<device>\S+) not responding.*)"),
    ("fs", r"(?P<detail>(?:libceph|ceph): .*(?:\bdown\b|session lost|\bhung\b).*)"),
    ("oom", r"(?i:out of memory).*?: (?P<detail>Kill(?:ed)? process .*)"),
    ("panic", r"(?P<detail>Kernel panic - not syncing.*)"),
    ("panic", r"(?P<detail>BUG: soft lockup.*)"),
    ("panic", r"(?P<detail>Watchdog detected hard LOCKUP.*)"),
    ("panic", r"(?P<detail>task \S+ blocked for more than \d+ seconds.*)"),
    ("panic", r"(?P<detail>BUG: (?:unable to handle|kernel NULL).*)"),
    ("panic", r"(?P<detail>kernel BUG at .*)"),
    ("panic", r"(?P<detail>\bOops: .*)"),
    ("panic", r"rcu: (?:INFO: )?(?P<detail>.*(?:self-detected stall|detected stalls?) on.*)"),
    ("segfault", r"(?P<detail>[^\[\]]{0,64}\[\d+\]: segfault at .*)"),
    ("segfault", r"traps: (?P<detail>[^\[\]]{0,64}\[\d+\] (?:general protection|trap ).*)"),
)

SIGNATURES = (
    *("Xid (", "off the bus", "The NVIDIA GPU", "Machine Check", "achine check events"),
    *("[Hardware Error]: ", "temperature above", "EDAC MC", "AER: ", "PCIe Bus Error: "),
    *("DPC: ", "carrier", "link disconnected", "link connected"),
    *("link status definitely", "Port module event", "link down", "link up"),
    *("detected NVSwitch", "link active", "logical state changed"),
    *("link is ", "slot(", "nvme ", "I/O error", "critical ", "EXT4-fs", "XFS (", "BTRFS"),
    *("Lustre", "nfs: server", "ceph: ", "out of memory", "Kernel panic", "soft lockup"),
    *("hard LOCKUP", "blocked for more", "BUG: ", "kernel BUG", "Oops: ", "stall", "segfault at"),
    "traps: ",
)
"""Literals, in any case, at least one of which stands in every line that a pattern can fit."""

NUMBERED = rf"\bS?Xid \(|{_MANAGER}detected NVSwitch (?:non-)?fatal error"
"""Lines that claim to carry a number: refused, not ignored, when it cannot be read."""

LOST_HEAD = rf"NVRM: The NVIDIA GPU {_DEVICE}"
LOST_NOTICE = b"The NVIDIA GPU"
LOST_TAIL = r"NVRM: .*?(?P<detail>fallen off the bus.*)"
"""The driver's notice of a lost GPU that it never started: begun by a head, ended by a tail."""

CONTINUES = r"^[ \t]+NVRM: "
STARTS = r"^[ \t]+NVRM: (?:Xid \(|The NVIDIA GPU|GPU )"
"""An indented driver line without stamp goes on with the record before, unless it starts one."""

VIRTUAL = r"^(?:veth|cali|docker|br-|virbr|cni|flannel|tunl|vxlan|tap|tun|dummy|lxc|cilium|kube|ovs|podman|azv|nodelocaldns|lo$|ata\d|usb)"
"""Interfaces (and a disk bus) whose coming and going is no fabric link's."""
