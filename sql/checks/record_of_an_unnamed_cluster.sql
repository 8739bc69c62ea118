-- Records that name no cluster in a lake of several: give --cluster when such a file is ingested.
WITH found AS (
    SELECT cluster, 'job_attempts' AS "table", file FROM job_attempts
    UNION ALL
    SELECT cluster, 'node_states', file FROM node_states
    UNION ALL
    SELECT cluster, 'kernel_events', file FROM kernel_events
    UNION ALL
    SELECT cluster, 'nodes', file FROM nodes
    UNION ALL
    SELECT cluster, 'outages', file FROM outages
    UNION ALL
    SELECT cluster, 'steps', file FROM steps
)

SELECT
    "table",
    file,
    count(*) AS records
FROM found
WHERE cluster = '' AND (SELECT count(DISTINCT cluster) FROM found WHERE cluster <> '') > 1
GROUP BY "table", file
ORDER BY records DESC, file
