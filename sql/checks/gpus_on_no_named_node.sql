-- Jobs that held GPUs on fewer named nodes than they counted: dump the whole NodeList. What they
-- held elsewhere is in run_time, and in no node's exposure nor in gpu_time.
SELECT
    cluster,
    job_id,
    submitted,
    gpus,
    node_count,
    coalesce(len(list_distinct(nodes)), 0) AS named,
    file,
    line_no
FROM job_attempts
WHERE
    started IS NOT NULL
    AND (ended IS NULL OR ended > started)
    AND gpus > 0
    AND coalesce(len(list_distinct(nodes)), 0) < greatest(coalesce(node_count, 0), 1)
ORDER BY cluster, job_id, submitted
