"""Metrics of a node, by node_exporter.

Several sensors, CPUs or controllers of a node meet in one cell by a stated rule: the hottest
sensor (`max`), the sum of the controllers' counts (`sum`). Everything else of node_exporter's
thousands of series is counted as unknown.
"""

from typing import Any

from transforms.metric_table.naming import Row

INF = float("inf")
EPOCH_MAX = 4102444800.0  # 2100-01-01


def _node(
    name: str,
    unit: str,
    kind: str,
    meaning: str,
    names: str,
    low: float = 0.0,
    high: float = INF,
    **more: Any,
) -> Row:
    """One node metric; `names` without their node_ prefix unless another exporter's."""
    full = [n if n.startswith("nvme_") else f"node_{n}" for n in names.split()]
    columns = tuple((n, 1.0) for n in full)
    return (name, "node_samples", unit, kind, meaning, columns, low, {"high": high, **more})


SENSOR: dict[str, Any] = {"reduce": "max", "low": -60.0, "high": 200.0}
TOTAL: dict[str, Any] = {"reduce": "sum"}
ROOT: dict[str, Any] = {"where": ("mountpoint", "/")}

ROWS: tuple[Row, ...] = (
    _node("boot_time_s", "s", "gauge", "booted at, Unix time", "boot_time_seconds", 1.0, EPOCH_MAX),
    _node("clock_time_s", "s", "gauge", "node's clock, Unix time", "time_seconds", 1.0, EPOCH_MAX),
    _node(
        "clock_offset_s",
        "s",
        "gauge",
        "node's clock against its reference",
        "timex_offset_seconds",
        -INF,
    ),
    _node(
        "ntp_offset_s",
        "s",
        "gauge",
        "node's clock against its NTP server",
        "ntp_offset_seconds",
        -INF,
    ),
    _node("clock_synced", "flag", "code", "kernel holds the clock", "timex_sync_status", 0.0, 1.0),
    _node("load_1m", "count", "gauge", "tasks that run or wait, 1 min", "load1"),
    _node("load_5m", "count", "gauge", "tasks that run or wait, 5 min", "load5"),
    _node("load_15m", "count", "gauge", "tasks that run or wait, 15 min", "load15"),
    _node("procs_running", "count", "gauge", "runnable tasks", "procs_running"),
    _node("procs_blocked", "count", "gauge", "tasks stuck in IO", "procs_blocked"),
    _node(
        "cpu_idle_s",
        "s",
        "counter",
        "idle, all CPUs",
        "cpu_seconds_total",
        where=("mode", "idle"),
        **TOTAL,
    ),
    _node(
        "cpu_iowait_s",
        "s",
        "counter",
        "idle for IO, all CPUs",
        "cpu_seconds_total",
        where=("mode", "iowait"),
        **TOTAL,
    ),
    _node(
        "cpu_throttles",
        "count",
        "counter",
        "cores slowed by heat",
        "cpu_core_throttles_total",
        **TOTAL,
    ),
    _node(
        "package_throttles",
        "count",
        "counter",
        "CPU packages slowed by heat",
        "cpu_package_throttles_total",
        **TOTAL,
    ),
    _node("host_memory_total_bytes", "bytes", "gauge", "RAM", "memory_MemTotal_bytes"),
    _node("host_memory_free_bytes", "bytes", "gauge", "RAM free", "memory_MemFree_bytes"),
    _node(
        "host_memory_available_bytes",
        "bytes",
        "gauge",
        "RAM to be had",
        "memory_MemAvailable_bytes",
    ),
    _node(
        "host_memory_poisoned_bytes",
        "bytes",
        "gauge",
        "RAM taken out of use after errors",
        "memory_HardwareCorrupted_bytes",
    ),
    _node("oom_kills", "count", "counter", "processes killed for memory", "vmstat_oom_kill"),
    _node("files_open", "count", "gauge", "open file handles", "filefd_allocated"),
    _node("files_open_max", "count", "gauge", "open file handles allowed", "filefd_maximum"),
    *(
        _node(f"pressure_{what}_s", "s", "counter", meaning, f"pressure_{what}_seconds_total")
        for what, meaning in (
            ("cpu_waiting", "a task waited for a CPU"),
            ("io_waiting", "a task waited for IO"),
            ("io_stalled", "every task waited for IO"),
            ("memory_waiting", "a task waited for memory"),
            ("memory_stalled", "every task waited for memory"),
        )
    ),
    _node("root_size_bytes", "bytes", "gauge", "root file system", "filesystem_size_bytes", **ROOT),
    _node("root_free_bytes", "bytes", "gauge", "free for users", "filesystem_avail_bytes", **ROOT),
    _node(
        "root_readonly",
        "flag",
        "code",
        "remounted read-only",
        "filesystem_readonly",
        high=1.0,
        **ROOT,
    ),
    _node(
        "filesystems_unreadable",
        "count",
        "gauge",
        "mounts that do not answer",
        "filesystem_device_error",
        **TOTAL,
    ),
    _node(
        "edac_corrected",
        "count",
        "counter",
        "corrected RAM errors, all controllers",
        "edac_correctable_errors_total",
        **TOTAL,
    ),
    _node(
        "edac_uncorrected",
        "count",
        "counter",
        "uncorrected RAM errors, all controllers",
        "edac_uncorrectable_errors_total",
        **TOTAL,
    ),
    _node("sensor_temp_max_c", "C", "gauge", "hottest sensor", "hwmon_temp_celsius", **SENSOR),
    _node("zone_temp_max_c", "C", "gauge", "hottest thermal zone", "thermal_zone_temp", **SENSOR),
    _node(
        "sensor_temp_alarms",
        "count",
        "gauge",
        "sensors past critical",
        "hwmon_temp_crit_alarm_celsius",
        **TOTAL,
    ),
    _node("md_missing_disks", "count", "gauge", "missing from RAID arrays", "md_degraded", **TOTAL),
    _node(
        "md_failed_disks",
        "count",
        "gauge",
        "failed in RAID arrays",
        "md_disks",
        where=("state", "failed"),
        **TOTAL,
    ),
    _node(
        "nvme_media_errors",
        "count",
        "counter",
        "unrecovered data, all drives",
        "nvme_media_errors_total",
        **TOTAL,
    ),
    _node(
        "nvme_warning_max_bits",
        "bits",
        "code",
        "highest SMART critical warning of a drive",
        "nvme_critical_warning_total",
        reduce="max",
    ),
    _node("nvme_temp_max_c", "C", "gauge", "hottest drive", "nvme_temperature_celsius", **SENSOR),
    _node(
        "nvme_worn_max_ratio",
        "ratio",
        "gauge",
        "most worn drive, of its rated life",
        "nvme_percentage_used_ratio",
        high=10.0,
        reduce="max",
    ),
    *(
        _node(name, "count", "gauge", meaning, source, **TOTAL)
        for name, meaning, source in (
            ("fan_alarms", "fans past a limit", "hwmon_fan_alarm"),
            ("voltage_alarms", "voltages past a limit", "hwmon_in_alarm"),
            ("multipath_failed_paths", "failed paths to disks", "dmmultipath_device_paths_failed"),
            ("bond_links", "links of bonded interfaces", "bonding_slaves"),
            ("bond_links_up", "of those, the ones that work", "bonding_active"),
        )
    ),
    *(
        _node(name, "count", "gauge", meaning, source, where=where, **TOTAL)
        for name, meaning, source, where in (
            ("units_failed", "services that failed", "systemd_unit_state", ("state", "failed")),
            ("zfs_pools_degraded", "ZFS pools", "zfs_zpool_state", ("state", "degraded")),
            ("zfs_pools_faulted", "ZFS pools", "zfs_zpool_state", ("state", "faulted")),
        )
    ),
    *(
        _node(name, "count", "counter", meaning, source)
        for name, meaning, source in (
            ("nfs_retransmits", "NFS calls sent again", "nfs_rpc_retransmissions_total"),
            ("tcp_retransmits", "TCP segments sent again", "netstat_Tcp_RetransSegs"),
            ("tcp_segments_sent", "TCP segments sent", "netstat_Tcp_OutSegs"),
            ("major_page_faults", "pages read from disk", "vmstat_pgmajfault"),
        )
    ),
    _node(
        "pressure_irq_stalled_s",
        "s",
        "counter",
        "every task waited for interrupts",
        "pressure_irq_stalled_seconds_total",
    ),
    _node("cpus_online", "count", "gauge", "CPUs in use", "cpu_online", **TOTAL),
    _node("swap_total_bytes", "bytes", "gauge", "swap", "memory_SwapTotal_bytes"),
    _node("swap_free_bytes", "bytes", "gauge", "swap free", "memory_SwapFree_bytes"),
)
