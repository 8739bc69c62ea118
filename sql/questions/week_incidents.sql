-- The dearest incidents: one row per incident that took GPU time, dearest first.
--
--   $since, $until   first day, and the day after the last
--   incident         its id; `incident_members` lists every raw line behind it
--   began            its first event
--   class, component, root_code, severity, node   what and where
--   runs             runs it took time from
--   gpu_ms           GPU-milliseconds it took in those days
--   evidence         raw file and line of its root event
WITH spent AS (
    SELECT
        incident,
        string_agg(DISTINCT nullif(run, ''), ', ' ORDER BY nullif(run, '')) AS runs,
        sum(gpu_ms)::BIGINT AS gpu_ms
    FROM gpu_time
    WHERE day >= $since AND day < $until AND incident <> '' AND NOT is_kept(leaf)
    GROUP BY incident
),

evidence AS (
    SELECT
        incident,
        min_by(file || ':' || line_no, (role <> 'root', observed_at, file, line_no)) AS evidence
    FROM incident_members
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
    runs,
    gpu_ms,
    evidence
FROM spent
JOIN incidents USING (incident)
LEFT JOIN evidence USING (incident)
ORDER BY gpu_ms DESC, incident
LIMIT 12
