-- Each run's losses under the names of Google's ml-goodput-measurement: one row per run and badput
-- type that took time, largest first (methods 4.2; the names are the macro google_badput's).
--
--   cluster, run   which run; queue before its first start and unmeasured attempts are left out
--   badput         the type; DATA_LOADING_ASYNC is no loss and has no row
--   gpu_ms         what it took (GPU-ms); gpu_hours the same
--   share          of the run's time, which is this badput and its kept steps
WITH counted AS (
    SELECT
        cluster,
        run,
        google_badput(leaf, cause, evidence) AS badput,
        gpu_ms
    FROM run_time
    WHERE is_kept(leaf) OR google_badput(leaf, cause, evidence) IS NOT NULL
),

whole AS (
    SELECT
        cluster,
        run,
        sum(gpu_ms) AS run_gpu_ms
    FROM counted
    GROUP BY ALL
)

SELECT
    cluster,
    run,
    badput,
    sum(gpu_ms)::BIGINT AS gpu_ms,
    gpu_hours(sum(gpu_ms)) AS gpu_hours,
    sum(gpu_ms) / run_gpu_ms AS share
FROM counted
JOIN whole USING (cluster, run)
WHERE badput IS NOT NULL
GROUP BY cluster, run, badput, run_gpu_ms
ORDER BY cluster, run, gpu_ms DESC, badput
