"""Where `nvidia-smi -q` says what: headings to the element paths of its XML form.

The text and the XML form are one report in two spellings. Headings of releases differ as the
elements do: "Clocks Throttle Reasons" became "Clocks Event Reasons", "Power Readings" became
"GPU Power Readings". A heading that is not here becomes its own words in small letters, and is
counted as unknown unless it is passed over.
"""

_PAIRS: dict[str, str] = {
    # who it is
    "Product Name": "product_name",
    "Serial Number": "serial",
    "GPU UUID": "uuid",
    "MultiGPU Board": "multigpu_board",
    "PCI/Bus Id": "pci/pci_bus_id",
    # modes and states
    "Display Attached": "display_attached",
    "Display Active": "display_active",
    "Persistence Mode": "persistence_mode",
    "Accounting Mode": "accounting_mode",
    "MIG Mode/Current": "mig_mode/current_mig",
    "MIG Mode/Pending": "mig_mode/pending_mig",
    "GPU C2C Mode": "c2c_mode",
    "GPU Recovery Action": "gpu_recovery_action",
    "GPU Reset Status/Reset Required": "gpu_reset_status/reset_required",
    "GPU Reset Status/Drain and Reset Recommended": "gpu_reset_status/drain_and_reset_recommended",
    "Performance State": "performance_state",
    "Compute Mode": "compute_mode",
    "ECC Mode/Current": "ecc_mode/current_ecc",
    "ECC Mode/Pending": "ecc_mode/pending_ecc",
    "Fan Speed": "fan_speed",
    # PCIe
    "PCI/GPU Link Info/PCIe Generation/Max": "pci/pci_gpu_link_info/pcie_gen/max_link_gen",
    "PCI/GPU Link Info/PCIe Generation/Current": "pci/pci_gpu_link_info/pcie_gen/current_link_gen",
    "PCI/GPU Link Info/PCIe Generation/Device Current": "pci/pci_gpu_link_info/pcie_gen/device_current_link_gen",
    "PCI/GPU Link Info/PCIe Generation/Device Max": "pci/pci_gpu_link_info/pcie_gen/max_device_link_gen",
    "PCI/GPU Link Info/PCIe Generation/Host Max": "pci/pci_gpu_link_info/pcie_gen/max_host_link_gen",
    "PCI/GPU Link Info/Link Width/Max": "pci/pci_gpu_link_info/link_widths/max_link_width",
    "PCI/GPU Link Info/Link Width/Current": "pci/pci_gpu_link_info/link_widths/current_link_width",
    "PCI/Replays Since Reset": "pci/replay_counter",
    "PCI/Replay Number Rollovers": "pci/replay_rollover_counter",
    "PCI/Tx Throughput": "pci/tx_util",
    "PCI/Rx Throughput": "pci/rx_util",
    # load
    **{f"Utilization/{k}": f"utilization/{k.lower()}_util" for k in ("Encoder", "Decoder", "JPEG", "OFA", "Memory")},
    "Utilization/Gpu": "utilization/gpu_util",
    "Utilization/GPU": "utilization/gpu_util",
    **{f"FB Memory Usage/{k}": f"fb_memory_usage/{k.lower()}" for k in ("Total", "Reserved", "Used", "Free")},
    **{f"Conf Compute Protected Memory Usage/{k}": f"cc_protected_memory_usage/{k.lower()}" for k in ("Total", "Used", "Free")},
    "Encoder Stats/Active Sessions": "encoder_stats/session_count",
    "Encoder Stats/Average FPS": "encoder_stats/average_fps",
    "Encoder Stats/Average Latency": "encoder_stats/average_latency",
    # ECC, pages, rows
    "ECC Errors/Aggregate/SRAM Threshold Exceeded": "ecc_errors/aggregate/sram_threshold_exceeded",
    **{
        f"ECC Errors/{lifetime}/{k}": f"ecc_errors/{lifetime.lower()}/{v}"
        for lifetime in ("Volatile", "Aggregate")
        for k, v in (
            ("SRAM Correctable", "sram_correctable"),
            ("SRAM Uncorrectable", "sram_uncorrectable"),
            ("SRAM Uncorrectable Parity", "sram_uncorrectable_parity"),
            ("SRAM Uncorrectable SEC-DED", "sram_uncorrectable_secded"),
            ("DRAM Correctable", "dram_correctable"),
            ("DRAM Uncorrectable", "dram_uncorrectable"),
            ("Single Bit/Device Memory", "single_bit/device_memory"),
            ("Single Bit/Total", "single_bit/total"),
            ("Double Bit/Device Memory", "double_bit/device_memory"),
            ("Double Bit/Total", "double_bit/total"),
        )
    },
    **{
        f"ECC Errors/Aggregate Uncorrectable SRAM Sources/SRAM {k}": f"ecc_errors/aggregate_uncorrectable_sram_sources/sram_{k.lower()}"
        for k in ("L2", "SM", "Microcontroller", "PCIE", "Other")
    },
    "ECC Errors/Channel Repair Pending": "ecc_errors/channel_repair_pending",
    "ECC Errors/TPC Repair Pending": "ecc_errors/tpc_repair_pending",
    "ECC Errors/Unrepairable Memory": "ecc_errors/unrepairable_memory",
    "Retired Pages/Single Bit ECC": "retired_pages/multiple_single_bit_retirement/retired_count",
    "Retired Pages/Double Bit ECC": "retired_pages/double_bit_retirement/retired_count",
    "Retired Pages/Pending Page Blacklist": "retired_pages/pending_blacklist",
    "Remapped Rows/Correctable Error": "remapped_rows/remapped_row_corr",
    "Remapped Rows/Uncorrectable Error": "remapped_rows/remapped_row_unc",
    "Remapped Rows/Inactive Correctable Error": "remapped_rows/remapped_row_corr_inactive",
    "Remapped Rows/Inactive Uncorrectable Error": "remapped_rows/remapped_row_unc_inactive",
    "Remapped Rows/Pending": "remapped_rows/remapped_row_pending",
    "Remapped Rows/Remapping Failure Occurred": "remapped_rows/remapped_row_failure",
    **{
        f"Remapped Rows/Bank Remap Availability Histogram/{k}": f"remapped_rows/row_remapper_histogram/row_remapper_histogram_{k.lower()}"
        for k in ("Max", "High", "Partial", "Low", "None")
    },
    # heat, power, clocks
    "Temperature/GPU Current Temp": "temperature/gpu_temp",
    "Temperature/GPU T.Limit Temp": "temperature/gpu_temp_tlimit",
    "Temperature/GPU Shutdown Temp": "temperature/gpu_temp_max_threshold",
    "Temperature/GPU Slowdown Temp": "temperature/gpu_temp_slow_threshold",
    "Temperature/GPU Max Operating Temp": "temperature/gpu_temp_max_gpu_threshold",
    "Temperature/GPU Shutdown T.Limit Temp": "temperature/gpu_temp_max_tlimit_threshold",
    "Temperature/GPU Slowdown T.Limit Temp": "temperature/gpu_temp_slow_tlimit_threshold",
    "Temperature/GPU Max Operating T.Limit Temp": "temperature/gpu_temp_max_gpu_tlimit_threshold",
    "Temperature/GPU Target Temperature": "temperature/gpu_target_temperature",
    "Temperature/Memory Current Temp": "temperature/memory_temp",
    "Temperature/Memory Max Operating Temp": "temperature/gpu_temp_max_mem_threshold",
    "Temperature/Memory Max Operating T.Limit Temp": "temperature/gpu_temp_max_mem_tlimit_threshold",
    **{
        f"{group}/{k}": f"{element}/{v}"
        for group, element in (
            ("GPU Power Readings", "gpu_power_readings"),
            ("Power Readings", "power_readings"),
            ("GPU Memory Power Readings", "gpu_memory_power_readings"),
        )
        for k, v in (
            ("Power Draw", "power_draw"),
            ("Average Power Draw", "average_power_draw"),
            ("Instantaneous Power Draw", "instant_power_draw"),
            ("Current Power Limit", "current_power_limit"),
            ("Requested Power Limit", "requested_power_limit"),
            ("Power Limit", "power_limit"),
            ("Default Power Limit", "default_power_limit"),
            ("Enforced Power Limit", "enforced_power_limit"),
            ("Min Power Limit", "min_power_limit"),
            ("Max Power Limit", "max_power_limit"),
        )
    },
    **{
        f"{group}/{k}": f"{element}/{v}_clock"
        for group, element in (
            ("Clocks", "clocks"),
            ("Max Clocks", "max_clocks"),
            ("Applications Clocks", "applications_clocks"),
        )
        for k, v in (("Graphics", "graphics"), ("SM", "sm"), ("Memory", "mem"), ("Video", "video"))
    },
    **{
        f"Clocks {word} Reasons/{k}": f"clocks_{word.lower()}_reasons/clocks_{word.lower()}_reason_{v}"
        for word in ("Event", "Throttle")
        for k, v in (
            ("Idle", "gpu_idle"),
            ("Applications Clocks Setting", "applications_clocks_setting"),
            ("SW Power Cap", "sw_power_cap"),
            ("HW Slowdown", "hw_slowdown"),
            ("HW Slowdown/HW Thermal Slowdown", "hw_thermal_slowdown"),
            ("HW Slowdown/HW Power Brake Slowdown", "hw_power_brake_slowdown"),
            ("Sync Boost", "sync_boost"),
            ("SW Thermal Slowdown", "sw_thermal_slowdown"),
            ("Display Clock Setting", "display_clocks_setting"),
        )
    },
    **{
        f"Clocks Event Reasons Counters/{k}": f"clocks_event_reasons_counters/clocks_event_reasons_counters_{v}"
        for k, v in (
            ("SW Power Capping", "sw_power_cap"),
            ("Sync Boost", "sync_boost"),
            ("SW Thermal Slowdown", "sw_therm_slowdown"),
            ("HW Thermal Slowdown", "hw_therm_slowdown"),
            ("HW Power Braking", "hw_power_brake"),
        )
    },
    # NVLink fabric
    "Fabric/State": "fabric/state",
    "Fabric/CliqueId": "fabric/cliqueId",
    "Fabric/Health/Bandwidth": "fabric/health/bandwidth",
    "Fabric/Health/Route Recovery in progress": "fabric/health/route_recovery_in_progress",
    "Fabric/Health/Route Unhealthy": "fabric/health/route_unhealthy",
    "Fabric/Health/Access Timeout Recovery": "fabric/health/access_timeout_recovery",
    # MIG devices
    "MIG Devices/MIG Device/GPU Instance ID": "mig_devices/mig_device/gpu_instance_id",
    **{
        f"MIG Devices/MIG Device/FB Memory Usage/{k}": f"mig_devices/mig_device/fb_memory_usage/{k.lower()}"
        for k in ("Total", "Reserved", "Used", "Free")
    },
    "MIG Devices/MIG Device/ECC Errors/Volatile/SRAM Uncorrectable": "mig_devices/mig_device/ecc_error_count/volatile_count/sram_uncorrectable",
}  # fmt: skip

PATHS: dict[str, str] = _PAIRS
"""Headings joined by slashes, to the path of the same value in XML."""

PASSED = (
    *(
        "Product ",
        "Addressing",
        "Accounting Mode Buffer",
        "Driver Model",
        "GPU PDI",
        "Minor Number",
    ),
    *("VBIOS", "Board ", "GPU Part", "FRU Part", "Platform Info", "Inforom", "GPU Operation Mode"),
    *("GPU Virtualization", "GSP Firmware", "IBMNPU", "PCI/Bus", "PCI/Device", "PCI/Domain"),
    *(
        "PCI/Base",
        "PCI/Sub",
        "PCI/Bridge",
        "PCI/Atomic",
        "Sparse",
        "BAR1",
        "FBC",
        "DRAM Encryption",
    ),
    *(
        "Temperature/GPU Target",
        "Module Power",
        "Power Smoothing",
        "Workload Power",
        "Display Mode",
    ),
    *("Default Applications", "Deferred", "Max Customer", "Clock Policy", "Fabric/ClusterUUID"),
    *("Processes", "Capabilities", "Supported", "Accounted", "MIG Devices/MIG Device/Index"),
    *("MIG Devices/MIG Device/Compute", "MIG Devices/MIG Device/Device Attributes"),
    *("GPU Module", "GPU Reset Status", "Max Clocks/Video", "Power Readings/Power Management"),
    *("MIG Devices/MIG Device/BAR1", "Module Id", "vGPU", "Voltage", "GSP"),
)
"""Beginnings of headings that say no measurement of a fleet."""
