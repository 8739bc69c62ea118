-- What stops runs, and what that takes from them: one row per cause, component and whether it was
-- planned, most frequent first.
--
--   cause, component     class and kind of the cause (methods 2.2)
--   planned              ended on purpose: time limit, cancel, preemption, code change
--   interruptions        stops of runs
--   share                of all stops
--   gpu_ms, gpu_hours    GPU time of the fleet that these stops own: hang, decision, waits, restart
--                        and lost steps (methods G-7). Exact by cause; between two components of
--                        one cause in one run a day's time goes to the later stop
--   median_minutes       from last progress to the first new step; over the stops that were
--                        followed by one, `resumed` many
WITH stops AS (
    SELECT
        cluster,
        run,
        failed_at,
        failed_at::TIMESTAMPTZ AT TIME ZONE 'UTC' AS failed_utc,
        cause::VARCHAR AS cause,
        component,
        planned,
        -- The name under which the ledger keeps its time.
        CASE
            WHEN second_order_of IS NOT NULL THEN 'second-order'
            WHEN planned THEN 'Planned'
            ELSE cause::VARCHAR
        END AS owner,
        coalesce(second_order_of, incident, '') AS incident,
        resumed_at
    FROM interruptions
),

spent AS (
    SELECT
        cluster,
        run,
        cause AS owner,
        incident,
        day::TIMESTAMP AS day_utc,
        day::TIMESTAMP + INTERVAL 1 DAY AS day_ends_utc,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM gpu_time
    WHERE run <> '' AND cause NOT IN ('', 'insurance', 'start-up')
    GROUP BY ALL
),

-- Most of what a stop takes comes after it; the steps that it discards came before.
earlier AS (
    SELECT
        spent.*,
        stops.cause,
        component,
        planned
    FROM spent
    ASOF LEFT JOIN stops ON
        spent.cluster = stops.cluster
        AND spent.run = stops.run
        AND spent.owner = stops.owner
        AND spent.incident = stops.incident
        AND day_ends_utc > failed_utc
),

matched AS (
    SELECT
        coalesce(earlier.cause, stops.cause, earlier.owner) AS cause,
        coalesce(earlier.component, stops.component, 'unknown') AS component,
        coalesce(earlier.planned, stops.planned, earlier.owner = 'Planned') AS planned,
        gpu_ms
    FROM earlier
    ASOF LEFT JOIN stops ON
        earlier.cluster = stops.cluster
        AND earlier.run = stops.run
        AND earlier.owner = stops.owner
        AND earlier.incident = stops.incident
        AND day_utc <= failed_utc
),

taken AS (
    SELECT
        cause,
        component,
        planned,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM matched
    GROUP BY ALL
),

counted AS (
    SELECT
        cause,
        component,
        planned,
        count(*) AS interruptions,
        count(resumed_at) AS resumed,
        median(epoch(resumed_at - failed_at) / 60) AS median_minutes
    FROM stops
    GROUP BY ALL
)

SELECT
    cause,
    component,
    planned,
    coalesce(interruptions, 0) AS interruptions,
    coalesce(interruptions, 0) / nullif(sum(interruptions) OVER (), 0) AS share,
    coalesce(gpu_ms, 0) AS gpu_ms,
    gpu_hours(coalesce(gpu_ms, 0)) AS gpu_hours,
    median_minutes,
    coalesce(resumed, 0) AS resumed
FROM counted
FULL JOIN taken USING (cause, component, planned)
ORDER BY interruptions DESC, gpu_ms DESC, cause, component, planned
