-- Where the fleet's GPU time went by ISO week: one row per week, cluster, leaf of the GPU-time
-- tree and cause. A week's rows of a cluster sum to its capacity, exactly.
--
--   week        Monday of the ISO week (UTC)
--   days        days of it that are accounted for: below 7 the week is partial, compare no totals
--   cluster     scheduler cluster
--   leaf        what the time was (methods 4.2)
--   cause       class that answers for the loss; '' where none does; `insurance` for checkpoint
--               stalls, `start-up` for a run's first start, `Planned` for stops on purpose
--   gpu_ms      GPU-milliseconds
--   gpu_hours   the same in GPU-hours
--   share       of the cluster's capacity that week
WITH weeks AS (
    SELECT
        iso_week(day) AS week,
        cluster,
        count(DISTINCT day) AS days,
        sum(gpu_ms)::BIGINT AS capacity_gpu_ms
    FROM gpu_time
    GROUP BY ALL
),

spent AS (
    SELECT
        iso_week(day) AS week,
        cluster,
        leaf::VARCHAR AS leaf,
        cause,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM gpu_time
    GROUP BY ALL
)

SELECT
    week,
    days,
    cluster,
    leaf,
    cause,
    gpu_ms,
    gpu_hours(gpu_ms) AS gpu_hours,
    gpu_ms / capacity_gpu_ms AS share
FROM spent
JOIN weeks USING (week, cluster)
ORDER BY week, cluster, gpu_ms DESC, leaf, cause
