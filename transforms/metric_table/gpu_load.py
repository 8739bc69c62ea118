"""What a GPU does: clocks, temperature, power, utilisation, traffic, memory, modes."""

from transforms.metric_table.naming import ANY, TEMP, Row, clock, flag, gpu, memory, power, share

ROWS: tuple[Row, ...] = (
    clock("sm_clock", "SM clock", "DEV_SM_CLOCK", "clocks.current.sm clocks.sm"),
    clock("memory_clock", "memory clock", "DEV_MEM_CLOCK", "clocks.current.memory clocks.mem"),
    clock("graphics_clock", "graphics clock", "", "clocks.current.graphics clocks.gr"),
    clock("video_clock", "video clock", "DEV_VIDEO_CLOCK", "clocks.current.video clocks.video"),
    clock("sm_clock_max", "highest SM clock", "DEV_MAX_SM_CLOCK", "clocks.max.sm"),
    clock("memory_clock_max", "highest memory clock", "DEV_MAX_MEM_CLOCK", "clocks.max.memory"),
    clock("graphics_clock_max", "highest graphics clock", "", "clocks.max.graphics"),
    clock(
        "app_clock", "requested graphics clock", "DEV_APP_SM_CLOCK", "clocks.applications.graphics"
    ),
    clock(
        "app_memory_clock",
        "requested memory clock",
        "DEV_APP_MEM_CLOCK",
        "clocks.applications.memory",
    ),
    gpu("gpu_temp_c", "C", "gauge", "core", TEMP, "DEV_GPU_TEMP", "temperature.gpu"),
    gpu("memory_temp_c", "C", "gauge", "HBM", TEMP, "DEV_MEMORY_TEMP", "temperature.memory"),
    gpu(
        "temp_margin_c",
        "C",
        "gauge",
        "degrees left before slowdown",
        (-100.0, 150.0),
        "DEV_GPU_TEMP_LIMIT",
        "temperature.gpu.tlimit",
    ),
    gpu("slowdown_temp_c", "C", "gauge", "clocks drop above", TEMP, "DEV_SLOWDOWN_TEMP"),
    gpu("shutdown_temp_c", "C", "gauge", "GPU stops above", TEMP, "DEV_SHUTDOWN_TEMP"),
    gpu(
        "operating_temp_max_c",
        "C",
        "gauge",
        "core, meant to stay below",
        TEMP,
        "DEV_GPU_MAX_OP_TEMP",
        "",
    ),
    gpu(
        "memory_temp_max_c",
        "C",
        "gauge",
        "HBM, meant to stay below",
        TEMP,
        "DEV_MEM_MAX_OP_TEMP",
        "",
    ),
    power("power", "power draw as the driver averages it", "DEV_POWER_USAGE", "power.draw"),
    power("power_instant", "power draw now", "DEV_POWER_USAGE_INSTANT", "power.draw.instant"),
    power("power_average", "power draw, last second", "", "power.draw.average"),
    power("power_limit", "power limit asked for", "DEV_POWER_MGMT_LIMIT", "power.limit"),
    power(
        "power_limit_enforced",
        "power limit in force",
        "DEV_ENFORCED_POWER_LIMIT",
        "enforced.power.limit",
    ),
    power(
        "power_limit_default",
        "power limit by default",
        "DEV_POWER_MGMT_LIMIT_DEF",
        "power.default_limit",
    ),
    power("power_limit_min", "lowest settable", "DEV_POWER_MGMT_LIMIT_MIN", "power.min_limit"),
    power("power_limit_max", "highest settable", "DEV_POWER_MGMT_LIMIT_MAX", "power.max_limit"),
    gpu(
        "energy_j", "J", "counter", "energy since driver load", ANY, "DEV_TOTAL_ENERGY_CONSUMPTION"
    ),
    gpu(
        "fan_speed_ratio",
        "ratio",
        "gauge",
        "of the fan's rated speed",
        (0.0, 2.0),
        "DEV_FAN_SPEED",
        "fan.speed",
    ),
    share("gpu_util", "time with a kernel running", "DEV_GPU_UTIL", "utilization.gpu"),
    share("memory_util", "time memory was busy", "DEV_MEM_COPY_UTIL", "utilization.memory"),
    share("encoder_util", "encoder busy", "DEV_ENC_UTIL", "utilization.encoder"),
    share("decoder_util", "decoder busy", "DEV_DEC_UTIL", "utilization.decoder"),
    share("jpeg_util", "JPEG engine busy", "", "utilization.jpeg"),
    share("ofa_util", "optical flow engine busy", "", "utilization.ofa"),
    share("graphics_active", "any engine active", "PROF_GR_ENGINE_ACTIVE"),
    share("sm_active", "SMs with a warp", "PROF_SM_ACTIVE"),
    share("sm_occupancy", "resident warps of the possible", "PROF_SM_OCCUPANCY"),
    share("tensor_active", "tensor pipe active", "PROF_PIPE_TENSOR_ACTIVE"),
    share("fp64_active", "FP64 pipe active", "PROF_PIPE_FP64_ACTIVE"),
    share("fp32_active", "FP32 pipe active", "PROF_PIPE_FP32_ACTIVE"),
    share("fp16_active", "FP16 pipe active", "PROF_PIPE_FP16_ACTIVE"),
    share("dram_active", "memory interface active", "PROF_DRAM_ACTIVE"),
    *(
        gpu(f"{bus}_{way}_bytes_per_s", "bytes/s", "gauge", f"{bus} traffic, {way}", ANY, field)
        for bus, way, field in (
            ("pcie", "tx", "PROF_PCIE_TX_BYTES"),
            ("pcie", "rx", "PROF_PCIE_RX_BYTES"),
            ("nvlink", "tx", "PROF_NVLINK_TX_BYTES"),
            ("nvlink", "rx", "PROF_NVLINK_RX_BYTES"),
        )
    ),
    memory("memory_used", "device memory used", "DEV_FB_USED", "memory.used"),
    memory("memory_free", "device memory free", "DEV_FB_FREE", "memory.free"),
    memory("memory_reserved", "kept by the driver", "DEV_FB_RESERVED", "memory.reserved"),
    memory("memory_total", "device memory", "DEV_FB_TOTAL", "memory.total"),
    memory("protected_memory_used", "protected memory used", "", "protected_memory.used"),
    memory("protected_memory_free", "protected memory free", "", "protected_memory.free"),
    memory("protected_memory_total", "protected memory", "", "protected_memory.total"),
    *(
        gpu(f"{name}_code", "code", "code", meaning, ANY, dcgm, smi)
        for name, meaning, dcgm, smi in (
            ("pstate", "performance state, P0 highest", "DEV_PSTATE", "pstate"),
            (
                "recovery_action",
                "what the driver asks for: 0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, "
                "4 drain and reset",
                "DEV_GET_GPU_RECOVERY_ACTION",
                "gpu_recovery_action",
            ),
            ("fabric_state", "0 unsupported, 1 waiting, 2 joining, 3 done", "", "fabric.state"),
            ("fabric_clique", "NVLink clique", "", "fabric.cliqueId"),
            ("vgpu_license", "vGPU licence status", "DEV_VGPU_LICENSE_STATUS", ""),
            ("compute_mode", "0 shared, 2 prohibited, 3 one process", "", "compute_mode"),
        )
    ),
    *(
        flag(name, meaning, "", smi)
        for name, meaning, smi in (
            ("persistence_mode", "driver stays loaded", "persistence_mode"),
            ("ecc_mode", "ECC on", "ecc.mode.current"),
            ("ecc_mode_pending", "ECC on after a reset", "ecc.mode.pending"),
            ("mig_mode", "MIG on", "mig.mode.current"),
            ("mig_mode_pending", "MIG on after a reset", "mig.mode.pending"),
            ("gsp_mode", "GPU system processor on", "gsp.mode.current"),
            ("gsp_mode_default", "GPU system processor on by default", "gsp.mode.default"),
            ("c2c_mode", "chip-to-chip link on", "c2c.mode"),
            ("accounting_mode", "process accounting on", "accounting.mode"),
            ("display_active", "display initialised", "display_active"),
            ("display_attached", "display attached", "display_attached"),
        )
    ),
    gpu("processes", "count", "gauge", "processes with a context", ANY, "", "compute_apps"),
    gpu(
        "encoder_sessions",
        "count",
        "gauge",
        "encoder sessions",
        ANY,
        "",
        "encoder.stats.sessionCount",
    ),
    gpu("encoder_frames_per_s", "count/s", "gauge", "encoder", ANY, "", "encoder.stats.averageFps"),
    (
        "encoder_latency_s",
        "gpu_samples",
        "s",
        "gauge",
        "time to encode a frame",
        (  # the exporter passes this one on in us
            ("encoder.stats.averageLatency", 1e-6),
            ("nvidia_smi_encoder_stats_average_latency", 1e-6),
        ),
        0.0,
        {},
    ),
    gpu(
        "edpp_multiplier_ratio",
        "ratio",
        "gauge",
        "peak power multiplier",
        (0.0, 10.0),
        "",
        "edpp_multiplier",
    ),
)
