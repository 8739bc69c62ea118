-- Nodes with the most failures: one row per node that failed, worst first.
--
--   $since, $until             first day, and the day after the last
--   cluster, node, rack        which and where
--   failures                   counted incidents rooted on it
--   node_days                  its own in-service days
--   per_1000_node_days, _lo, _hi   its rate with its exact 95 % interval: wide, so no ranking by it
--   components                 what failed, most often first
--   gpu_ms                     GPU-milliseconds its incidents took from runs and from the fleet
WITH broken AS (
    SELECT
        cluster,
        node,
        sum(failures)::UBIGINT AS failures,
        string_agg(part || ' ' || failures, ', ' ORDER BY failures DESC, part) AS components
    FROM (
        SELECT
            cluster,
            node,
            class || ': ' || component AS part,
            sum(failures)::UBIGINT AS failures
        FROM failures
        WHERE day >= $since AND day < $until AND definition = 'coalesced-180s'
        GROUP BY ALL
    )
    GROUP BY ALL
),

hours AS (
    SELECT
        cluster,
        node,
        any_value(rack) AS rack,
        sum(in_service_ms) / 86400000.0 AS node_days
    FROM exposure
    WHERE day >= $since AND day < $until
    GROUP BY ALL
),

spent AS (
    SELECT
        incidents.cluster,
        incidents.node,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM gpu_time
    JOIN incidents USING (incident)
    WHERE gpu_time.day >= $since AND gpu_time.day < $until AND NOT is_kept(leaf)
    GROUP BY ALL
)

SELECT
    cluster,
    node,
    rack,
    failures,
    node_days,
    1000 * failures / nullif(node_days, 0) AS per_1000_node_days,
    1000 * poisson_lo(failures) / nullif(node_days, 0) AS per_1000_node_days_lo,
    1000 * poisson_hi(failures) / nullif(node_days, 0) AS per_1000_node_days_hi,
    components,
    coalesce(gpu_ms, 0)::BIGINT AS gpu_ms
FROM broken
LEFT JOIN hours USING (cluster, node)
LEFT JOIN spent USING (cluster, node)
ORDER BY failures DESC, gpu_ms DESC, node, cluster
LIMIT 12
