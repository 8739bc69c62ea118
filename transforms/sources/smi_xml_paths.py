"""Where `nvidia-smi -q -x` says what: element paths below <gpu> to the one table of metrics.

Releases differ in names, not in meaning: event reasons were throttle reasons before driver 535,
power readings were one group before 530, ECC errors were counted by single and double bits before
Ampere. A path that is neither measured here nor PASSED over is counted as an unknown metric.
"""

_REASONS = {
    "gpu_idle": "slowed_by_idle",
    "applications_clocks_setting": "slowed_by_app_clocks",
    "sw_power_cap": "slowed_by_sw_power_cap",
    "hw_slowdown": "slowed_by_hw_slowdown",
    "hw_thermal_slowdown": "slowed_by_hw_thermal",
    "hw_power_brake_slowdown": "slowed_by_hw_power_brake",
    "sync_boost": "slowed_by_sync_boost",
    "sw_thermal_slowdown": "slowed_by_sw_thermal",
    "display_clocks_setting": "slowed_by_display_clocks",
}
_LASTED = {
    "sw_power_cap": "sw_power_cap_s",
    "sync_boost": "sync_boost_s",
    "sw_therm_slowdown": "sw_thermal_slowdown_s",
    "hw_therm_slowdown": "hw_thermal_slowdown_s",
    "hw_power_brake": "hw_power_brake_s",
}
_LIMITS = {
    "power_limit": "power_limit_w",
    "requested_power_limit": "power_limit_w",
    "enforced_power_limit": "power_limit_enforced_w",
    "current_power_limit": "power_limit_enforced_w",
    "default_power_limit": "power_limit_default_w",
    "min_power_limit": "power_limit_min_w",
    "max_power_limit": "power_limit_max_w",
    "power_draw": "power_w",
    "average_power_draw": "power_average_w",
    "instant_power_draw": "power_instant_w",
}
_ECC = {
    "sram_correctable": "corrected_{}_sram",
    "sram_uncorrectable": "uncorrected_{}_sram",
    "sram_uncorrectable_parity": "uncorrected_{}_sram_parity",
    "sram_uncorrectable_secded": "uncorrected_{}_sram_secded",
    "dram_correctable": "corrected_{}_dram",
    "dram_uncorrectable": "uncorrected_{}_dram",
    "single_bit/device_memory": "corrected_{}_device_memory",
    "single_bit/total": "corrected_{}",
    "double_bit/device_memory": "uncorrected_{}_device_memory",
    "double_bit/total": "uncorrected_{}",
}
_PCI = "pci/pci_gpu_link_info"

MEASURED: dict[str, str] = {
    "temperature/gpu_temp": "gpu_temp_c",
    "temperature/memory_temp": "memory_temp_c",
    "temperature/gpu_temp_tlimit": "temp_margin_c",
    "temperature/gpu_temp_max_threshold": "shutdown_temp_c",
    "temperature/gpu_temp_slow_threshold": "slowdown_temp_c",
    "temperature/gpu_temp_max_gpu_threshold": "operating_temp_max_c",
    "temperature/gpu_temp_max_mem_threshold": "memory_temp_max_c",
    "clocks/graphics_clock": "graphics_clock_mhz",
    "clocks/sm_clock": "sm_clock_mhz",
    "clocks/mem_clock": "memory_clock_mhz",
    "clocks/video_clock": "video_clock_mhz",
    "max_clocks/graphics_clock": "graphics_clock_max_mhz",
    "max_clocks/sm_clock": "sm_clock_max_mhz",
    "max_clocks/mem_clock": "memory_clock_max_mhz",
    "applications_clocks/graphics_clock": "app_clock_mhz",
    "applications_clocks/mem_clock": "app_memory_clock_mhz",
    **{f"{group}/{k}": v for group in ("gpu_power_readings", "power_readings") for k, v in _LIMITS.items()},
    "fan_speed": "fan_speed_ratio",
    **{f"utilization/{k}_util": f"{k}_util_ratio" for k in ("gpu", "memory", "encoder", "decoder", "jpeg", "ofa")},
    **{f"fb_memory_usage/{k}": f"memory_{k}_bytes" for k in ("total", "reserved", "used", "free")},
    **{f"cc_protected_memory_usage/{k}": f"protected_memory_{k}_bytes" for k in ("total", "used", "free")},
    "performance_state": "pstate_code",
    "compute_mode": "compute_mode_code",
    "persistence_mode": "persistence_mode",
    "accounting_mode": "accounting_mode",
    "display_active": "display_active",
    "display_attached": "display_attached",
    "c2c_mode": "c2c_mode",
    "mig_mode/current_mig": "mig_mode",
    "mig_mode/pending_mig": "mig_mode_pending",
    "ecc_mode/current_ecc": "ecc_mode",
    "ecc_mode/pending_ecc": "ecc_mode_pending",
    "encoder_stats/session_count": "encoder_sessions",
    "encoder_stats/average_fps": "encoder_frames_per_s",
    "encoder_stats/average_latency": "encoder_latency_s",
    "gpu_recovery_action": "recovery_action_code",
    "gpu_reset_status/reset_required": "reset_required",
    "gpu_reset_status/drain_and_reset_recommended": "drain_and_reset_recommended",
    "fabric/state": "fabric_state_code",
    "fabric/cliqueId": "fabric_clique_code",
    "fabric/health/bandwidth": "fabric_bandwidth_degraded",
    "fabric/health/route_recovery_in_progress": "fabric_route_recovering",
    "fabric/health/route_unhealthy": "fabric_route_unhealthy",
    "fabric/health/access_timeout_recovery": "fabric_access_timed_out",
    f"{_PCI}/pcie_gen/current_link_gen": "pcie_gen",
    f"{_PCI}/pcie_gen/max_link_gen": "pcie_gen_max",
    f"{_PCI}/pcie_gen/device_current_link_gen": "pcie_gen_gpu",
    f"{_PCI}/pcie_gen/max_device_link_gen": "pcie_gen_gpu_max",
    f"{_PCI}/pcie_gen/max_host_link_gen": "pcie_gen_host_max",
    f"{_PCI}/link_widths/current_link_width": "pcie_lanes",
    f"{_PCI}/link_widths/max_link_width": "pcie_lanes_max",
    "pci/replay_counter": "pcie_replays",
    "pci/replay_rollover_counter": "pcie_replay_rollovers",
    **{
        f"clocks_{word}_reasons/clocks_{word}_reason_{k}": v
        for word in ("event", "throttle")
        for k, v in _REASONS.items()
    },
    **{f"clocks_event_reasons_counters/clocks_event_reasons_counters_{k}": v for k, v in _LASTED.items()},
    **{
        f"ecc_errors/{lifetime}/{k}": f"ecc_{v.format(lifetime)}"
        for lifetime in ("volatile", "aggregate")
        for k, v in _ECC.items()
    },
    "ecc_errors/aggregate/sram_threshold_exceeded": "ecc_sram_threshold_exceeded",
    **{
        f"ecc_errors/aggregate_uncorrectable_sram_sources/sram_{k}": f"ecc_uncorrected_aggregate_sram_{v}"
        for k, v in (("l2", "l2"), ("sm", "sm"), ("microcontroller", "mcu"), ("pcie", "pcie"), ("other", "other"))
    },
    "ecc_errors/channel_repair_pending": "channel_repair_pending",
    "ecc_errors/tpc_repair_pending": "tpc_repair_pending",
    "ecc_errors/unrepairable_memory": "unrepairable_memory",
    "gpu_memory_power_readings/average_power_draw": "memory_power_w",
    "retired_pages/multiple_single_bit_retirement/retired_count": "retired_pages_sbe",
    "retired_pages/double_bit_retirement/retired_count": "retired_pages_dbe",
    "retired_pages/pending_retirement": "retirement_pending",
    "retired_pages/pending_blacklist": "retirement_pending",
    "remapped_rows/remapped_row_corr": "remapped_rows_corrected",
    "remapped_rows/remapped_row_unc": "remapped_rows_uncorrected",
    "remapped_rows/remapped_row_pending": "row_remap_pending",
    "remapped_rows/remapped_row_failure": "row_remap_failed",
    **{
        f"remapped_rows/row_remapper_histogram/row_remapper_histogram_{k}": f"remap_banks_{k}"
        for k in ("max", "high", "partial", "low", "none")
    },
}  # fmt: skip

MEASURED_OF_MIG: dict[str, str] = {
    **{f"fb_memory_usage/{k}": f"memory_{k}_bytes" for k in ("total", "reserved", "used", "free")},
    "ecc_error_count/volatile_count/sram_uncorrectable": "ecc_uncorrected_volatile_sram",
}
"""The same of a MIG device, whose elements stand below mig_devices/mig_device."""

PASSED = (
    # who and what it is
    *(
        "product_",
        "serial",
        "uuid",
        "pdi",
        "minor_number",
        "vbios_version",
        "multigpu_board",
        "board_",
    ),
    *("gpu_part_number", "gpu_fru_part_number", "gpu_module_id", "platformInfo", "inforom_"),
    *("gsp_firmware_version", "pci/pci_b", "pci/pci_d", "pci/pci_s", "pci/atomic_caps"),
    *("display_mode", "fabric/clusterUuid", "index", "gpu_instance_id", "compute_instance_id"),
    # how it is set up
    *("addressing_mode", "accounting_mode_buffer_size", "driver_model", "gpu_operation_mode"),
    *("gpu_virtualization_mode", "ibmnpu", "sparse_operation_mode", "dram_encryption_mode"),
    *("default_applications_clocks", "deferred_clocks", "max_customer_boost_clocks"),
    *("max_clocks/video_clock", "clock_policy", "supported_", "power_profiles", "capabilities"),
    *("temperature/gpu_target_temperature", "device_attributes"),
    # what runs on it, and what no accelerator in a rack is for
    *("processes", "accounted_processes", "retired_pages/multiple_single_bit_retirement/retired_p"),
    *("retired_pages/double_bit_retirement/retired_p", "bar1_memory_usage", "fbc_stats"),
    *("gpu_power_readings/power_state", "power_readings/power_state", "power_readings/power_man"),
    *("module_power_readings/power_state",),
)
"""Beginnings of paths that say no measurement of a fleet."""
