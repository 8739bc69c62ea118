"""Why a node is out of service, read from the free text that an operator or the scheduler gave.

    XID 79 GPU has fallen off the bus       GPU, lost, a fault
    firmware upgrade wave 3                 Planned, firmware
    IB link flap mlx5_0                     Network, cable / optic / switch port, a fault
    XID 63, diag passed, no fault found     Unknown, a false alarm

The table is ordered and the first match wins: exact scheduler phrases, then plans that name their
subject ("switch firmware upgrade"), then faults from the specific to the general. Adding or
moving a row changes what past weeks say, so `REASONS_VERSION` goes up with it.
"""

import polars as pl

from transforms.codes import SXIDS, XIDS

REASONS_VERSION = "2026-11-3"

REASON_KINDS = ("planned", "precautionary", "fault", "false alarm", "unknown")
"""`precautionary`: taken out on suspicion or for a test, nothing told that broke. `false alarm`:
taken out, and then found sound without a repair."""

_FS = "filesystem mount, metadata, bandwidth"
_OPTIC = "cable / optic / switch port"
_OS = "OS / driver / kernel"
_CHASSIS = "PSU / chassis / fan / BMC"
_DISK = "NVMe / local disk"
_FAIL = r"(?:err|fail|fault|hang|hung|dead|bad|crash|timeout|timed out|lost|missing|assert|flap)"

# (pattern, class, component, kind); patterns are matched in lower case
# fmt: off
RULES: tuple[tuple[str, str, str, str], ...] = (
    # what Slurm itself writes
    (r"^cold-start", "Unknown", "not seen since the scheduler started", "unknown"),
    (r"^not responding", "Unknown", "host unreachable", "fault"),
    (r"(?:unexpected|spontaneous|random)\w*.{0,12}reboot|reboot.{0,12}(?:loop|unexpected)", "Unknown", "unexpected reboot", "fault"),
    (r"gres/gpu.*(?:count|fewer|lower|too low)", "GPU", "lost", "fault"),
    (r"low real ?memory", "Host", "DIMM", "fault"),
    (r"low (?:socket|cpus|cores)", "Host", "CPU / MCE", "fault"),
    (r"low tmp ?disk", "Host", _DISK, "fault"),
    (r"kill task failed|(?:prolog|epilog).*(?:err|fail)|batch job complete failure|duplicate jobid|job env setup|setup error|slurmd.*(?:restart|version|timed)|munge", "Software (system)", "scheduler", "fault"),
    (r"reboot asap|reboot (?:requested|issued|complete)|scontrol reboot|power[ _-]?sav", "Planned", "maintenance", "planned"),
    # what Kubernetes writes of a node
    (r"stopped posting|nodestatusunknown", "Unknown", "host unreachable", "fault"),
    (r"networkplugin|\bcni\b", "Software (system)", "container runtime", "fault"),
    (r"tobedeletedbyclusterautoscaler|karpenter\.sh/disrupt|impending-node-termination|scale-?down|consolidat", "Planned", "scaled down", "planned"),
    (r"cloudprovider\.kubernetes\.io/shutdown", "Planned", "maintenance", "planned"),
    # plans
    (r"(?:firmware|fw|bios|vbios|bmc|microcode|driver|kernel|os|cuda|ofed).{0,24}(?:upgrade|update|flash|rollout|patch)|(?:upgrade|update|flash|patch).{0,24}(?:firmware|\bfw\b|bios|driver|kernel|\bos\b|ofed)", "Planned", "firmware", "planned"),
    (r"\bmaint|planned|scheduled|upgrade|rolling|re-?imag|re-?install|re-?provision|decommission|relocat|\bpatch(?:ing)?\b|\breservation\b", "Planned", "maintenance", "planned"),
    # GPU and its links
    (r"off the bus|gpu.{0,20}(?:lost|missing|gone|not (?:found|detected)|drop|count|unreachable)|(?:lost|missing|no|fewer) gpus?\b|nvidia-smi.{0,24}(?:" + _FAIL + r"|no devices)", "GPU", "lost", "fault"),
    (r"remap|retired? page|page retire", "GPU", "row remap exhausted", "fault"),
    (r"\bsram\b", "GPU", "SRAM uncorrectable", "fault"),
    (r"\bgsp\b", "GPU", "GSP / firmware", "fault"),
    (r"nvlink|nvswitch|fabric ?manager|nv-?fabric|sxid", "NVLink", "link / switch", "fault"),
    (r"(?:gpu|hbm|vram|nvidia).{0,24}(?:ecc|dbe|uncorr|double[- ]bit|memory)|\bdbe\b|(?:ecc|uncorr\w*).{0,24}(?:gpu|hbm)|\bhbm\b", "GPU", "HBM uncorrectable", "fault"),
    (r"gpu.{0,24}(?:temp|therm|hot|power|throttl|slow)|thermal slowdown|power brake", "GPU", "thermal / power capping", "fault"),
    (r"\bsdc\b|silent data|corrupt.{0,16}(?:gpu|result)|nan.{0,12}gpu|gpu.{0,12}nan", "GPU", "silent data corruption", "fault"),
    (r"\bgpus?\b|\bdcgm|\bnvml\b|nvidia|\bxid\b", "GPU", "unspecified", "fault"),
    (r"\bpcie?\b|\baer\b|link width|link speed", "PCIe", "AER, width/speed downgrade", "fault"),
    # network before host: "mlx5_0 firmware error" is a NIC's
    (r"fabric|subnet manager|\bopensm\b|\bufm\b|leaf switch|spine|\btor\b", "Network", "switch / fabric manager", "fault"),
    (r"flap|cable|optic|transceiver|\bqsfp|\bosfp|\bber\b|\bfec\b|symbol err|switch ?port", "Network", _OPTIC, "fault"),
    (r"\bib\d*\b|infiniband|mlx\d|\bhca\b|\bnic\b|\broce\b|\brdma\b|ethernet|\beth\d|\bbond\d|link (?:is )?down|port (?:is )?down|carrier|network|connectx", "Network", "NIC", "fault"),
    # storage before disks: a missing mount is not a broken drive
    (r"lustre|\bnfs|gpfs|mmfs|spectrum ?scale|weka|beegfs|\bceph|vast|mount|stale|file ?system|/scratch|/home|\boss?t\d|\bmds\b|quota", "Storage", _FS, "fault"),
    (r"nvme|\bssd\b|\bdisk|\bsmart\b|\braid\b|read-?only|i/o err|\bdrive\b|no space", "Host", _DISK, "fault"),
    (r"\bmce\b|machine check|\bcpu\b|processor|\bsocket\b", "Host", "CPU / MCE", "fault"),
    (r"dimm|edac|memory|\becc\b|\bram\b", "Host", "DIMM", "fault"),
    (r"power (?:outage|loss|fail|feed|event)|\bpdu\b|breaker|\bups\b|chiller|cooling|coolant|\bcdu\b|\bleak|facility|water", "Facility", "power feed, PDU, cooling", "fault"),
    (r"\bpsu\b|power supply|\bfan|chassis|\bbmc\b|\bipmi\b|\bsel\b|redfish|temp|therm|overheat|\bhot\b|voltage|motherboard|baseboard|power", "Host", _CHASSIS, "fault"),
    (r"reboot", "Planned", "maintenance", "planned"),
    (r"panic|lock-?up|oops|hung task|kernel|driver|\bboot|crash|firmware|\bclock skew|\bntp\b|\bos\b", "Host", _OS, "fault"),
    (r"container runtime|\bpleg\b|kubelet", "Software (system)", "container runtime", "fault"),
    (r"container|docker|enroot|pyxis|\bnccl\b|slurm|prolog|epilog|cgroup|\bauth", "Software (system)", "scheduler", "fault"),
    (r"not responding|unreachable|no respon|\bdown\b|offline|\bhung\b|\bhang|\bssh\b|ping", "Unknown", "host unreachable", "fault"),
    # people and health checks that name nothing
    (r"\brma\b|repair|replac|vendor|hardware|\bhw\b", "Unknown", "under repair", "fault"),
    (r"\b(?:hc|nhc|lbnl)\b|health ?check|node ?check", "Unknown", "health check", "fault"),
    (r"investig|suspect|lemon|burn-?in|stress|test|debug|diag|check|monitor|quarantin|validat|bench|slow|precaution|watch", "Unknown", "under suspicion", "precautionary"),
    (r"\badmin|\bcordon|manual|\bhold\b|drained by|reserved|do not use", "Human", "manual", "precautionary"),
)
# fmt: on
# Nothing matched: the share of these is itself reported (methods 2.8).
_UNCLASSIFIED = ("Unknown", "unclassified", "unknown")
_NOT_GIVEN = ("Unknown", "no reason given", "unknown")
_FALSE_ALARM = ("Unknown", "false alarm", "false alarm")
# Such words overrule the number of an Xid, but not a repair: what was mended had been broken.
_FOUND_SOUND = (
    r"no (?:fault|problem|issue|error|trouble|defect)s? found|\bnff\b|\bntf\b"
    r"|false[- ]?(?:positive|alarm|alert)|(?:could ?n.t|could not|cannot|can.t|unable to|not) repro"
    r"|(?:test|diag\w*|check|burn-?in|stress|bench\w*)s? (?:has |have |all |were |was )?(?:passed|clean\b|ok\b)"
    r"|passed (?:all )?(?:\w+ )?(?:test|diag|check|burn|stress)"
    r"|^cleared\b|(?:alert|alarm|warning|suspicion|check|hc)s? (?:was |were |has been )?cleared"
    r"|cleared (?:by|after|for) (?:test|diag|check|production|service|hc\b)"
)
_MENDED = r"replac|reseat|swap|\brma|repair|\bfixed|reset|reboot|re-?flash|reinstall"
_XID = r"\bxid\W{0,3}(\d{1,5})\b"
_SXID = r"\bsxid\W{0,3}(\d{1,6})\b"
_OUTCOMES = pl.DataFrame(
    [rule[1:] for rule in RULES] + [_UNCLASSIFIED, _NOT_GIVEN, _FALSE_ALARM],
    schema={"class": pl.String, "component": pl.String, "reason_kind": pl.String},
    orient="row",
).with_row_index("rule")


def _numbered(groups: tuple, prefix: str) -> pl.DataFrame:
    """Classes by code number: what a reason means that names an Xid or SXid."""
    rows = [(c, g.klass, g.component) for g in groups for c in g.codes]
    columns = [f"{prefix}_code", f"{prefix}_class", f"{prefix}_component"]
    return pl.DataFrame(rows, schema=columns, orient="row").cast({columns[0]: pl.Int32})


def classify_reasons(frame: pl.DataFrame, column: str = "reason") -> pl.DataFrame:
    """Add `class`, `component` and `reason_kind` for the free text in `column`.

    An Xid or SXid named in the text decides by its number; whoever took the node out for it saw
    a fault, even where the code alone would not count as one. Works on the distinct texts.
    """
    if frame.is_empty():  # a hundred patterns take their time to be read
        kinds = dict.fromkeys(("class", "component", "reason_kind"), pl.String)
        return frame.with_columns(pl.lit(None, t).alias(n) for n, t in kinds.items())
    text = pl.col(column).str.to_lowercase().str.strip_chars()
    matches = [
        pl.when(text.str.contains(pattern)).then(pl.lit(number, pl.UInt32))
        for number, (pattern, *_) in enumerate(RULES)
    ]
    blank = text.is_null() | text.is_in(["", "none", "(null)", "n/a", "unknown"])
    is_false = text.str.contains(_FOUND_SOUND) & ~text.str.contains(_MENDED)
    rule = (
        pl.when(blank)
        .then(pl.lit(len(RULES) + 1, pl.UInt32))
        .when(is_false)
        .then(pl.lit(len(RULES) + 2, pl.UInt32))
        .otherwise(pl.coalesce(*matches, pl.lit(len(RULES), pl.UInt32)))
    )
    known = (
        frame.select(column)
        .unique()
        .with_columns(
            rule.alias("rule"),
            pl.when(~is_false).then(text.str.extract(_SXID)).cast(pl.Int32).alias("sxid_code"),
            pl.when(~is_false).then(text.str.extract(_XID)).cast(pl.Int32).alias("xid_code"),
        )
        .join(_OUTCOMES, on="rule", how="left")
        .join(_numbered(XIDS, "xid"), on="xid_code", how="left")
        .join(_numbered(SXIDS, "sxid"), on="sxid_code", how="left")
    )
    fault = pl.any_horizontal(pl.col("xid_class").is_not_null(), pl.col("sxid_class").is_not_null())
    known = known.select(
        column,
        pl.coalesce("sxid_class", "xid_class", "class").alias("class"),
        pl.coalesce("sxid_component", "xid_component", "component").alias("component"),
        pl.when(fault).then(pl.lit("fault")).otherwise("reason_kind").alias("reason_kind"),
    )
    return frame.join(known, on=column, how="left", nulls_equal=True, maintain_order="left")
