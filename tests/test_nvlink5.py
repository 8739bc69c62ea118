"""The words of Blackwell's NVLink 5 records, and what an Xid 154 asks for."""

import csv

import polars as pl
import pytest

from transforms.catalogue import explain, recovery_action
from transforms.nvlink5 import RULES, SEVERITIES, UNITS, decode
from transforms.tables.observed import KERNEL_KINDS

ACTIONS = {"IGNORE": "none", "RESET_GPU": "reset GPU", "XID_154_EVAL": "follow Xid 154"}
NEXT_STEPS = {
    "CONTACT_SUPPORT": "contact vendor",
    "IGNORE": "none",
    "CHECK_NVLINK_FAILURE_FLOW": "NVLink workflow",
    "SYMPATHETIC_REPORT_SOLO": "report when alone",
    "REPORT_ISSUE (if seen >1 per day)": "report when more than one a day",
    "INVESTIGATE_LINK_SI": "check signal",
    "INVESTIGATE_LINK_SI_AND_CABLES": "check signal and cables",
    "INVESTIGATE_SW_USER": "check software and user",
    "INVESTIGATE_SW/USER": "check software and user",
    "INVESTIGATE_SW_USER_LINK_SI": "check software, user and signal",
    "INVESTIGATE_PEER_DEVICE": "check peer",
    "INVESTIGATE_HOST": "check host",
}
PRIORS = {"HW": "hardware", "SW": "system_software", "HW/SW": "ambiguous", "FW": "ambiguous"}
LAYOUTS = ("intrinfo_pattern_v1", "intrinfo_pattern_v2")


def word(pattern: str) -> int:
    """A first word that fits the vendor's pattern, whatever its open bits say."""
    return int(pattern.replace("-", "0"), 2)


def explained(code: int, detail: str) -> dict[str, object]:
    schema = {"kind": pl.Enum(KERNEL_KINDS), "code": pl.Int32, "detail": pl.String}
    return explain(pl.DataFrame([("xid", code, detail)], schema=schema, orient="row")).row(
        0, named=True
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_named", [True, False])
def test_every_row_of_the_vendors_sheet_decodes_to_what_it_says(shared_data, layout, is_named):
    file = shared_data.parent / "reference" / "xid_nvlink5_subcodes.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 91
    for row in rows:
        names = row["unit"].split("/")
        for name in names if is_named else [""]:
            words = f"(0x{word(row[layout]):08x} {row['error_status']} 0x00000000)"
            told = decode(int(row["xid"]), f"{name} XC0 i0 Link 03 {words}")
            assert told is not None, row
            assert told.severity == row["severity"], row
            assert told.prior == PRIORS.get(row["hw_sw"], "ambiguous"), row
            assert told.action == ACTIONS[row["immediate_action"]], row
            assert told.next_step == NEXT_STEPS[row["investigatory_action"]], row
            assert told.link == 3
            if is_named and len(names) == 1:
                assert told.unit == name


def test_the_table_holds_each_unit_and_status_once():
    known = {unit.names[0]: unit.code for unit in UNITS}
    assert len(known) == len(UNITS) == 19
    cells = [
        (rule.unit, sub, status)
        for rule in RULES
        for sub in rule.sub_codes
        for status in rule.statuses or (None,)
    ]
    assert len(cells) == len(set(cells)) == 88  # the sheet's 91; a bit-error event has four
    assert {unit for unit, _, _ in cells} == set(known)
    assert {rule.severity for rule in RULES} == set(SEVERITIES)


@pytest.mark.parametrize(
    ("code", "detail", "severity", "counts", "action"),
    [
        # a real shape: two blanks, six words
        (
            149,
            "NETIR_LINK_EVT  Fatal   XC0 i0 Link 09 (0x025525c6 0x00000000 0x00000000)",
            "link_fatal",
            "yes",
            "reset GPU",
        ),
        # the word is milder than the bits, and worse than them
        (145, "RLW_REMAP Nonfatal XC1 (0x00000082 0x00000040)", "fatal", "yes", "reset GPU"),
        (
            145,
            "RLW_REMAP Fatal XC1 (0x00000082 0x00000100)",
            "non_fatal",
            "corroborate",
            "none",
        ),
        # several bits: the worst one speaks
        (144, "SAW_MVB Nonfatal (0x00000021 0x00000014)", "fatal", "yes", "reset GPU"),
        # left open by the vendor: the word decides
        (
            149,
            "NETIR_LINK_EVT Fatal (0x02a001c6 0x00000000)",
            "link_fatal_uncertain",
            "yes",
            "reset GPU",
        ),
        (
            149,
            "NETIR_MFDE_EVENT Nonfatal (0x00000246 0x00000005)",
            "fatal_conditional",
            "corroborate",
            "reset GPU",
        ),
        # nothing the sheet lists: the word, and the code's own action
        (149, "NETIR_LINK_EVT Fatal (0x03f001c6 0x0)", "workflow", "yes", "NVLink 5 workflow"),
        (
            146,
            "TLW_CTRL Nonfatal (0x00000123 0x00000000)",
            "workflow",
            "corroborate",
            "NVLink 5 workflow",
        ),
        # older drivers print one word in square brackets: no status, nothing to decode
        (
            149,
            "NETIR_LINK_EVT Fatal XC 1 i 2 Link 01 [0x0000000a]",
            "workflow",
            "yes",
            "NVLink 5 workflow",
        ),
        # bit errors are no failure, said by name or by bits alone
        (
            149,
            "NETIR_BER_EVENT Fatal (0x00000226 0x00000002)",
            "non_fatal",
            "precursor",
            "none",
        ),
        (149, "Link 02 (0x00000226 0x00000002)", "non_fatal", "precursor", "none"),
        (150, "MSE_WATCHDOG Fatal (0x00000000 0x00000000)", "fatal", "yes", "reset GPU"),
        # the same words under another number mean nothing
        (31, "RLW_REMAP (0x00000082 0x00000040)", "app", "no_user", "restart program"),
    ],
)
def test_the_bits_settle_a_record_and_the_word_what_they_leave_open(
    code, detail, severity, counts, action
):
    row = explained(code, detail)
    assert (row["severity"], row["counts"], row["action"]) == (severity, counts, action)


def test_bit_errors_told_by_bits_alone_rank_as_precursors():
    named, bare = "NETIR_BER_EVENT (0x226 0x2)", "(0x226 0x2)"
    assert explained(149, named)["rank"] == explained(149, bare)["rank"]
    assert explained(149, bare)["rank"] > explained(149, "NETIR_LINK_EVT Fatal")["rank"]


@pytest.mark.parametrize(
    ("detail", "asks"),
    [
        (
            "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
            "reboot node",
        ),
        ("GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)", "none"),
        ("GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", "reset GPU"),
        ("GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)", "drain P2P"),
        ("GPU recovery action changed from 0x1 (x) to 0x4 (Drain and Reset)", "drain and reset"),
        ("GPU recovery action changed from 0x0 (None) to 0x7 (Replace Board)", "replace board"),
        ("pid=1, GPU recovery action changed from 0x0 to 0x1", "reset GPU"),
        ("GPU recovery action changed", None),
        ("", None),
    ],
)
def test_a_recovery_advice_says_what_it_asks_for(detail, asks):
    told = pl.DataFrame({"detail": [detail]}).select(recovery_action(pl.col("detail")))
    assert told.item() == asks
    assert explained(154, detail)["action"] == (asks or "follow its payload")
    assert explained(154, detail)["counts"] == "no_secondary"
