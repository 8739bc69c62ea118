-- How far the week's numbers can be trusted: one row per measure.
--
--   $since, $until   first day, and the day after the last
--   measure          what was counted
--   value, whole     the count and what it is a part of; whole is null where there is none
--   reading          what to make of it
WITH spent AS (
    SELECT
        coalesce(sum(gpu_ms), 0) / 3.6e6 AS capacity,
        coalesce(sum(gpu_ms) FILTER (WHERE is_allocated(leaf)), 0) / 3.6e6 AS allocated,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf IN ('unknown', 'unobserved')), 0) / 3.6e6
            AS without_evidence,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'not_measured'), 0) / 3.6e6 AS not_measured,
        coalesce(sum(gpu_ms) FILTER (WHERE NOT is_kept(leaf) AND cause = 'Unknown'), 0) / 3.6e6
            AS without_cause
    FROM gpu_time
    WHERE day >= $since AND day < $until
),

stopped AS (
    SELECT
        count(*) FILTER (WHERE NOT planned) AS stops,
        count(*) FILTER (WHERE NOT planned AND incident IS NULL) AS unexplained
    FROM interruptions
    WHERE day >= $since AND day < $until
),

broken AS (
    SELECT
        coalesce(sum(failures), 0) AS failures,
        coalesce(sum(failures) FILTER (WHERE class = 'Unknown'), 0) AS unknown
    FROM failures
    WHERE day >= $since AND day < $until AND definition = 'coalesced-180s'
),

windows AS (
    SELECT
        coalesce(sum(incidents) FILTER (WHERE gap_s = 180), 0) AS at_180_s,
        coalesce(sum(incidents) FILTER (WHERE gap_s = 600), 0) AS at_600_s
    FROM sensitivity
    WHERE day >= $since AND day < $until
),

stamped AS (
    SELECT
        count(*) AS lines,
        count(*) FILTER (WHERE clock IN ('anchored', 'file')) AS guessed
    FROM kernel_events
    WHERE observed_at >= $since::TIMESTAMPTZ AND observed_at < $until::TIMESTAMPTZ
),

held AS (
    SELECT
        count(*) AS nodes,
        count(*) FILTER (WHERE evidence = 'inferred') AS inferred
    FROM fleet
    WHERE
        valid_from < $until::TIMESTAMPTZ
        AND (valid_to IS NULL OR valid_to > $since::TIMESTAMPTZ)
),

arrived AS (
    SELECT
        coalesce(sum(records), 0) AS records,
        coalesce(sum(rejected), 0) AS rejected
    FROM arrivals
),

aside AS (
    SELECT coalesce(sum(samples), 0) AS samples
    FROM unknown_metrics
),

measures AS (
    SELECT
        1 AS place,
        'GPU-hours without evidence' AS measure,
        without_evidence::DOUBLE AS value,
        capacity::DOUBLE AS whole,
        CASE WHEN without_evidence > 0.2 * capacity THEN 'above 20 %: the headline is bounds only' END
            AS reading
    FROM spent
    UNION ALL
    SELECT
        2, 'GPU-hours of jobs without step logs', not_measured, allocated,
        CASE WHEN not_measured > 0 THEN 'their progress cannot be told' END
    FROM spent
    UNION ALL
    SELECT
        3, 'GPU-hours lost to unknown causes', without_cause, capacity, NULL
    FROM spent
    UNION ALL
    SELECT
        4, 'Unplanned stops no incident explains', unexplained, stops,
        CASE WHEN unexplained > 0 THEN 'kept apart as Unknown or by exit state' END
    FROM stopped
    UNION ALL
    SELECT 5, 'Failures of unknown class', unknown, failures, NULL FROM broken
    UNION ALL
    SELECT
        6, 'Incidents at 600 s of silence, of those at 180 s', at_600_s, at_180_s,
        CASE
            WHEN at_600_s < 0.8 * at_180_s THEN 'below 80 %: the rate depends on the window'
            ELSE 'the rate does not hang on the window'
        END
    FROM windows
    UNION ALL
    SELECT
        7, 'Kernel events whose time is a guess', guessed, lines,
        CASE WHEN guessed > 0 THEN 'uptime stamps without a boot time' END
    FROM stamped
    UNION ALL
    SELECT
        8, 'Nodes inferred, not in an inventory', inferred, nodes,
        CASE WHEN inferred > 0 THEN 'their GPU count and first day are lower bounds' END
    FROM held
    UNION ALL
    SELECT
        9, 'Input records refused, ever', rejected, records,
        CASE WHEN rejected > 0 THEN 'listed in rejects with file, line and reason' END
    FROM arrived
    UNION ALL
    SELECT
        10, 'Samples of metrics nobody knows, ever', samples, NULL,
        CASE WHEN samples > 0 THEN 'counted in unknown_metrics by name' END
    FROM aside
)

SELECT
    measure,
    value,
    whole,
    reading
FROM measures
ORDER BY place
