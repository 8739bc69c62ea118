-- What each incident took: one row per incident that owns GPU time (methods G-6, G-7), dearest
-- first. Each GPU-millisecond has one owner, so rows add up.
--
--   incident                   its id; `incident_members` lists every raw line behind it
--   began, class, component, root_code, severity, node   when, what and where
--   interruptions              runs' stops that it explains
--   lost_steps_gpu_ms          steps run and then discarded (GPU-ms)
--   hang_gpu_ms                stopped but not noticed, then noticed but not acted upon
--   waits_gpu_ms               GPUs that stood still for a run that waited to go on
--   restart_gpu_ms             init, restore and everything else up to the first new step
--   down_gpu_ms                free GPUs of the nodes that it took out of service
--   gpu_ms, gpu_hours          all of it, in the fleet's own GPU time
--   run_gpu_ms                 its cost to the runs alone: waits x the GPUs asked for, whoever used
--                              them meanwhile, and no nodes out of service
--   cost, currency             gpu_hours at the price in force when each day began; null where any
--                              of the days has no price
WITH priced AS (
    SELECT
        gpu_time.*,
        price_per_gpu_hour,
        currency
    FROM gpu_time
    LEFT JOIN prices ON
        valid_from <= day::TIMESTAMP AT TIME ZONE 'UTC'
        AND (valid_to IS NULL OR valid_to > day::TIMESTAMP AT TIME ZONE 'UTC')
    WHERE incident <> ''
),

spent AS (
    SELECT
        incident,
        sum(gpu_ms)::BIGINT AS gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'step_lost'), 0)::BIGINT AS lost_steps_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('hang', 'decide')), 0)::BIGINT AS hang_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('queue_wait', 'repair_wait')), 0)::BIGINT
            AS waits_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('down', 'maintenance', 'unobserved')), 0)::BIGINT
            AS down_gpu_ms,
        CASE
            WHEN bool_and(price_per_gpu_hour IS NOT NULL) AND count(DISTINCT currency) = 1
                THEN sum(gpu_hours(gpu_ms) * price_per_gpu_hour)
        END AS cost,
        min(currency) AS currency
    FROM priced
    GROUP BY incident
),

of_runs AS (
    SELECT
        incident,
        sum(gpu_ms)::BIGINT AS run_gpu_ms
    FROM run_time
    WHERE incident <> ''
    GROUP BY incident
),

stopped AS (
    SELECT
        incident,
        count(*) AS interruptions
    FROM interruptions
    WHERE incident IS NOT NULL
    GROUP BY incident
)

SELECT
    incident,
    began,
    class::VARCHAR AS class,
    component,
    root_code,
    severity::VARCHAR AS severity,
    node,
    coalesce(interruptions, 0) AS interruptions,
    lost_steps_gpu_ms,
    hang_gpu_ms,
    waits_gpu_ms,
    gpu_ms - lost_steps_gpu_ms - hang_gpu_ms - waits_gpu_ms - down_gpu_ms AS restart_gpu_ms,
    down_gpu_ms,
    gpu_ms,
    gpu_hours(gpu_ms) AS gpu_hours,
    coalesce(run_gpu_ms, 0) AS run_gpu_ms,
    cost,
    CASE WHEN cost IS NOT NULL THEN currency END AS currency
FROM spent
JOIN incidents USING (incident)
LEFT JOIN of_runs USING (incident)
LEFT JOIN stopped USING (incident)
ORDER BY gpu_ms DESC, incident
