-- Records more than 60 days before or after the others: a drain left open for years, or a clock
-- never set. Days between them count as watched and thin out every rate: name the days that
-- were, observed_from and observed_until in settings.toml.
WITH seen AS (
    SELECT 'job_attempts' AS "table", file, unnest([submitted, started, ended]) AS stamp
    FROM job_attempts
    UNION ALL
    SELECT 'node_states', file, unnest([began, ended]) FROM node_states
    UNION ALL
    SELECT 'outages', file, unnest([began, ended]) FROM outages
    UNION ALL
    SELECT 'kernel_events', file, observed_at FROM kernel_events
    UNION ALL
    SELECT 'steps', file, began FROM steps
    UNION ALL
    SELECT 'run_marks', file, began FROM run_marks
),

derived AS (
    SELECT
        min(day)::TIMESTAMPTZ AS since,
        max(day)::TIMESTAMPTZ + INTERVAL 1 DAY AS until
    FROM exposure
),

days AS (
    SELECT
        "table",
        file,
        date_trunc('day', stamp) AS day,
        count(*) AS instants
    FROM seen, derived
    WHERE stamp >= since AND stamp < until
    GROUP BY ALL
),

gaps AS (
    SELECT
        day,
        day - lag(day) OVER (ORDER BY day) AS silence
    FROM (SELECT DISTINCT day FROM days) AS distinct_days
),

parts AS (
    SELECT
        day,
        sum(coalesce(silence > INTERVAL 60 DAY, false)::INTEGER) OVER (ORDER BY day) AS part
    FROM gaps
),

sizes AS (
    SELECT
        part,
        sum(instants) AS size
    FROM days
    JOIN parts USING (day)
    GROUP BY part
)

SELECT
    "table",
    file,
    min(day) AS first_day,
    max(day) AS last_day,
    sum(instants)::BIGINT AS instants
FROM days
JOIN parts USING (day)
JOIN sizes USING (part)
WHERE part <> (SELECT arg_max(part, size) FROM sizes)
GROUP BY "table", file
ORDER BY first_day, "table", file
