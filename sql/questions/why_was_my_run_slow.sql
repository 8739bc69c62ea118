-- What a run lost, dearest first: one row per incident that cost it time, and per cause without one.
--
--   $run             the run's name; waits, slow steps and every other loss of all its attempts
--   rank             1 is the largest loss
--   gpu_hours        what it took of the run's own GPU time (`run_time`); share: of all of that
--   why              class and component of the incident or of the stop, or what kind of time it was
--   stops            unplanned interruptions of the run that it explains; planned_stops: planned ones
--   stood_h          hours from last progress to first new step, over those stops
--   began, ended     first last progress and last first new step; for losses without a stop the
--                    first and the last day of them
--   leaves           GPU-hours of each leaf, largest first
--   incident, node   which, and where its root was
--   cost, currency   gpu_hours at the price in force when each day began; null where a day has none
--   raw_lines        file:line of the records of its root, of the job records of its stops, or of the
--                    longest steps, saves, waits or evaluations that it is made of; three at most
WITH spent AS (
    SELECT
        run_time.*,
        is_kept(leaf) AS is_slow,
        CASE
            WHEN incident <> '' THEN ''
            WHEN evidence = 'telemetry' AND cause = '' THEN 'telemetry'
            WHEN leaf IN ('slow', 'unknown', 'not_measured', 'data_stall', 'eval_or_custom', 'drain_idle')
                AND cause = '' THEN leaf::VARCHAR
            ELSE cause
        END AS kind,
        price_per_gpu_hour,
        currency
    FROM run_time
    LEFT JOIN prices ON
        valid_from <= day::TIMESTAMP AT TIME ZONE 'UTC'
        AND (valid_to IS NULL OR valid_to > day::TIMESTAMP AT TIME ZONE 'UTC')
    WHERE run = $run::VARCHAR
),

whole AS (
    SELECT sum(gpu_ms) AS gpu_ms FROM spent
),

of_leaves AS (
    SELECT
        incident,
        kind,
        leaf::VARCHAR AS leaf,
        sum(gpu_ms) AS gpu_ms,
        min(day) AS first_day,
        max(day) AS last_day,
        bool_and(price_per_gpu_hour IS NOT NULL) AS is_priced,
        sum(gpu_hours(gpu_ms) * price_per_gpu_hour) AS cost,
        min(currency) AS low_currency,
        max(currency) AS high_currency
    FROM spent
    WHERE leaf NOT IN ('ideal', 'idle', 'spare')
    GROUP BY ALL
),

losses AS (
    SELECT
        incident,
        kind,
        sum(gpu_ms) AS gpu_ms,
        min(first_day) AS first_day,
        max(last_day) AS last_day,
        string_agg(leaf || ' ' || round(gpu_hours(gpu_ms), 1), ', ' ORDER BY gpu_ms DESC, leaf) AS leaves,
        CASE
            WHEN bool_and(is_priced) AND min(low_currency) = max(high_currency) THEN sum(cost)
        END AS cost,
        min(low_currency) AS currency
    FROM of_leaves
    GROUP BY ALL
),

-- Components of a heterogeneous job, 12+0 and 12+1, are one attempt of job 12.
job_records AS (
    SELECT
        cluster,
        split_part(job_id, '+', 1) AS job_id,
        submitted,
        min(file || ':' || line_no) AS record
    FROM job_attempts
    GROUP BY ALL
),

stops AS (
    SELECT
        coalesce(interruptions.incident, '') AS incident,
        CASE
            WHEN interruptions.incident IS NOT NULL THEN ''
            WHEN planned THEN 'Planned'
            ELSE cause::VARCHAR
        END AS kind,
        count(*) FILTER (WHERE NOT planned) AS stops,
        count(*) FILTER (WHERE planned) AS planned_stops,
        sum(epoch(coalesce(resumed_at, decided_at) - failed_at)) / 3600 AS stood_h,
        min(failed_at) AS failed_at,
        max(coalesce(resumed_at, decided_at)) AS resumed_at,
        string_agg(DISTINCT component, ', ' ORDER BY component) AS component,
        list(record ORDER BY failed_at) FILTER (WHERE record IS NOT NULL) AS records
    FROM interruptions
    LEFT JOIN job_records USING (cluster, job_id, submitted)
    WHERE interruptions.run = $run::VARCHAR
    GROUP BY ALL
),

attempts AS (
    SELECT DISTINCT job_id
    FROM run_attempts
    WHERE run = $run::VARCHAR
),

moments AS (
    SELECT
        'slow' AS kind,
        file || ':' || line_no AS record,
        ended - began AS took
    FROM steps
    WHERE run = $run::VARCHAR OR job_id IN (FROM attempts)

    UNION ALL

    SELECT
        'insurance',
        file || ':' || line_no,
        block_ended - began
    FROM checkpoints
    WHERE kind = 'save' AND (run = $run::VARCHAR OR job_id IN (FROM attempts))

    UNION ALL

    SELECT
        CASE kind WHEN 'data_wait' THEN 'data_stall' ELSE 'eval_or_custom' END,
        file || ':' || line_no,
        ended - began
    FROM run_marks
    WHERE kind IN ('data_wait', 'eval') AND (run = $run::VARCHAR OR job_id IN (FROM attempts))

    UNION ALL

    -- Of the start-ups that nobody caused the first attempt's record is the one to look at.
    SELECT
        'start-up',
        record,
        to_microseconds(-epoch_us(submitted))
    FROM job_records
    WHERE job_id IN (FROM attempts)
),

longest AS (
    SELECT
        kind,
        max_by(record, took, 3) AS records
    FROM moments
    WHERE took IS NOT NULL
    GROUP BY kind
),

roots AS (
    SELECT
        incident,
        list(file || ':' || line_no ORDER BY observed_at, file, line_no) AS records
    FROM incident_members
    WHERE role = 'root' AND incident IN (SELECT incident FROM losses)
    GROUP BY incident
)

SELECT
    row_number() OVER (ORDER BY losses.gpu_ms DESC, losses.incident, losses.kind) AS rank,
    gpu_hours(losses.gpu_ms) AS gpu_hours,
    losses.gpu_ms / whole.gpu_ms AS share,
    CASE
        WHEN losses.incident <> '' THEN incidents.class::VARCHAR || ': ' || incidents.component
        WHEN stops.component IS NOT NULL THEN losses.kind || ': ' || stops.component
        ELSE CASE losses.kind
            WHEN '' THEN 'waits that nothing explains'
            WHEN 'insurance' THEN 'checkpoints that blocked'
            WHEN 'slow' THEN 'steps slower than ideal'
            WHEN 'elastic' THEN 'steps dearer on fewer GPUs'
            WHEN 'start-up' THEN 'first start: queue, launch, initialisation'
            WHEN 'data_stall' THEN 'waits for data'
            WHEN 'eval_or_custom' THEN 'evaluation and other events'
            WHEN 'drain_idle' THEN 'held after the end of training'
            WHEN 'telemetry' THEN 'GPUs that stood idle, as their own samples tell'
            WHEN 'unknown' THEN 'unknown: no log tells of it'
            WHEN 'not_measured' THEN 'not measured: no steps are logged'
            ELSE losses.kind
        END
    END AS why,
    coalesce(stops, 0) AS stops,
    coalesce(planned_stops, 0) AS planned_stops,
    round(stood_h, 2) AS stood_h,
    coalesce(failed_at, first_day::TIMESTAMP AT TIME ZONE 'UTC') AS began,
    coalesce(resumed_at, last_day::TIMESTAMP AT TIME ZONE 'UTC') AS ended,
    leaves,
    nullif(losses.incident, '') AS incident,
    incidents.node,
    cost,
    CASE WHEN cost IS NOT NULL THEN currency END AS currency,
    list_slice(coalesce(roots.records, stops.records, longest.records), 1, 3) AS raw_lines
FROM losses
CROSS JOIN whole
LEFT JOIN stops USING (incident, kind)
LEFT JOIN roots USING (incident)
LEFT JOIN longest ON losses.kind = longest.kind AND losses.incident = ''
LEFT JOIN incidents USING (incident)
ORDER BY rank
