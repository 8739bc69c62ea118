-- How much of the fleet's GPU time telemetry saw: one row per UTC day and cluster (methods Q-2).
--
--   day, cluster
--   gpus_heard          GPUs (MIG instances apart) that were sampled that day
--   heard_gpu_hours     time within two polling intervals of a sample (GPU-hours)
--   capacity_gpu_hours  GPU-hours commissioned that day; null where nobody says what there is
--   coverage            the share heard; null without capacity. What was not heard is unknown
--   silences            times that a node, or a GPU whose node went on, fell silent
--   collector_silences  of nodes, many together: the collector's outage, no evidence of any node
WITH heard AS (
    SELECT
        (hour_at AT TIME ZONE 'UTC')::DATE AS day,
        cluster,
        count(DISTINCT (node, device)) AS gpus_heard,
        sum(covered_ms) / 3.6e6 AS heard_gpu_hours
    FROM heard_hourly
    WHERE device_kind = 'gpu'
    GROUP BY ALL
),

there AS (
    SELECT
        day,
        cluster,
        sum(gpu_capacity_ms) / 3.6e6 AS capacity_gpu_hours
    FROM exposure
    GROUP BY ALL
),

silent AS (
    SELECT
        day,
        cluster,
        count(*) FILTER (WHERE sort = 'alone') AS silences,
        count(*) FILTER (WHERE sort = 'many together') AS collector_silences
    FROM silences
    GROUP BY ALL
)

SELECT
    day,
    cluster,
    coalesce(gpus_heard, 0) AS gpus_heard,
    coalesce(heard_gpu_hours, 0) AS heard_gpu_hours,
    capacity_gpu_hours,
    CASE
        WHEN capacity_gpu_hours > 0
            THEN least(coalesce(heard_gpu_hours, 0) / capacity_gpu_hours, 1)
    END AS coverage,
    coalesce(silences, 0) AS silences,
    coalesce(collector_silences, 0) AS collector_silences
FROM heard
FULL JOIN there USING (day, cluster)
LEFT JOIN silent USING (day, cluster)
ORDER BY day, cluster
