-- GPUs that runs held and that their own samples show idle, for whole hours: one row per run and leaf,
-- those with most GPU-hours first. Runs whose GPUs nobody samples have no row.
--
--   cluster, run           which
--   leaf                   `repair_wait`: dead ranks, at work before, while the run goes on; `spare`: never
--                          at work; `drain_idle`: no log tells what the run does, and it does nothing;
--                          `not_measured`: a job that logs no steps
--   first_day, last_day    of that
--   gpu_ms                 GPU-milliseconds, at least: hours that were not watched throughout are left out
--   gpu_hours              the same in GPU-hours
--   share                  of all GPU time that the run held
SELECT
    cluster,
    run,
    leaf::VARCHAR AS leaf,
    min(day) FILTER (WHERE evidence = 'telemetry') AS first_day,
    max(day) FILTER (WHERE evidence = 'telemetry') AS last_day,
    sum(gpu_ms) FILTER (WHERE evidence = 'telemetry')::BIGINT AS gpu_ms,
    gpu_hours(sum(gpu_ms) FILTER (WHERE evidence = 'telemetry')) AS gpu_hours,
    sum(gpu_ms) FILTER (WHERE evidence = 'telemetry')
    / sum(sum(gpu_ms)) OVER (PARTITION BY cluster, run) AS share
FROM run_time
WHERE
    is_allocated(leaf)
    OR leaf = 'spare'
    OR (leaf = 'repair_wait' AND evidence IN ('marks', 'telemetry'))
GROUP BY cluster, run, leaf
QUALIFY count(*) FILTER (WHERE evidence = 'telemetry') > 0
ORDER BY gpu_ms DESC, cluster, run, leaf
