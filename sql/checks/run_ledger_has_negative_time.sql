-- Rows of a ledger with less than no time: a leaf of the GPU-time tree can be empty, never
-- negative (methods G-1).
SELECT
    'gpu_time' AS ledger,
    day,
    cluster,
    run,
    leaf::VARCHAR AS leaf,
    gpu_ms
FROM gpu_time
WHERE gpu_ms < 0

UNION ALL

SELECT
    'run_time',
    day,
    cluster,
    run,
    leaf::VARCHAR,
    gpu_ms
FROM run_time
WHERE gpu_ms < 0
ORDER BY ALL
