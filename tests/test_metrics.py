"""The table of metrics holds what it promises: units, ranges, and one owner for every name."""

import math

import pytest

from transforms.metrics import BY_NAME, CLAIMS, METRICS, UNITS, Metric, claims, exact_factor
from transforms.sources.smi_text_paths import PATHS
from transforms.sources.smi_xml_paths import MEASURED
from transforms.tables.samples import ALL as TABLES

# What a source says, and what it is in the table's unit: one of each conversion.
CONVERSIONS = [
    ("DCGM_FI_DEV_SM_CLOCK", 1410, "sm_clock_mhz", 1410),
    ("nvidia_smi_clocks_current_sm_clock_hz", 1.98e9, "sm_clock_mhz", 1980),
    ("clocks.sm", 1980, "sm_clock_mhz", 1980),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1234567, "energy_j", 1234.567),
    ("DCGM_FI_DEV_FB_USED", 575, "memory_used_bytes", 602931200),
    ("nvidia_smi_memory_used_bytes", 602931200, "memory_used_bytes", 602931200),
    ("DCGM_FI_DEV_GPU_UTIL", 38, "gpu_util_ratio", 0.38),
    ("nvidia_smi_utilization_gpu_ratio", 0.38, "gpu_util_ratio", 0.38),
    ("DCGM_FI_PROF_SM_ACTIVE", 0.38, "sm_active_ratio", 0.38),
    ("DCGM_FI_DEV_POWER_VIOLATION", 2_500_000_000, "power_violation_s", 2.5),
    (
        "nvidia_smi_clocks_event_reasons_counters_sw_power_cap_seconds",
        2.5,
        "sw_power_cap_s",
        2.5,
    ),
    ("clocks_event_reasons_counters.sw_power_cap", 2_500_000, "sw_power_cap_s", 2.5),
    ("nvidia_smi_power_draw_watts", 433.78, "power_w", 433.78),
    ("slurm_node_mem_total", 193_000, "slurm_memory_bytes", 202_375_168_000),
    ("slurm_node_memory_total_bytes", 202_375_168_000, "slurm_memory_bytes", 202_375_168_000),
    ("node_infiniband_rate_bytes_per_second", 5e10, "rate_bytes_per_s", 5e10),
]


# Some have no name in any exporter: only the trees of `nvidia-smi -q` hold them.
READ_BY_PATH = {*MEASURED.values(), *PATHS.values()}


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_a_metric_says_its_unit_its_range_and_its_meaning(metric: Metric):
    assert metric.name.endswith(UNITS[metric.unit])
    assert metric.low < metric.high
    assert not math.isinf(metric.high) or metric.unit not in ("C", "W", "MHz", "ratio", "flag")
    assert metric.kind != "counter" or metric.low == 0
    assert metric.kind in ("gauge", "counter", "code")
    assert metric.meaning
    assert metric.names or metric.name in READ_BY_PATH
    assert metric.table in {table.name for table in TABLES}


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_several_series_meet_in_one_cell_only_by_a_rule(metric: Metric):
    """A node has many CPUs, sensors and controllers: a sum of gauges of one quantity would lie."""
    assert metric.reduce in ("", "max", "sum")
    assert metric.reduce != "sum" or metric.unit in ("count", "s")


def test_metric_names_are_unique():
    assert len(BY_NAME) == len(METRICS)


def test_no_two_metrics_claim_one_source_name():
    owners: dict[object, str] = {}
    for metric in METRICS:
        for name, _ in metric.names:
            assert (name, metric.where) not in owners, f"{metric.name}: {name}"
            owners[name, metric.where] = metric.name
    split = {name for name, held in CLAIMS.items() if len(held) > 1}
    for name in split:
        assert all(claim.metric.where for claim in CLAIMS[name]), name
        assert len({claim.metric.where[0] for claim in CLAIMS[name]}) == 1, name


def test_a_counter_of_openmetrics_is_the_counter_without_its_total():
    for name in CLAIMS:
        assert name.endswith("_total") or f"{name}_total" not in CLAIMS, name
    assert claims("DCGM_FI_DEV_PCIE_REPLAY_COUNTER_total") == claims(
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER"
    )
    assert claims("node_load1_sum") == ()


@pytest.mark.parametrize(("name", "raw", "column", "value"), CONVERSIONS, ids=lambda v: str(v))
def test_a_value_comes_to_the_tables_unit_exactly(name, raw, column, value):
    (claim,) = claims(name)
    assert claim.metric.name == column
    assert claim.convert(raw) == value


@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e-6, 1e-9, 0.01, 1048576.0])
def test_a_factor_is_an_exact_multiplication_or_division(factor):
    times, over = exact_factor(factor)
    assert times == int(times)
    assert over == int(over)
    assert times / over == factor


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_sample_table_has_one_column_a_metric_with_its_unit_in_its_meaning(table):
    for metric in METRICS:
        if metric.table == table.name:
            assert f"({metric.unit}; {metric.kind})" in table.meanings[metric.name]
    metrics = {metric.name for metric in METRICS if metric.table == table.name}
    assert set(table.dtypes) - metrics == {*table.key} | ({"slot"} & set(table.dtypes))
