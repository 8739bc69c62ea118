-- Runs whose ledger holds more or less GPU time than the scheduler gave them, in
-- GPU-milliseconds. Only runs that are over and lie wholly within the derived days.
WITH held AS (
    SELECT
        cluster,
        run,
        sum(gpus * (epoch_ms(ended) - epoch_ms(started)))::BIGINT AS held_gpu_ms,
        epoch_ms(min(started)) AS from_ms,
        epoch_ms(max(ended)) AS until_ms
    FROM run_attempts
    WHERE started IS NOT NULL
    GROUP BY cluster, run
    HAVING bool_and(ended IS NOT NULL)
),

derived AS (
    SELECT
        epoch_ms(min(day)::TIMESTAMP) AS since_ms,
        epoch_ms(max(day)::TIMESTAMP) + 86400000 AS before_ms
    FROM exposure
),

ledger AS (
    SELECT
        cluster,
        run,
        sum(gpu_ms)::BIGINT AS ledger_gpu_ms
    FROM run_time
    -- Within an allocation, too, GPUs may be spare, or wait for repair as the training's starts or
    -- the GPUs' own samples tell.
    WHERE
        is_allocated(leaf)
        OR leaf = 'spare'
        OR (leaf = 'repair_wait' AND evidence IN ('marks', 'telemetry'))
    GROUP BY ALL
)

SELECT
    cluster,
    run,
    held_gpu_ms,
    coalesce(ledger_gpu_ms, 0) AS ledger_gpu_ms
FROM held
JOIN derived ON from_ms >= since_ms AND until_ms <= before_ms
LEFT JOIN ledger USING (cluster, run)
WHERE held_gpu_ms <> coalesce(ledger_gpu_ms, 0)
ORDER BY ALL
