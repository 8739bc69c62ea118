"""What a board's controller means by a record, as facts in rows: the part, what befell it, and what
of that counts.

    Power Supply PSU1 PWR Detect | Failure detected      Host, PSU: counts beside an interruption
    Critical Interrupt PCIe Err  | Bus Fatal Error       PCIe: counts; often an Xid 79's companion
    Memory CPU0_DIMM_A1          | Correctable ECC       Host, DIMM: foretells

Sensors are named as their vendors please (`PS2 Status`, `CPU0_TEMP`, `FAN_MOD_1B`), so names and
events are read as plain lower-case words with digits set apart: `ps 2 status`, `cpu 0 temp`. The
part is looked for in the sensor's name, and in the event where the name says none (Redfish
messages say all in one sentence). The first row that fits decides. What counts is methods 2.5:
uncorrected memory, processor and fatal bus errors count, and so does an operating system that stopped; supplies, fans, heat and drives count
where a run was interrupted by them; corrected errors, lost redundancy and predictions foretell;
buttons, doors, boots, the controller's own affairs and whatever is over say nothing.
"""

from typing import NamedTuple

import polars as pl

from transforms.codes import ENGINE, HOST, LINK, LOSS, MEMORY, NETWORK, PCIE

BOARDS_VERSION = "2026-11-1"

_CPU, _DIMM, _OS, _DISK = "CPU / MCE", "DIMM", "OS / driver / kernel", "NVMe / local disk"
_CHASSIS, _FEED = "PSU / chassis / fan / BMC", "power feed, PDU, cooling"
_AER, _HOT, _OPTIC = "AER, width/speed downgrade", "thermal / power capping", "cable / optic / switch port"  # fmt: skip
_QUIET = ("Unknown", "no fault")


class Rule(NamedTuple):
    """Words of a part, words of what befell it, and what that means.

    `held` says by which end of a state the row is told: most begin ("asserted", or not told), a
    drive that was present is told by the end.
    """

    part: str
    event: str
    klass: str
    component: str
    counts: str
    rank: int
    held: str = "asserted"


_SUPPLY = r"power suppl|\bpsu?\b|\bpwr supply"
_UNIT = r"power unit|power subsys|redundancy"
_DRIVE = r"\bdrive|\bdisk|\bhdd|\bssd|\bnvme|backplane"
_MEMORY = r"\bmemory|dimm|\bddr\b|\becc\b|\bmem\b"
_CPU_PART = r"processor|\bcpu|\bcatt?err|\bierr|\bmcerr|\bpvcc"
_BUS = r"critical interrupt|\bpcie?\b|\biio\b|\bbus\b|\baer\b|slot connector|pcie? slot"
_GPU = r"\bgpu|\bsxm\b|\bhgx\b|nvidia|accelerator"
_HEAT = r"\btemp|therm|overheat|\bhot\b|\binlet|\bexhaust|\bambient"
_FAN = r"\bfan|\btach|blower|cooling device"
_VOLTS = r"volt|\bcurrent\b|\bvrm?\b|\bpower good|\bpg\b|\bvin\b|\bvcc|\bvdd|\bp \d+ v"
_BROKEN = r"fail|fault|error|critical|non recoverable|\blost\b|absent|not present|missing|removed|fatal|predict|state asserted|limit exceeded|disabled|off ?line"
_SOFT = r"non critical|predict|warning|degraded"

# (part, event, class, component, counts, rank[, told by the end])
# fmt: off
RULES: tuple[Rule, ...] = (
    # what is told by the end of a good state
    Rule(_DRIVE, r"\bpresent|presence", "Host", _DISK, "corroborate", HOST, "deasserted"),
    Rule(_SUPPLY, r"presen", "Host", _CHASSIS, "precursor", HOST, "deasserted"),
    Rule(r"", r"fully redundant", "Host", _CHASSIS, "precursor", HOST, "deasserted"),
    # what says no fault, whatever the part: it is over, or it is housekeeping
    Rule(r"", r"restored|regained|fully redundant|returned to|transition to ok|\bis ok\b|are redundant|(?:is|are) operating|back (?:to|within)|no longer|recovered|has cooled|within (?:the )?(?:range|limit)|state deasserted", *_QUIET, "no", ENGINE),
    Rule(r"event logging|event log\b|\bsel\b", r"clear|full|reset|disabled|erased|overflow|logging", *_QUIET, "no", ENGINE),
    Rule(r"", r"log (?:area )?(?:was |is )?(?:reset|cleared|full)|\blog cleared", *_QUIET, "no", ENGINE),
    Rule(r"physical security|intrusion|\bdoor", r"", *_QUIET, "no", ENGINE),
    Rule(r"button", r"", *_QUIET, "no", ENGINE),
    Rule(r"", r"chassis (?:intrusion|is (?:open|closed))|front panel nmi|diagnostic interrupt|button (?:was )?pressed|identify", *_QUIET, "no", ENGINE),
    Rule(r"acpi|power state|host power|chassis power", r"", *_QUIET, "no", ENGINE),
    Rule(_UNIT, r"power off|power down|power on|power cycle|\b240 va power down", *_QUIET, "no", ENGINE),
    Rule(r"system boot|os boot|boot initiated|firmware progress|system event|timestamp|clock", r"boot|init|clock|sync|progress|post|warm reset|cold reset|hard reset|power up|oem|entering|wake", *_QUIET, "no", ENGINE),
    # the operating system's end
    Rule(r"linux kernel panic", r"", "Host", _OS, "yes", HOST),
    Rule(r"os (?:critical )?stop|operating system|\bos\b", r"graceful|shut ?down", *_QUIET, "no", ENGINE),
    Rule(r"os (?:critical )?stop|operating system|\bos\b", r"critical stop|panic|stop|crash|error", "Host", _OS, "yes", HOST),
    Rule(r"watchdog", r"hard reset|power down|power cycle|reset", "Host", _OS, "yes", HOST),
    Rule(r"watchdog", r"expired|interrupt|timeout|timer", "Host", _OS, "corroborate", HOST),
    # a GPU's own words; a bus error beside its name is the bus's
    Rule(_BUS, r"non fatal", "PCIe", _AER, "corroborate", PCIE),
    Rule(_BUS, r"\bfatal", "PCIe", _AER, "yes", PCIE),
    Rule(_GPU, r"\bcorrect(?:ed|able)", "GPU", "corrected memory", "precursor", MEMORY),
    Rule(_GPU, r"uncorrect|double bit|\bdbe\b", "GPU", "HBM uncorrectable", "yes", MEMORY),
    Rule(_GPU, r"fallen|off the bus|\blost\b|missing|absent|not present|not detected|removed", "GPU", "lost", "corroborate", LOSS),
    Rule(_GPU, _SOFT, "GPU", _HOT, "precursor", ENGINE),
    Rule(_GPU + r".*(?:" + _HEAT + r"|power)", _BROKEN, "GPU", _HOT, "corroborate", ENGINE),
    Rule(_GPU, r"therm|temp|overheat|throttl|slowdown|power brake|upper", "GPU", _HOT, "corroborate", ENGINE),
    Rule(_GPU, _BROKEN, "GPU", "unspecified", "corroborate", ENGINE),
    Rule(r"nvswitch|nvlink|nv switch|nv link", _BROKEN + r"|down|train", "NVLink", "link / switch", "corroborate", LINK),
    # memory before processor and bus: a DIMM is named after its socket
    Rule(_MEMORY, r"uncorrect|multi ?bit|parity|\bue\b|unrecover|fatal", "Host", _DIMM, "yes", HOST),
    Rule(_MEMORY, r"\bcorrect|logging limit|single bit|\bce\b|scrub|spare|" + _SOFT, "Host", _DIMM, "precursor", HOST),
    Rule(_MEMORY, r"temp|therm|throttl|hot", "Host", _DIMM, "precursor", HOST),
    Rule(_MEMORY, _BROKEN + r"|configuration|not detected", "Host", _DIMM, "corroborate", HOST),
    Rule(_CPU_PART, r"\bcorrect", "Host", _CPU, "precursor", HOST),
    Rule(_CPU_PART, r"ierr|cat ?err|mc ?err|therm(?:al)? ?trip|machine check|uncorrect|internal error|fatal|\bfrb", "Host", _CPU, "yes", HOST),
    Rule(_CPU_PART + r".*therm(?:al)? ?trip", r"state asserted|limit|trip", "Host", _CPU, "yes", HOST),
    Rule(_CPU_PART, r"throttl|prochot|" + _SOFT, "Host", _CPU, "precursor", HOST),
    Rule(r"cat ?err|\bierr|\bmcerr", r"asserted|error|detected", "Host", _CPU, "yes", HOST),
    Rule(_CPU_PART, r"fail|error|disabled|configuration|absent|missing", "Host", _CPU, "corroborate", HOST),
    Rule(_DRIVE, r"predict|rebuild|parity check|consistency|hot spare|" + _SOFT, "Host", _DISK, "precursor", HOST),
    Rule(_DRIVE, r"\bdrive (?:is )?present|\binstalled", *_QUIET, "no", ENGINE),
    Rule(_DRIVE, _BROKEN, "Host", _DISK, "corroborate", HOST),
    Rule(_BUS, r"\bcorrect|degraded|width|speed", "PCIe", _AER, "precursor", PCIE),
    Rule(_BUS, r"uncorrect|non fatal|perr|serr|nmi|timeout|parity|" + _BROKEN, "PCIe", _AER, "corroborate", PCIE),
    # power and air: the room's before the node's
    Rule(r"leak|coolant|liquid|\bcdu\b|manifold", r"", "Facility", _FEED, "corroborate", HOST),
    Rule(rf"{_SUPPLY}|{_UNIT}", r"\bac lost|\bac dc|input (?:power )?(?:lost|is lost|out of range)|lost input|input (?:power )?for|power input|no input", "Facility", _FEED, "corroborate", HOST),
    Rule(rf"{_SUPPLY}|{_UNIT}|{_FAN}", r"insufficient", "Host", _CHASSIS, "corroborate", HOST),
    Rule(rf"{_SUPPLY}|{_UNIT}|{_FAN}", r"redundan|" + _SOFT + r"|mismatch|configuration", "Host", _CHASSIS, "precursor", HOST),
    Rule(r"\binlet|\bambient|\broom", r"upper non critical|warning", "Facility", _FEED, "precursor", HOST),
    Rule(r"\binlet|\bambient|\broom", r"upper|non recoverable|to critical|greater than", "Facility", _FEED, "corroborate", HOST),
    Rule(_HEAT, r"lower (?:non )?critical|lower non recoverable|" + _SOFT, "Host", _CHASSIS, "precursor", HOST),
    Rule(_HEAT, r"upper|over ?temp|greater than|" + _BROKEN, "Host", _CHASSIS, "corroborate", HOST),
    Rule(rf"{_FAN}|{_VOLTS}", _SOFT, "Host", _CHASSIS, "precursor", HOST),
    Rule(rf"{_SUPPLY}|{_UNIT}|{_FAN}|{_VOLTS}", _BROKEN + r"|upper|lower|less than|greater than", "Host", _CHASSIS, "corroborate", HOST),
    Rule(r"battery", _BROKEN + r"|low", "Host", _CHASSIS, "precursor", HOST),
    Rule(r"system event", r"hardware failure", "Host", _CHASSIS, "corroborate", HOST),
    Rule(r"boot error", r"", "Host", _OS, "corroborate", HOST),
    Rule(r"system firmware|\bpost\b|\bbios\b", r"error|hang|no (?:usable )?system memory|unrecover", "Host", _CHASSIS, "corroborate", HOST),
    Rule(r"cable|interconnect|transceiver", _BROKEN + r"|configuration", "Network", _OPTIC, "corroborate", NETWORK),
    # the controller's own affairs: a lost view, no lost node (methods 2.5)
    Rule(r"management (?:sub|controller)|\bbmc\b|version change|\bfru\b|session|microcontroller|monitor asic|firmware", r"", *_QUIET, "no", ENGINE),
    Rule(r"", r"presence detected|is present|\binstalled|inserted|firmware (?:was )?updat|logged (?:in|out|on|off)|log ?in|entity present", *_QUIET, "no", ENGINE),
)
# fmt: on
_PARTS = "|".join(rule.part for rule in RULES if rule.part)
_OUTCOMES = pl.DataFrame(
    [rule[2:6] for rule in RULES],
    schema={"class": pl.String, "component": pl.String, "counts": pl.String, "rank": pl.Int32},
    orient="row",
).with_row_index("rule")


def explain_boards(events: pl.DataFrame) -> pl.DataFrame:
    """Add `class`, `component`, `counts` and `rank`; all null where no row of RULES fits.

    Needs sensor, event and direction. Works on the distinct wordings.
    """
    wording = ["sensor", "event", "direction"]
    known = events.select(wording).unique()
    sensor, event = _plain(pl.col("sensor")), _plain(pl.col("event"))
    known = known.with_columns(sensor.alias("named"), event.alias("said"))
    names_part = pl.col("named").str.contains(_PARTS)
    about = pl.when(names_part).then("named").otherwise(pl.col("named") + " " + pl.col("said"))
    is_over = pl.col("direction").cast(pl.String) == "deasserted"
    hits = [
        pl.when(
            pl.col("about").str.contains(rule.part)
            & pl.col("said").str.contains(rule.event)
            & (is_over if rule.held == "deasserted" else ~is_over)
        ).then(pl.lit(number, pl.UInt32))
        for number, rule in enumerate(RULES)
    ]
    judged = (
        known.with_columns(about.alias("about"))
        .with_columns(pl.coalesce(hits).alias("rule"))
        .join(_OUTCOMES, on="rule", how="left")
        .select(*wording, "class", "component", "counts", "rank")
    )
    return events.join(judged, on=wording, how="left", maintain_order="left")


def _plain(text: pl.Expr) -> pl.Expr:
    """Lower-case words with digits set apart: `CPU0_TEMP` is `cpu 0 temp`."""
    return (
        text.str.to_lowercase()
        .str.replace_all(r"([a-z])(\d)", "$1 $2")
        .str.replace_all(r"(\d)([a-z])", "$1 $2")
        .str.replace_all(r"[^a-z0-9]+", " ")
        .str.strip_chars()
    )
