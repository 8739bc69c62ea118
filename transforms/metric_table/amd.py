"""AMD GPUs: the names that AMD's device metrics exporter and omnistat give to metrics of the table.

The exporter's names may be set to begin with `amd_`: both spellings are read. It counts VRAM in MiB,
energy in microjoules and ECC errors since the driver was loaded. Of its two temperatures the hottest
spot is the GPU's, the edge is told apart. Its clocks come in several numbered series under one name,
as do its links': they stay unknown. omnistat reports one location per GPU.
"""

from transforms.metric_table.naming import MIB, TEMP, Row, count, flag, gpu

_EXPORTER: dict[str, tuple[str, float]] = {
    "gpu_junction_temperature": ("gpu_temp_c", 1.0),
    "gpu_edge_temperature": ("edge_temp_c", 1.0),
    "gpu_memory_temperature": ("memory_temp_c", 1.0),
    "gpu_package_power": ("power_w", 1.0),
    "gpu_power_usage": ("power_instant_w", 1.0),
    "gpu_average_package_power": ("power_average_w", 1.0),
    "gpu_energy_consumed": ("energy_j", 1e-6),
    "gpu_gfx_activity": ("gpu_util_ratio", 0.01),
    "gpu_umc_activity": ("memory_util_ratio", 0.01),
    "gpu_total_vram": ("memory_total_bytes", MIB),
    "gpu_used_vram": ("memory_used_bytes", MIB),
    "gpu_free_vram": ("memory_free_bytes", MIB),
    "gpu_ecc_correct_total": ("ecc_corrected_volatile", 1.0),
    "gpu_ecc_uncorrect_total": ("ecc_uncorrected_volatile", 1.0),
    "gpu_ecc_correct_umc": ("ecc_corrected_volatile_dram", 1.0),
    "gpu_ecc_uncorrect_umc": ("ecc_uncorrected_volatile_dram", 1.0),
    "pcie_replay_count": ("pcie_replays", 1.0),
    "pcie_replay_rollover_count": ("pcie_replay_rollovers", 1.0),
    "pcie_recovery_count": ("pcie_recoveries", 1.0),
    "pcie_nack_sent_count": ("pcie_nacks_sent", 1.0),
    "pcie_nack_received_count": ("pcie_nacks_received", 1.0),
    "gpu_health": ("gpu_healthy", 1.0),
}
_OMNISTAT: dict[str, tuple[str, float]] = {
    "rocm_temperature_celsius": ("gpu_temp_c", 1.0),
    "rocm_temperature_memory_celsius": ("memory_temp_c", 1.0),
    "rocm_temperature_hbm_celsius": ("memory_temp_c", 1.0),
    "rocm_average_socket_power_watts": ("power_w", 1.0),
    "rocm_energy_joules": ("energy_j", 1.0),
    "rocm_sclk_clock_mhz": ("sm_clock_mhz", 1.0),
    "rocm_mclk_clock_mhz": ("memory_clock_mhz", 1.0),
    "rocm_vram_total_bytes": ("memory_total_bytes", 1.0),
    "rocm_vram_used_percentage": ("memory_used_ratio", 0.01),
    "rocm_vram_busy_percentage": ("memory_util_ratio", 0.01),
    "rocm_utilization_percentage": ("gpu_util_ratio", 0.01),
    "rocm_ras_umc_correctable_count": ("ecc_corrected_volatile_dram", 1.0),
    "rocm_ras_umc_uncorrectable_count": ("ecc_uncorrected_volatile_dram", 1.0),
}

ALSO: dict[str, tuple[str, float]] = {
    **_EXPORTER,
    **{f"amd_{name}": claim for name, claim in _EXPORTER.items()},
    **_OMNISTAT,
}
"""Source name to the metric that it is, and the factor to that metric's unit."""

ROWS: tuple[Row, ...] = (
    gpu("edge_temp_c", "C", "gauge", "edge of the die", TEMP),
    gpu("memory_used_ratio", "ratio", "gauge", "device memory used", (0.0, 1.0)),
    count("pcie_recoveries", "PCIe link retrained"),
    count("pcie_nacks_sent", "PCIe packets refused here"),
    count("pcie_nacks_received", "PCIe packets refused by the other end"),
    flag("gpu_healthy", "its own exporter holds the GPU for healthy"),
)
