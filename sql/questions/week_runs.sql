-- Runs that logged steps: one row per run, largest first.
--
--   $since, $until     first day, and the day after the last
--   run, gpus          which, and the most GPUs any of its attempts held
--   wall_gpu_ms        its GPU time with its waits (GPU-ms)
--   kept_gpu_ms        of it, steps still counted today; ideal_gpu_ms at the ideal step time
--   lost_gpu_ms        of it, steps run and later discarded
--   wait_gpu_ms        of it, waiting for nodes; failure_gpu_ms owned by unplanned failures
--   interruptions      unplanned stops
WITH spent AS (
    SELECT
        cluster,
        run,
        sum(gpu_ms)::BIGINT AS wall_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_kept(leaf)), 0)::BIGINT AS kept_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'ideal'), 0)::BIGINT AS ideal_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'step_lost'), 0)::BIGINT AS lost_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('queue_wait', 'repair_wait')), 0)::BIGINT
            AS wait_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_failure_loss(leaf, cause)), 0)::BIGINT
            AS failure_gpu_ms
    FROM run_time
    WHERE day >= $since AND day < $until
    GROUP BY ALL
    HAVING count(*) FILTER (WHERE is_kept(leaf)) > 0
),

size AS (
    SELECT
        cluster,
        run,
        max(gpus) AS gpus
    FROM run_attempts
    GROUP BY ALL
),

stopped AS (
    SELECT
        cluster,
        run,
        count(*) FILTER (WHERE NOT planned) AS interruptions
    FROM interruptions
    WHERE day >= $since AND day < $until
    GROUP BY ALL
)

SELECT
    cluster,
    run,
    gpus,
    wall_gpu_ms,
    kept_gpu_ms,
    ideal_gpu_ms,
    lost_gpu_ms,
    wait_gpu_ms,
    failure_gpu_ms,
    coalesce(interruptions, 0) AS interruptions
FROM spent
LEFT JOIN size USING (cluster, run)
LEFT JOIN stopped USING (cluster, run)
ORDER BY wall_gpu_ms DESC, run
