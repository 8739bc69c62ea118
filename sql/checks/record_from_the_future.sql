-- Records stamped more than a day after they arrived: a clock runs ahead, or a year was guessed.
WITH stamped AS (
    SELECT 'kernel_events' AS "table", file, observed_at AS stamp FROM kernel_events
    UNION ALL
    SELECT 'node_states', file, began FROM node_states
    UNION ALL
    SELECT 'job_attempts', file, submitted FROM job_attempts
    UNION ALL
    SELECT 'outages', file, began FROM outages
    UNION ALL
    SELECT 'steps', file, ended FROM steps
    UNION ALL
    SELECT 'run_marks', file, began FROM run_marks
),

arrived AS (
    SELECT
        file,
        max(first_seen) AS first_seen
    FROM arrivals
    GROUP BY file
)

SELECT
    "table",
    file,
    count(*) AS records,
    max(stamp) AS latest,
    any_value(first_seen) AS arrived
FROM stamped
JOIN arrived USING (file)
WHERE stamp > first_seen + INTERVAL 1 DAY
GROUP BY "table", file
ORDER BY records DESC, file
