-- Where the fleet's GPU time went by where the GPUs stand: one row per cluster, provider, hall and leaf
-- of the GPU-time tree. A hall's rows sum to its capacity, a cluster's to the fleet's, exactly.
--
--   cluster            scheduler cluster
--   provider, hall     as the inventory said of that time; null where it did not
--   leaf               what the time was (methods 4.2)
--   runs               runs that had a part in it
--   gpu_ms             GPU-milliseconds
--   gpu_hours          the same in GPU-hours
--   share              of the hall's capacity
SELECT
    cluster,
    nullif(provider, '') AS provider,
    nullif(hall, '') AS hall,
    leaf::VARCHAR AS leaf,
    count(DISTINCT run) FILTER (WHERE run <> '') AS runs,
    sum(gpu_ms)::BIGINT AS gpu_ms,
    gpu_hours(sum(gpu_ms)) AS gpu_hours,
    sum(gpu_ms) / sum(sum(gpu_ms)) OVER (PARTITION BY cluster, gpu_time.provider, gpu_time.hall)
        AS share
FROM gpu_time
GROUP BY cluster, gpu_time.provider, gpu_time.hall, leaf
ORDER BY cluster, provider, hall, gpu_ms DESC, leaf
