-- Days on which the GPU-time ledger and the fleet's capacity differ, in GPU-milliseconds: every
-- one must have exactly one home (methods G-1).
WITH ledger AS (
    SELECT
        day,
        cluster,
        sum(gpu_ms)::BIGINT AS ledger_gpu_ms,
        count(*) FILTER (WHERE gpu_ms < 0) AS negative_rows
    FROM gpu_time
    GROUP BY ALL
),

capacity AS (
    SELECT
        day,
        cluster,
        sum(gpu_capacity_ms)::BIGINT AS capacity_gpu_ms
    FROM exposure
    GROUP BY ALL
)

SELECT
    day,
    cluster,
    coalesce(ledger_gpu_ms, 0) AS ledger_gpu_ms,
    coalesce(capacity_gpu_ms, 0) AS capacity_gpu_ms,
    coalesce(negative_rows, 0) AS negative_rows
FROM ledger
FULL JOIN capacity USING (day, cluster)
WHERE
    coalesce(ledger_gpu_ms, 0) <> coalesce(capacity_gpu_ms, 0)
    OR coalesce(negative_rows, 0) > 0
ORDER BY ALL
