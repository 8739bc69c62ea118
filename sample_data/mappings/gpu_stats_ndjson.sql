-- Readings of a home-made agent around nvidia-smi: one JSON object a node and instant, with its GPUs.
-- into: gpu_samples
-- reads: ndjson
-- knows: ts_ms, host, gpu_stats, power_draw_w
-- example: {"ts_ms": 1772445600250, "host": "gpu-0417", "gpu_stats": [{"index": 0, "uuid": "GPU-b6c3", "power_draw_w": 690.5, "temp_c": 61, "util_pct": 97, "mem_used_mib": 71234}]}
--
-- An object gives one row for each of its GPUs. Percent become shares, MiB bytes.
SELECT
    line_no,
    host AS node,
    make_timestamptz(ts_ms * 1000) AS observed_at,
    gpu.uuid AS gpu,
    gpu."index" AS slot,
    gpu.power_draw_w AS power_w,
    gpu.temp_c AS gpu_temp_c,
    gpu.util_pct / 100 AS gpu_util_ratio,
    gpu.mem_used_mib * 1048576 AS memory_used_bytes
FROM (SELECT line_no, host, ts_ms, unnest(gpu_stats) AS gpu FROM input)
