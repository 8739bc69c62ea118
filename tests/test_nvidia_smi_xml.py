"""nvidia-smi's XML: a real query, every path of every release, and what a loop of queries leaves."""

from datetime import UTC, datetime

import polars as pl
import pytest

from transforms.metrics import BY_NAME
from transforms.sources.base import Origin
from transforms.sources.nvidia_smi import UNITS
from transforms.sources.nvidia_smi_xml import parse, sniff
from transforms.sources.smi_xml_paths import MEASURED, MEASURED_OF_MIG, PASSED

ORIGIN = Origin(file="query", modified=datetime(2026, 3, 15, tzinfo=UTC), node="n1")
WRITTEN = {"bytes": "MiB", "ratio": "%", "W": "W", "MHz": "MHz", "s": "us", "C": "C"}
WORDS = {"flag": "Yes", "pstate_code": "P1", "compute_mode_code": "Exclusive_Thread"}
WORDS |= {"recovery_action_code": "Reset", "fabric_state_code": "Not Started"}


def of_gpu(inside: str, stamp: str = "Mon Mar  2 10:15:04 2026") -> bytes:
    return (
        f"<nvidia_smi_log><timestamp>{stamp}</timestamp>"
        f'<gpu id="0:0"><uuid>GPU-a</uuid>{inside}</gpu></nvidia_smi_log>\n'
    ).encode()


def element(path: str, text: str) -> str:
    names = path.split("/")
    return "".join(f"<{n}>" for n in names) + text + "".join(f"</{n}>" for n in reversed(names))


def test_the_real_query_is_read_to_the_last_value(shared_data):
    data = (shared_data / "nvidia-smi" / "a100-sxm4-v12.xml").read_bytes()
    parsed = parse(data, ORIGIN)
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (92, 89, 0, 3)
    assert parsed.unknown.rows() == [
        ("pci.rx_util", 1),
        ("pci.tx_util", 1),
        ("voltage.graphics_volt", 1),
    ]
    (board,) = parsed.frames["gpus"].to_dicts()
    assert (board["serial"], board["pci"]) == ("1650522003820", "0000:01:00")
    assert board["slot"] is None  # one of four attached
    assert board["valid_from"] == datetime(2023, 8, 4, 11, 44, 30, tzinfo=UTC)
    rows = parsed.frames["gpu_samples"].sort("gpu_instance")
    assert rows["gpu_instance"].to_list() == ["", "3", "4", "5", "6"]
    values = [name for name in rows.columns if name in BY_NAME]
    assert [sum(row) for row in rows.select(pl.col(values).is_not_null()).rows()] == [
        68,
        5,
        5,
        5,
        5,
    ]
    whole = rows.row(0, named=True)
    told = {
        "gpu_temp_c": 27.0,
        "memory_temp_c": 44.0,
        "shutdown_temp_c": 92.0,
        "operating_temp_max_c": 85.0,
        "power_w": 67.03,
        "memory_used_bytes": 50 * 2.0**20,
        "pcie_gen": 4.0,
        "pcie_lanes": 16.0,
        "mig_mode": 1.0,
        "ecc_uncorrected_aggregate_dram": 0.0,
        "slowed_by_hw_slowdown": 0.0,
        "sm_clock_mhz": 1275.0,
        "pstate_code": 0.0,
    }
    assert {name: whole[name] for name in told} == told
    assert whole["row_remap_pending"] is None  # N/A while MIG is on
    assert rows["memory_used_bytes"].to_list()[1:] == [12 * 2.0**20] * 4


def test_the_real_query_is_surely_ours(shared_data):
    head = (shared_data / "nvidia-smi" / "a100-sxm4-v12.xml").read_text()
    assert sniff(head, "q.xml") == 2
    assert sniff("the log of <nvidia_smi_log> in prose", "q.txt") == 0


@pytest.mark.parametrize("path", MEASURED)
def test_a_measured_path_gives_its_metric_in_its_unit(path):
    metric = BY_NAME[MEASURED[path]]
    assert metric.table == "gpu_samples"
    unit = WRITTEN.get(metric.unit, "")
    text = WORDS.get(metric.name) or WORDS.get(metric.unit) or f"1 {unit}".strip()
    word = "Degraded" if metric.name == "fabric_bandwidth_degraded" else text
    parsed = parse(of_gpu(element(path, word)), ORIGIN)
    assert (parsed.accepted, parsed.rejected, parsed.ignored) == (2, 0, 0)
    value = parsed.frames["gpu_samples"][metric.name].item()
    assert value == pytest.approx(UNITS.get(metric.unit, {}).get(unit, 1.0), rel=1e-15)


def test_no_measured_path_is_passed_over():
    assert not [path for path in MEASURED if path.startswith(PASSED)]
    assert not [path for path in MEASURED_OF_MIG if path.startswith(PASSED)]


def test_a_path_that_nobody_knows_is_counted_only_where_it_says_something():
    inside = element("new/thing", "7 q") + element("other", "N/A") + element("other", "None")
    assert parse(of_gpu(inside), ORIGIN).unknown.rows() == [("new.thing", 1)]


def test_a_board_keeps_its_row_through_a_loop_until_it_moves():
    def at_bus(minute: int, bus: str) -> bytes:
        return of_gpu(element("pci/pci_bus_id", bus), f"Mon Mar  2 10:{minute}:04 2026")

    loop = b"".join(at_bus(m, b) for m, b in ((15, "00000000:19:00.0"), (16, "00000000:19:00.0"), (17, "00000000:3B:00.0"), (18, "00000000:19:00.0")))  # fmt: skip
    made = parse(loop, ORIGIN).frames["gpus"].sort("valid_from")
    assert [at.minute for at in made["valid_from"]] == [15, 17, 18]
    assert made["pci"].to_list() == ["0000:19:00", "0000:3b:00", "0000:19:00"]


def test_a_query_without_a_time_takes_the_files():
    data = b"<nvidia_smi_log><gpu><uuid>GPU-a</uuid></gpu></nvidia_smi_log>"
    assert parse(data, ORIGIN).frames["gpus"]["valid_from"].item() == ORIGIN.modified


@pytest.mark.parametrize("depth", [40, 20_000])
def test_nesting_without_end_is_refused_and_costs_nothing(depth):
    parsed = parse(of_gpu("<a>" * depth), ORIGIN)
    assert (parsed.accepted, parsed.rejected) == (0, 1)
    assert "nested too deep" in parsed.rejects["reason"].item()
