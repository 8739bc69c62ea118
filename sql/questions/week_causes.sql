-- What stopped runs and what it cost: one row per cause, dearest first.
--
--   $since, $until     first day, and the day after the last
--   cause              class of the cause (methods 2.2)
--   interruptions      stops of runs put down to it
--   share              of all stops in those days
--   gpu_ms             GPU-milliseconds it owns (hang, decide, waits, init, restore, lost steps)
--   median_minutes     from last progress to the first new step; null when none resumed
WITH stopped AS (
    SELECT
        cause::VARCHAR AS cause,
        count(*) AS interruptions,
        median(epoch(resumed_at - failed_at) / 60) AS median_minutes
    FROM interruptions
    WHERE day >= $since AND day < $until
    GROUP BY ALL
),

spent AS (
    SELECT
        cause,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM gpu_time
    WHERE
        day >= $since AND day < $until
        AND cause NOT IN ('', 'insurance', 'start-up')
        AND NOT is_kept(leaf)
    GROUP BY cause
)

SELECT
    cause,
    coalesce(interruptions, 0) AS interruptions,
    coalesce(interruptions, 0) / nullif(sum(coalesce(interruptions, 0)) OVER (), 0) AS share,
    coalesce(gpu_ms, 0)::BIGINT AS gpu_ms,
    median_minutes
FROM stopped
FULL JOIN spent USING (cause)
ORDER BY gpu_ms DESC, cause
