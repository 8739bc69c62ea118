"""nvidia-smi queries: every value is in a column with its unit, counted as unknown, or refused."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.metric_table import amd
from transforms.metrics import METRICS
from transforms.sources.base import Origin
from transforms.sources.nvidia_smi import UNITS, parse, sniff

ORIGIN = Origin(file="query", modified=datetime(2026, 3, 15, tzinfo=UTC), node="n1")
# A unit nvidia-smi writes after a value, for the metrics that have one.
WRITTEN = {"bytes": "MiB", "ratio": "%", "W": "W", "MHz": "MHz", "s": "us"}
FIELDS = [
    (name, metric)
    for metric in METRICS
    for name, _ in metric.names
    if metric.table == "gpu_samples"
    and not name.startswith(("DCGM_", "nvidia_smi_"))
    and name not in amd.ALSO
]


def gpu_samples(text: str) -> pl.DataFrame:
    parsed = parse(text.encode(), ORIGIN)
    assert parsed.rejects.is_empty(), parsed.rejects
    return parsed.frames["gpu_samples"]


def test_the_real_query_is_read(shared_data):
    parsed = parse((shared_data / "nvidia-smi" / "query-gpu.csv").read_bytes(), ORIGIN)
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (4, 4, 0, 0)
    rows = parsed.frames["gpu_samples"].select(
        "gpu", "slot", "fan_speed_ratio", "memory_used_bytes"
    )
    assert rows.rows() == [
        ("GPU-04757e3e-3077-4e2e-b988-7e2d647b52e9", 1, 0.5, 1234 * 2.0**20),
        ("GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa", 0, 0.38, 575 * 2.0**20),
    ]


def test_the_real_query_is_surely_ours(shared_data):
    head = (shared_data / "nvidia-smi" / "query-gpu.csv").read_text()
    assert sniff(head, "query-gpu.csv") == 2
    assert sniff(head.split("\n", 1)[1], "query-gpu.csv") == 1
    assert sniff("serial,uuid,pci,node,slot,model\n1,GPU-aa,0000:3b:00,n1,0,H100\n", "gpus.csv") < 2


@pytest.mark.parametrize(("field", "metric"), FIELDS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_field_reads_alike_with_units_and_without(field, metric):
    """--format=csv writes units into values, nounits only into the header."""
    unit = WRITTEN.get(metric.unit, "") if field != "encoder.stats.averageLatency" else ""
    raw = 1
    head = f"uuid, {field} [{unit}]" if unit else f"uuid, {field}"
    spelled = [f"{head}\nGPU-a, {raw}\n", f"uuid, {field}\nGPU-a, {raw}\n"]
    if unit:
        spelled += [f"{head}\nGPU-a, {raw} {unit}\n", f"uuid, {field}\nGPU-a, {raw} {unit}\n"]
    values = {gpu_samples(text)[metric.name].item() for text in spelled}
    in_microseconds = metric.unit == "s"  # with and without the unit written out
    assert values == {1e-6 if in_microseconds else UNITS.get(metric.unit, {}).get(unit, 1.0)}


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("power.draw [W]", "88310 mW", "power_w", 88.31),
        ("memory.used [MiB]", "1.5 GiB", "memory_used_bytes", 1.5 * 2**30),
        ("clocks.sm [MHz]", "1.98 GHz", "sm_clock_mhz", 1980.0),
        ("clocks_event_reasons_counters.sync_boost [us]", "7 ms", "sync_boost_s", 0.007),
        ("clocks_throttle_reasons.active", "0x0000000000000044", "slowed_by_bits", 68.0),
        ("clocks_event_reasons.hw_slowdown", "Not Active", "slowed_by_hw_slowdown", 0.0),
        ("clocks_event_reasons.hw_slowdown", "Active", "slowed_by_hw_slowdown", 1.0),
        ("pstate", "P8", "pstate_code", 8.0),
        ("compute_mode", "Exclusive_Process", "compute_mode_code", 3.0),
        ("gpu_recovery_action", "Node Reboot", "recovery_action_code", 2.0),
        ("fabric.state", "Completed", "fabric_state_code", 3.0),
        ("ecc.errors.uncorrected.volatile.total", "3", "ecc_uncorrected_volatile", 3.0),
        ("remapped_rows.failure", "Yes", "row_remap_failed", 1.0),
        ("temperature.memory", "[N/A]", "memory_temp_c", None),
        ("temperature.memory", "N/A", "memory_temp_c", None),
        ("temperature.gpu", "[Unknown Error]", "gpu_temp_c", None),
        ("temperature.gpu", "[GPU requires reset]", "gpu_temp_c", None),
    ],
)
def test_a_value_as_the_tool_spells_it(field, value, column, expected):
    assert gpu_samples(f"uuid, {field}\nGPU-a, {value}\n")[column].item() == expected


@pytest.mark.parametrize("value", ["88 kVA", "575 MB", "high", "88 W W", "0xZZ", "1,5"])
def test_a_value_in_no_known_unit_is_refused_and_nothing_else(value):
    parsed = parse(
        f"uuid, power.draw [W], pstate\nGPU-a, {value}, P0\nGPU-b, 1 W, P0\n".encode(), ORIGIN
    )
    assert parsed.rejected == 1
    assert parsed.rejects["line_no"].to_list() == [2]
    frame = parsed.frames["gpu_samples"].filter(pl.col("gpu") == "GPU-b")
    assert frame["power_w"].to_list() == [1.0]


def test_a_header_in_a_unit_of_another_quantity_refuses_its_column():
    parsed = parse(b"uuid, power.draw [MHz]\nGPU-a, 88\n", ORIGIN)
    assert (parsed.rejected, parsed.accepted) == (1, 0)
    assert "MHz" in parsed.rejects["reason"].item()


def test_a_column_that_nobody_knows_is_counted():
    parsed = parse(
        b"uuid, name, shiny.thing [%], pstate\nGPU-a, H100, 5 %, P0\nGPU-b, H100, 6 %, P0\n", ORIGIN
    )
    assert parsed.unknown.rows() == [("shiny.thing", 2)]
    assert (parsed.records, parsed.accepted, parsed.ignored) == (4, 2, 2)


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(deadline=None, max_examples=120)
def test_no_bytes_raise(before, after):
    for data in (before, before + b"\nuuid, power.draw [W], pstate, timestamp\n" + after):
        parsed = parse(data, ORIGIN)
        assert parsed.records == parsed.accepted + parsed.rejected + parsed.ignored
        assert parsed.rejects.height == parsed.rejected


CELL = st.sampled_from(
    ["GPU-a", "1", "88 W", "P0", "[N/A]", "0x4", "", "2026/03/02 10:15:04.123", "-5", "1e400", "x"]
)


@given(st.lists(st.lists(CELL, min_size=3, max_size=5), max_size=6))
@settings(deadline=None, max_examples=120)
def test_every_value_of_any_table_is_accounted_for(rows):
    header = "uuid, power.draw [W], pstate, shiny"
    text = header + "\n" + "".join(", ".join(row) + "\n" for row in rows)
    parsed = parse(text.encode(), ORIGIN)
    refused_lines = sum(len(row) != 4 or row[0] in ("", "[N/A]") for row in rows)
    readable = len(rows) - refused_lines
    assert parsed.records == refused_lines + 3 * readable
    assert parsed.ignored == readable
    assert parsed.accepted + parsed.rejected == refused_lines + 2 * readable
