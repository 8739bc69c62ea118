-- Where the fleet's GPU time went by who asked for it: one row per cluster, partition, account and
-- leaf of the GPU-time tree. A cluster's rows sum to its capacity, exactly.
--
--   cluster                scheduler cluster
--   partition, account     of the run that held or waited for the GPUs, as its last attempt says; null
--                          for GPU time of no run (idle, down, maintenance, unobserved), and where not told
--   leaf                   what the time was (methods 4.2)
--   runs                   runs that had a part in it
--   gpu_ms                 GPU-milliseconds
--   gpu_hours              the same in GPU-hours
--   share                  of the cluster's capacity
WITH owners AS (
    SELECT
        cluster,
        run,
        arg_max(partition, submitted) AS partition,
        arg_max(account, submitted) AS account
    FROM run_attempts
    GROUP BY cluster, run
),

-- A job's records may name no cluster where its nodes' records do.
unnamed AS (
    SELECT
        run,
        partition,
        account
    FROM owners
    WHERE cluster = ''
),

owned AS (
    SELECT
        gpu_time.cluster,
        coalesce(owners.partition, unnamed.partition) AS partition,
        coalesce(owners.account, unnamed.account) AS account,
        gpu_time.leaf::VARCHAR AS leaf,
        gpu_time.run,
        gpu_time.gpu_ms
    FROM gpu_time
    LEFT JOIN owners USING (cluster, run)
    LEFT JOIN unnamed USING (run)
)

SELECT
    cluster,
    partition,
    account,
    leaf,
    count(DISTINCT run) FILTER (WHERE run <> '') AS runs,
    sum(gpu_ms)::BIGINT AS gpu_ms,
    gpu_hours(sum(gpu_ms)) AS gpu_hours,
    sum(gpu_ms) / sum(sum(gpu_ms)) OVER (PARTITION BY cluster) AS share
FROM owned
GROUP BY cluster, partition, account, leaf
ORDER BY cluster, gpu_ms DESC, partition, account, leaf
