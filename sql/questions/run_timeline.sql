-- What happened to the week's largest logging runs: one row per stretch or moment, in time order.
--
--   $since, $until   first day, and the day after the last
--   run              one of the three runs with the most GPU time
--   what             attempt, lost steps, stopped (last progress to first new step), or checkpoint
--   began, ended     the stretch, clipped to those days; equal for a checkpoint (when durable)
--   note             final state of an attempt, cause of a stop, count of lost steps
WITH largest AS (
    SELECT
        cluster,
        run
    FROM run_time
    WHERE day >= $since AND day < $until
    GROUP BY ALL
    HAVING count(*) FILTER (WHERE is_kept(leaf)) > 0
    ORDER BY sum(gpu_ms) DESC, run
    LIMIT 3
),

stops AS (
    SELECT
        interruptions.*,
        run_attempts.started
    FROM interruptions
    JOIN largest USING (cluster, run)
    JOIN run_attempts USING (cluster, job_id, submitted)
),

stretches AS (
    SELECT
        run,
        'attempt' AS what,
        started AS began,
        coalesce(ended, $until::TIMESTAMPTZ) AS ended,
        state AS note
    FROM run_attempts
    JOIN largest USING (cluster, run)
    WHERE started IS NOT NULL

    UNION ALL

    SELECT
        run,
        'stopped',
        failed_at,
        coalesce(resumed_at, decided_at),
        cause::VARCHAR || ': ' || component
    FROM stops

    UNION ALL

    SELECT
        stops.run,
        'lost steps',
        min(steps.began),
        max(steps.ended),
        count(*)::VARCHAR
    FROM stops
    JOIN steps ON
        steps.run = stops.run
        AND steps.began >= stops.started
        AND steps.began < stops.failed_at
        AND steps.step >= stops.lost_from_step
    GROUP BY stops.run, stops.failed_at

    UNION ALL

    SELECT
        run,
        'checkpoint',
        durable_at,
        durable_at,
        'step ' || step
    FROM checkpoints
    JOIN largest USING (run)
    WHERE kind = 'save' AND durable_at IS NOT NULL
)

SELECT
    run,
    what,
    greatest(began, $since::TIMESTAMPTZ) AS began,
    least(ended, $until::TIMESTAMPTZ) AS ended,
    note
FROM stretches
WHERE began < $until::TIMESTAMPTZ AND ended >= $since::TIMESTAMPTZ
ORDER BY run, began, what
