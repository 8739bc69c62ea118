-- ETTR of each run hour by hour, and up to that hour: the sliding and the cumulative ETTR as
-- ByteRobust has them (methods 4.1). One row per run and UTC hour in which it held or wanted GPUs.
--
--   cluster, run, hour    which run, and the begin of the hour
--   wall_gpu_ms           its GPU time in that hour (GPU-ms), waits included; without attempts that
--                         log no steps
--   queue_wait_gpu_ms     of it, waits in a queue: outside of both ratios
--   kept_gpu_ms           of it, steps that still count
--   ettr_sliding          kept / (wall - queue_wait) of that hour; null where it only waited
--   ettr_cumulative       the same of sums from the run's first hour on
SELECT
    cluster,
    run,
    hour,
    wall_gpu_ms,
    queue_wait_gpu_ms,
    kept_gpu_ms,
    kept_gpu_ms / nullif(wall_gpu_ms - queue_wait_gpu_ms, 0) AS ettr_sliding,
    sum(kept_gpu_ms) OVER so_far / nullif(sum(wall_gpu_ms - queue_wait_gpu_ms) OVER so_far, 0)
        AS ettr_cumulative
FROM run_hours
WINDOW so_far AS (PARTITION BY cluster, run ORDER BY hour)
ORDER BY cluster, run, hour
