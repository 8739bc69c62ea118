-- The headline of a stretch of days: one row.
--
--   $since, $until        first day, and the day after the last
--   days, nodes           days with exposure; nodes commissioned
--   *_gpu_ms              GPU-milliseconds: the fleet's capacity and what became of it
--   failure_gpu_ms        taken by unplanned failures (methods G-7)
--   failures, node_days   counted incidents; in-service node-days
--   failures_lo, _hi      exact 95 % limits of the count (Garwood)
--   interruptions         unplanned stops of runs; planned_stops the others
--   price, currency       per GPU-hour, in force on the last day; null when not set
WITH spent AS (
    SELECT
        coalesce(sum(gpu_ms), 0)::BIGINT AS capacity_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_allocated(leaf)), 0)::BIGINT AS allocated_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_kept(leaf)), 0)::BIGINT AS kept_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'ideal'), 0)::BIGINT AS ideal_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'not_measured'), 0)::BIGINT
            AS not_measured_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('unknown', 'unobserved')), 0)::BIGINT
            AS unknown_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_failure_loss(leaf, cause)), 0)::BIGINT
            AS failure_gpu_ms
    FROM gpu_time
    WHERE day >= $since AND day < $until
),

hours AS (
    SELECT
        count(DISTINCT day) AS days,
        count(DISTINCT (cluster, node)) AS nodes,
        coalesce(sum(in_service_ms), 0) / 86400000.0 AS node_days
    FROM exposure
    WHERE day >= $since AND day < $until
),

broken AS (
    SELECT coalesce(sum(failures), 0)::UBIGINT AS failures
    FROM failures
    WHERE day >= $since AND day < $until AND definition = 'coalesced-180s'
),

stopped AS (
    SELECT
        count(*) FILTER (WHERE NOT planned) AS interruptions,
        count(*) FILTER (WHERE planned) AS planned_stops
    FROM interruptions
    WHERE day >= $since AND day < $until
),

priced AS (
    SELECT
        max_by(price_per_gpu_hour, valid_from) AS price,
        max_by(currency, valid_from) AS currency
    FROM prices
    WHERE valid_from < $until::TIMESTAMPTZ AND (valid_to IS NULL OR valid_to >= $until::TIMESTAMPTZ)
)

SELECT
    spent.*,
    hours.*,
    failures,
    poisson_lo(failures) AS failures_lo,
    poisson_hi(failures) AS failures_hi,
    interruptions,
    planned_stops,
    price,
    currency
FROM spent, hours, broken, stopped, priced
