-- Failure rates by class: one row per class that failed, and 'all' first.
--
--   $since, $until             first day, and the day after the last
--   class                      class of the failures; 'all' counts each incident once
--   failures                   counted incidents under the definition below
--   node_days                  in-service node-days of the whole fleet
--   per_1000_node_days, _lo, _hi   rate with its exact 95 % interval (Garwood, fixed window)
--   clock, definition          what the rate is per, and what counts as a failure (methods R-15)
WITH hours AS (
    SELECT coalesce(sum(in_service_ms), 0) / 86400000.0 AS node_days
    FROM exposure
    WHERE day >= $since AND day < $until
),

broken AS (
    SELECT
        CASE WHEN grouping(class) = 1 THEN 'all' ELSE class::VARCHAR END AS class,
        coalesce(sum(failures), 0)::UBIGINT AS failures
    FROM failures
    WHERE day >= $since AND day < $until AND definition = 'coalesced-180s'
    GROUP BY ROLLUP (class)
)

SELECT
    class,
    failures,
    node_days,
    1000 * failures / nullif(node_days, 0) AS per_1000_node_days,
    1000 * poisson_lo(failures) / nullif(node_days, 0) AS per_1000_node_days_lo,
    1000 * poisson_hi(failures) / nullif(node_days, 0) AS per_1000_node_days_hi,
    'in_service' AS clock,
    'coalesced-180s' AS definition
FROM broken, hours
ORDER BY class <> 'all', failures DESC, class
