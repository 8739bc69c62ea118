-- Readings of one GPU from twelve hours before to two hours after it failed: one row per metric
-- and sample, of the metrics that moved at all; no row where none was sampled. Of the GPUs that
-- failed in those days it is the one with the most warnings beforehand, then the most samples.
--
--   $since, $until   first day, and the day after the last
--   node, gpu        which GPU (uuid)
--   component        what its incident was
--   failed_at        the incident's first event
--   observed_at, metric, value   one reading; the metric names its unit
WITH failed AS (
    SELECT
        incident,
        node,
        component,
        began AS failed_at,
        unnest(gpus) AS gpu
    FROM incidents
    WHERE
        began >= $since::TIMESTAMPTZ AND began < $until::TIMESTAMPTZ
        AND counts AND definition = 'coalesced-180s'
),

sampled AS (
    SELECT
        failed.*,
        observed_at,
        memory_temp_c,
        ecc_corrected_volatile,
        pcie_replays,
        row_remap_pending,
        power_w
    FROM failed
    JOIN gpu_samples USING (gpu)
    WHERE
        observed_at >= failed_at - INTERVAL 12 HOURS
        AND observed_at < failed_at + INTERVAL 2 HOURS
),

best AS (
    SELECT
        incident,
        gpu
    FROM sampled
    GROUP BY ALL
    ORDER BY
        count(DISTINCT (ecc_corrected_volatile, pcie_replays, row_remap_pending))
            FILTER (WHERE observed_at < failed_at) > 1 DESC,
        count(*) FILTER (WHERE observed_at < failed_at) DESC,
        incident,
        gpu
    LIMIT 1
),

readings AS (
    UNPIVOT (
        SELECT sampled.* EXCLUDE (node)
            REPLACE (
                memory_temp_c::DOUBLE AS memory_temp_c,
                ecc_corrected_volatile::DOUBLE AS ecc_corrected_volatile,
                pcie_replays::DOUBLE AS pcie_replays,
                row_remap_pending::DOUBLE AS row_remap_pending,
                power_w::DOUBLE AS power_w
            ),
            sampled.node
        FROM sampled
        JOIN best USING (incident, gpu)
    )
    ON memory_temp_c, ecc_corrected_volatile, pcie_replays, row_remap_pending, power_w
    INTO NAME metric VALUE value
)

SELECT
    node,
    gpu,
    component,
    failed_at,
    observed_at,
    metric,
    value
FROM readings
QUALIFY max(value) OVER (PARTITION BY metric) > min(value) OVER (PARTITION BY metric)
ORDER BY metric, observed_at
