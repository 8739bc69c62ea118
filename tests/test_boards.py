"""What boards' controllers say, in the words they really use, and what of it counts."""

from datetime import UTC, datetime

import polars as pl
import pytest
from incident_frames import at, derived, event

from transforms.boards import RULES, explain_boards
from transforms.codes import COUNTS
from transforms.reasons import RULES as REASONS
from transforms.reported import board_reports
from transforms.sources.base import Origin
from transforms.sources.ipmi_sel import parse
from transforms.tables.observed import BMC_EVENTS

PSU, DIMM, CPU, DISK = "PSU / chassis / fan / BMC", "DIMM", "CPU / MCE", "NVMe / local disk"
AER, FEED, OS = "AER, width/speed downgrade", "power feed, PDU, cooling", "OS / driver / kernel"

# sensor, event, class, component, what counts
SAID = [
    ("Critical Interrupt PCIe Err", "Bus Fatal Error", "PCIe", AER, "yes"),
    ("Critical Interrupt #0xa1", "Bus Fatal Error (Bus fatal:B5d/D03/F02)", "PCIe", AER, "yes"),
    ("Critical Interrupt #0xa1", "Bus Uncorrectable error", "PCIe", AER, "corroborate"),
    ("Critical Interrupt PCIe", "PCI SERR", "PCIe", AER, "corroborate"),
    ("PCIe Slot 4", "A non-fatal error was detected", "PCIe", AER, "corroborate"),
    ("Critical Interrupt #0xa1", "Bus Correctable error", "PCIe", AER, "precursor"),
    ("Critical Interrupt", "NMI/Diag Interrupt", "PCIe", AER, "corroborate"),
    ("Critical Interrupt", "Front Panel NMI", "Unknown", "no fault", "no"),
    ("Memory #0x08", "Uncorrectable ECC", "Host", DIMM, "yes"),
    ("Memory CPU0_DIMM_A1", "Correctable ECC (CPU0_G1)", "Host", DIMM, "precursor"),
    ("Memory", "Correctable ECC logging limit reached", "Host", DIMM, "precursor"),
    ("P1-DIMMA1", "Multi-bit memory errors detected", "Host", DIMM, "yes"),
    ("Power Supply PSU1 PWR Detect", "Failure detected", "Host", PSU, "corroborate"),
    ("PSU1", "Power Supply Failure detected", "Host", PSU, "corroborate"),
    ("PS2 Status", "Power Supply input lost (AC/DC)", "Facility", FEED, "corroborate"),
    ("Power Supply #0x51", "Power Supply AC lost", "Facility", FEED, "corroborate"),
    ("Power Supply PS Redundancy", "Redundancy Lost", "Host", PSU, "precursor"),
    ("Power Supply PS1", "Predictive failure", "Host", PSU, "precursor"),
    ("Power Supply PS1", "Presence detected", "Unknown", "no fault", "no"),
    ("Power Unit PowerUnit", "Power off/down", "Unknown", "no fault", "no"),
    ("Power Unit Pwr Unit Status", "AC lost", "Facility", FEED, "corroborate"),
    ("Fan PSU2 Slow FAN1", "Transition to Non-recoverable", "Host", PSU, "corroborate"),
    ("MB_FAN3", "Lower Critical going low", "Host", PSU, "corroborate"),
    ("FAN_MOD_1B_RPM", "Lower Non-critical going low", "Host", PSU, "precursor"),
    ("Temperature PSU1 Over Temp", "Transition to Non-recoverable", "Host", PSU, "corroborate"),
    ("CPU0_TEMP", "Upper Non-recoverable going high", "Host", PSU, "corroborate"),
    ("CPU0_TEMP", "Upper Non-critical going high", "Host", CPU, "precursor"),
    ("Temperature Inlet Temp", "Upper Critical going high", "Facility", FEED, "corroborate"),
    ("Temperature GPU3 Temp", "Upper Critical going high", "GPU", "thermal / power capping", "corroborate"),
    ("GPU_SXM_5", "Uncorrectable ECC error detected", "GPU", "HBM uncorrectable", "yes"),
    ("HGX GPU_SXM_1", "The resource is not present", "GPU", "lost", "corroborate"),
    ("NVSwitch_2", "Fatal error", "NVLink", "link / switch", "corroborate"),
    ("Processor CPU0 Status", "IERR", "Host", CPU, "yes"),
    ("Processor P1 Therm Trip", "State Asserted", "Host", CPU, "yes"),
    ("Processor CATERR", "State Asserted", "Host", CPU, "yes"),
    ("CPU1_Status", "Thermal Trip", "Host", CPU, "yes"),
    ("Processor CPU1", "Correctable machine check error", "Host", CPU, "precursor"),
    ("Processor P1 Status", "Presence detected", "Unknown", "no fault", "no"),
    ("Watchdog2 IPMI Watchdog", "Hard reset", "Host", OS, "yes"),
    ("Watchdog2 #0x03", "Timer expired", "Host", OS, "corroborate"),
    ("OS Critical Stop #0x46", "Run-time critical stop", "Host", OS, "yes"),
    ("OS Critical Stop", "OS Graceful Shutdown", "Unknown", "no fault", "no"),
    ("Linux kernel panic: Fatal excep", "", "Host", OS, "yes"),
    ("Drive Slot #0x01", "Drive Fault", "Host", DISK, "corroborate"),
    ("Drive Slot / Bay HDD0", "Predictive Failure", "Host", DISK, "precursor"),
    ("Drive Slot / Bay HDD0", "Drive Present", "Unknown", "no fault", "no"),
    ("Physical Security #0xaa", "General Chassis intrusion", "Unknown", "no fault", "no"),
    ("Event Logging Disabled SEL", "Log area reset/cleared", "Unknown", "no fault", "no"),
    ("Button #0x22", "Power Button pressed", "Unknown", "no fault", "no"),
    ("System ACPI Power State #0x01", "S0/G0: working", "Unknown", "no fault", "no"),
    ("OS Boot #0x22", "boot completed - device not specified", "Unknown", "no fault", "no"),
    ("System Event #0xff", "Timestamp Clock Sync", "Unknown", "no fault", "no"),
    ("Version Change BMC", "Firmware or software change success", "Unknown", "no fault", "no"),
    ("Management Subsys Health", "Controller unavailable", "Unknown", "no fault", "no"),
    ("Power Supply 1", "The input power has been restored.", "Unknown", "no fault", "no"),
    ("", "Fan 3A RPM is less than the lower critical threshold.", "Host", PSU, "corroborate"),
    ("", "CPU 1 has an internal error (IERR).", "Host", CPU, "yes"),
    ("", "The input power for power supply 1 has been lost.", "Facility", FEED, "corroborate"),
    ("", "Power supply redundancy is lost.", "Host", PSU, "precursor"),
    ("", "Fault detected on drive 3 in disk drive bay 1.", "Host", DISK, "corroborate"),
]  # fmt: skip


def records(*said: tuple, level: str | None = None, direction: str = "asserted") -> pl.DataFrame:
    rows = [
        {
            "cluster": "c", "node": "n1", "observed_at": datetime(2026, 3, 2, tzinfo=UTC),
            "record": str(i), "sensor": sensor, "event": happened, "direction": direction,
            "level": level, "clock": "stamped", "file": "sel", "line_no": i,
        }
        for i, (sensor, happened, *_) in enumerate(said)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BMC_EVENTS.dtypes)


@pytest.mark.parametrize(
    ("sensor", "event", "klass", "component", "counts"), SAID, ids=lambda v: v or "none"
)
def test_a_record_means_what_its_words_say(sensor, event, klass, component, counts):
    made = explain_boards(records((sensor, event)))
    assert made.select("class", "component", "counts").row(0) == (klass, component, counts)


def test_the_end_of_a_fault_is_no_fault_and_the_end_of_a_presence_is_one():
    over = board_reports(records(*SAID, direction="deasserted")).select("device", "counts").rows()
    told = {device for device, counts in over if counts != "no"}
    assert told == {"Drive Slot / Bay HDD0", "Power Supply PS1"}


def test_a_warning_foretells_and_information_is_none_unless_the_event_counts_by_itself():
    said = [
        ("Memory", "Uncorrectable ECC"),
        ("PSU1", "Failure detected"),
        ("FAN1", "Lower Non-critical"),
    ]
    for level, counts in {
        None: ["yes", "corroborate", "precursor"],
        "critical": ["yes", "corroborate", "precursor"],
        "warning": ["yes", "precursor", "precursor"],
        "info": ["no", "no", "no"],
    }.items():
        assert board_reports(records(*said, level=level))["counts"].to_list() == counts


def test_words_that_the_table_does_not_know_are_read_as_free_text():
    made = board_reports(records(("OEM record", "lustre mount lost"), level="critical"))
    assert made.select("class", "counts").row(0) == ("Storage", "corroborate")


def test_a_bus_error_beside_a_lost_gpu_is_one_incident_of_the_gpu():
    board = records(("Critical Interrupt PCIe Err", "Bus Fatal Error")).with_columns(
        observed_at=pl.lit(at(7))
    )
    made = derived(kernel_events=[event(0)], bmc_events=board.to_dicts())["incidents"]
    made = made.filter(definition="coalesced-180s")
    assert made.select("class", "root_code", "events", "counts").rows() == [("GPU", 79, 2, True)]


def test_every_rule_uses_the_words_of_the_other_tables():
    classes = {(r.klass, r.component) for r in RULES} - {("Unknown", "no fault")}
    known = {(klass, component) for _, klass, component, _ in REASONS}
    known |= {("GPU", "corrected memory"), ("NVLink", "link / switch")}
    assert classes <= known, classes - known
    assert {r.counts for r in RULES} <= set(COUNTS)


def test_the_real_log_counts_what_broke_and_nothing_else(shared_data):
    origin = Origin(file="sel", modified=datetime(2026, 3, 15, tzinfo=UTC))
    data = (shared_data / "bmc" / "ipmi_sel_excerpt.txt").read_bytes()
    made = board_reports(parse(data, origin).frames["bmc_events"])
    found = made.group_by("class", "component", "counts").len().sort("len", "counts")
    assert found.filter(pl.col("counts") != "no").rows() == [
        ("Host", DIMM, "yes", 1),
        ("Host", OS, "yes", 2),
        ("Host", PSU, "corroborate", 3),
    ]
    assert made.height == 40
