"""What goes wrong with a GPU: Xid, slowdowns, ECC, retired pages, remapped rows, links."""

from transforms.metric_table.naming import ANY, LANES, Row, count, ecc, flag, gpu, reason, seconds

ROWS: tuple[Row, ...] = (
    gpu(
        "xid_code",
        "code",
        "code",
        "last Xid, kept until the next one: no event by itself",
        (0.0, 65535.0),
        "DEV_XID_ERRORS",
    ),
    *(
        seconds(f"{name}_violation", f"clocks held down in all: {name}", field)
        for name, field in (
            ("power", "DEV_POWER_VIOLATION"),
            ("thermal", "DEV_THERMAL_VIOLATION"),
            ("sync_boost", "DEV_SYNC_BOOST_VIOLATION"),
            ("board_limit", "DEV_BOARD_LIMIT_VIOLATION"),
            ("low_util", "DEV_LOW_UTIL_VIOLATION"),
            ("reliability", "DEV_RELIABILITY_VIOLATION"),
            ("app_clocks", "DEV_TOTAL_APP_CLOCKS_VIOLATION"),
            ("base_clocks", "DEV_TOTAL_BASE_CLOCKS_VIOLATION"),
        )
    ),
    *(
        seconds(
            name,
            f"clocks held down in all: {name}",
            f"DEV_CLOCKS_EVENT_REASON_{dcgm}_NS",
            f"clocks_event_reasons_counters.{smi}",
        )
        for name, dcgm, smi in (
            ("sw_power_cap", "SW_POWER_CAP", "sw_power_cap"),
            ("sync_boost", "SYNC_BOOST", "sync_boost"),
            ("sw_thermal_slowdown", "SW_THERM_SLOWDOWN", "sw_thermal_slowdown"),
            ("hw_thermal_slowdown", "HW_THERM_SLOWDOWN", "hw_thermal_slowdown"),
            ("hw_power_brake", "HW_POWER_BRAKE_SLOWDOWN", "hw_power_brake_slowdown"),
        )
    ),
    gpu(
        "slowed_by_bits",
        "bits",
        "code",
        "why clocks are held down now, NVML's bit mask",
        ANY,
        "DEV_CLOCK_THROTTLE_REASONS DEV_CLOCKS_EVENT_REASONS",
        "clocks_event_reasons.active clocks_throttle_reasons.active",
    ),
    gpu(
        "slowed_by_supported_bits",
        "bits",
        "code",
        "reasons this GPU can give",
        ANY,
        "",
        "clocks_event_reasons.supported clocks_throttle_reasons.supported",
    ),
    reason("idle", "nothing runs", "gpu_idle"),
    reason("app_clocks", "requested clocks", "applications_clocks_setting"),
    reason("sw_power_cap", "power limit", "sw_power_cap"),
    reason("hw_slowdown", "hardware slowdown", "hw_slowdown"),
    reason("hw_thermal", "too hot, hardware", "hw_thermal_slowdown"),
    reason("hw_power_brake", "external power brake", "hw_power_brake_slowdown"),
    reason("sw_thermal", "too hot, driver", "sw_thermal_slowdown"),
    reason("sync_boost", "held to the slowest of a group", "sync_boost"),
    reason("display_clocks", "display", "display_clocks_setting"),
    ecc("corrected", "volatile", "total", "all", "DEV_ECC_SBE_VOL_TOTAL"),
    ecc("uncorrected", "volatile", "total", "all", "DEV_ECC_DBE_VOL_TOTAL"),
    ecc("corrected", "aggregate", "total", "all", "DEV_ECC_SBE_AGG_TOTAL"),
    ecc("uncorrected", "aggregate", "total", "all", "DEV_ECC_DBE_AGG_TOTAL"),
    *(
        ecc(
            corrected,
            lifetime,
            part,
            meaning,
            dcgm
            and f"DEV_ECC_{'SBE' if corrected == 'corrected' else 'DBE'}_{lifetime[:3].upper()}_{dcgm}",
        )
        for corrected in ("corrected", "uncorrected")
        for lifetime in ("volatile", "aggregate")
        for part, meaning, dcgm in (
            ("device_memory", "device memory", "DEV"),
            ("dram", "DRAM", ""),
            ("sram", "SRAM", ""),
        )
    ),
    *(
        ecc("uncorrected", lifetime, f"sram.{part}", f"SRAM by {part}")
        for lifetime in ("volatile", "aggregate")
        for part in ("parity", "secded")
    ),
    *(
        ecc("uncorrected", "aggregate", f"sram.{part}", f"SRAM of {part}")
        for part in ("l2", "mcu", "other", "pcie", "sm")
    ),
    flag(
        "ecc_sram_threshold_exceeded",
        "uncorrected SRAM errors above the vendor's limit",
        "",
        "ecc.errors.uncorrected.aggregate.sram.thresholdExceeded",
    ),
    count(
        "retired_pages_sbe",
        "pages retired for corrected errors",
        "DEV_RETIRED_SBE",
        "retired_pages.single_bit_ecc.count retired_pages.sbe",
    ),
    count(
        "retired_pages_dbe",
        "pages retired for uncorrected errors",
        "DEV_RETIRED_DBE",
        "retired_pages.double_bit.count retired_pages.dbe",
    ),
    gpu("pages_pending", "count", "gauge", "pages to retire", ANY, "DEV_RETIRED_PENDING"),
    flag("retirement_pending", "a page waits for a reset", "", "retired_pages.pending"),
    count(
        "remapped_rows_corrected",
        "rows remapped for corrected errors",
        "DEV_CORRECTABLE_REMAPPED_ROWS",
        "remapped_rows.correctable",
    ),
    count(
        "remapped_rows_uncorrected",
        "rows remapped for uncorrected errors",
        "DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "remapped_rows.uncorrectable",
    ),
    flag("row_remap_failed", "no spare row", "DEV_ROW_REMAP_FAILURE", "remapped_rows.failure"),
    flag("row_remap_pending", "needs a reset", "DEV_ROW_REMAP_PENDING", "remapped_rows.pending"),
    *(
        gpu(
            f"remap_banks_{left}",
            "count",
            "gauge",
            f"memory banks with {left} of their spare rows left",
            ANY,
            f"DEV_BANKS_REMAP_ROWS_AVAIL_{left.upper()}",
            f"remapped_rows.histogram.{left}",
        )
        for left in ("max", "high", "partial", "low", "none")
    ),
    flag("channel_repair_pending", "a reset repairs a channel", "", "ecc.channel_repair_pending"),
    flag("tpc_repair_pending", "a reset repairs a TPC", "", "ecc.tpc_repair_pending"),
    flag("unrepairable_memory", "memory that no repair is left for", ""),
    flag("reset_required", "of no use until reset", "", "reset_status.reset_required"),
    flag(
        "drain_and_reset_recommended",
        "to be reset when its work is done",
        "",
        "reset_status.drain_and_reset_recommended",
    ),
    *(
        flag(f"fabric_{name}", meaning, "", f"fabric.health.{smi}")
        for name, meaning, smi in (
            ("bandwidth_degraded", "NVLink fabric at less than full bandwidth", "bandwidth"),
            ("route_recovering", "NVLink routes are being restored", "route_recovery_in_progress"),
            ("route_unhealthy", "an NVLink route is broken", "route_unhealthy"),
            ("access_timed_out", "recovers from a fabric timeout", "access_timeout_recovery"),
        )
    ),
    count("pcie_replays", "PCIe packets sent again", "DEV_PCIE_REPLAY_COUNTER"),
    count(
        "pcie_replay_rollovers", "PCIe replay counter wrapped", "", "pci.replay_rollover_counter"
    ),
    count("nvlink_crc_flit_errors", "NVLink CRC", "DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL"),
    count("nvlink_crc_data_errors", "NVLink CRC", "DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL"),
    count("nvlink_replays", "NVLink replays", "DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"),
    *(
        count(f"nvlink_{name}", meaning, f"DEV_NVLINK_COUNT_{field}")
        for name, meaning, field in (
            ("links_recovered", "NVLink 5 links that came back", "LINK_RECOVERY_SUCCESSFUL_EVENTS"),
            ("links_not_recovered", "NVLink 5 links that did not", "LINK_RECOVERY_FAILED_EVENTS"),
            ("rx_errors", "NVLink 5 packets received damaged", "RX_ERRORS"),
            ("symbol_errors", "NVLink 5 symbols in error", "RX_SYMBOL_ERRORS"),
            ("effective_errors", "NVLink 5 errors left after correction", "EFFECTIVE_ERRORS"),
        )
    ),
    count("nvlink_recoveries", "NVLink retrained", "DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL"),
    *(
        gpu(name, "count", "gauge", meaning, LANES, dcgm, smi)
        for name, meaning, dcgm, smi in (
            ("pcie_gen", "PCIe generation now", "DEV_PCIE_LINK_GEN", "pcie.link.gen.current"),
            ("pcie_gen_max", "possible here", "DEV_PCIE_MAX_LINK_GEN", "pcie.link.gen.max"),
            ("pcie_gen_gpu", "PCIe generation at the GPU", "", "pcie.link.gen.gpucurrent"),
            ("pcie_gen_gpu_max", "possible for the GPU", "", "pcie.link.gen.gpumax"),
            ("pcie_gen_host_max", "possible for the host", "", "pcie.link.gen.hostmax"),
            ("pcie_lanes", "PCIe lanes now", "DEV_PCIE_LINK_WIDTH", "pcie.link.width.current"),
            ("pcie_lanes_max", "possible", "DEV_PCIE_MAX_LINK_WIDTH", "pcie.link.width.max"),
        )
    ),
)
