-- Attempts that nobody ended although a later attempt of the same job began: the record of the end
-- is missing (a pod deleted between two dumps takes its end with it), and until it comes they hold
-- their GPUs on. Export Kubernetes pods with --watch --output-watch-events, or name the days that
-- were watched.
WITH later AS (
    SELECT
        cluster,
        job_id,
        submitted,
        state,
        gpus,
        started,
        ended,
        file,
        line_no,
        lead(submitted) OVER (PARTITION BY cluster, job_id ORDER BY submitted) AS next_submitted
    FROM job_attempts
)

SELECT
    cluster,
    job_id,
    submitted,
    state,
    gpus,
    next_submitted,
    file,
    line_no
FROM later
WHERE started IS NOT NULL AND ended IS NULL AND next_submitted IS NOT NULL
ORDER BY cluster, job_id, submitted
