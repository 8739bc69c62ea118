-- Attempts with nodes and an end but no start: their GPU time cannot be counted.
SELECT
    cluster,
    job_id,
    submitted,
    state,
    file,
    line_no
FROM job_attempts
WHERE started IS NULL AND ended IS NOT NULL AND coalesce(len(nodes), 0) > 0
ORDER BY cluster, job_id, submitted
