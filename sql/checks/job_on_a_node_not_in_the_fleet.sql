-- Jobs that held a node before the inventory says it came, or after it says it left: that time
-- is in no exposure. Attempts that began or ended outside every validity of their node.
WITH held AS (
    SELECT
        cluster,
        job_id,
        submitted,
        started,
        ended,
        unnest(nodes) AS node
    FROM run_attempts
    WHERE started IS NOT NULL
),

inside AS (
    SELECT
        held.cluster,
        job_id,
        submitted,
        held.node,
        bool_or(
            started >= valid_from AND (valid_to IS NULL OR started < valid_to)
        ) AS began_inside,
        bool_or(
            ended IS NULL OR ended > valid_from AND (valid_to IS NULL OR ended <= valid_to)
        ) AS ended_inside
    FROM held
    JOIN fleet ON fleet.cluster = held.cluster AND fleet.node = held.node
    GROUP BY ALL
)

SELECT
    cluster,
    job_id,
    submitted,
    node,
    started,
    ended
FROM held
LEFT JOIN inside USING (cluster, job_id, submitted, node)
WHERE NOT coalesce(began_inside AND (ended_inside OR ended = started), false)
ORDER BY ALL
