-- Failure rates by ISO week: one row per week, cluster, class that failed in it, clock and
-- definition, and 'all' for every week.
--
--   week                      Monday of the ISO week (UTC); a week still running counts so far
--   cluster                   scheduler cluster
--   class                     failure class (methods 2.2); 'all' is the total, each failure once
--   clock                     what the rate is per: wall (commissioned), in_service (and in no
--                             excluded state) or allocated (held by a job)
--   definition                what counts as one failure: coalesced-180s, and as-recorded where a
--                             cluster's outages were recorded (methods R-15)
--   failures                  failures that began then; the same on every clock
--   node_days                 whole exposure of the unit on that clock (days), the same for every
--                             class: never sum it over classes
--   per_1000_node_days        failures per 1000 node-days, with exact two-sided 95 % limits _lo and
--                             _hi (Garwood, fixed window); null without exposure
--   mtbf_hours                one node's mean time between failures (h), with limits _lo and _hi;
--                             without a failure it and _hi are null, and _lo is the bound: the
--                             same two-sided limit, node-hours / 3.689
WITH hours AS (
    SELECT
        iso_week(day) AS week,
        cluster,
        sum(wall_ms) AS wall,
        sum(in_service_ms) AS in_service,
        sum(allocated_ms) AS allocated
    FROM exposure
    GROUP BY ALL
),

clocks AS (
    SELECT unnest(['wall', 'in_service', 'allocated']) AS clock
),

exposed AS (
    SELECT
        week,
        cluster,
        clock,
        node_days(ms) AS node_days
    FROM hours
    UNPIVOT (ms FOR clock IN (wall, in_service, allocated))
),

broken AS (
    SELECT
        iso_week(day) AS week,
        cluster,
        definition::VARCHAR AS definition,
        CASE WHEN grouping(class) = 1 THEN 'all' ELSE class::VARCHAR END AS class,
        sum(failures)::UBIGINT AS failures
    FROM failures
    GROUP BY GROUPING SETS (
        (week, cluster, definition),
        (week, cluster, definition, class)
    )
),

units AS (
    SELECT week, cluster FROM hours
    UNION
    SELECT week, cluster FROM broken
),

-- A definition is answered for a whole cluster or not at all: no recorded outage means that
-- nobody recorded outages there, not that none happened.
definitions AS (
    SELECT cluster, 'coalesced-180s' AS definition FROM units
    UNION
    SELECT cluster, definition FROM broken
),

counts AS (
    SELECT
        week,
        cluster,
        definition,
        'all' AS class,
        coalesce(failures, 0)::UBIGINT AS failures
    FROM units
    JOIN definitions USING (cluster)
    LEFT JOIN (FROM broken WHERE class = 'all') USING (week, cluster, definition)
    UNION ALL
    SELECT
        week,
        cluster,
        definition,
        class,
        failures
    FROM broken
    WHERE class <> 'all'
)

SELECT
    week,
    cluster,
    class,
    clock,
    definition,
    failures,
    coalesce(node_days, 0) AS node_days,
    per_1000_node_days(failures, node_days) AS per_1000_node_days,
    per_1000_node_days(poisson_lo(failures), node_days) AS per_1000_node_days_lo,
    per_1000_node_days(poisson_hi(failures), node_days) AS per_1000_node_days_hi,
    mtbf_hours(node_days, failures) AS mtbf_hours,
    mtbf_hours(node_days, poisson_hi(failures)) AS mtbf_hours_lo,
    mtbf_hours(node_days, poisson_lo(failures)) AS mtbf_hours_hi
FROM counts
CROSS JOIN clocks
LEFT JOIN exposed USING (week, cluster, clock)
ORDER BY week, cluster, definition, clock, class <> 'all', class
