-- Days and halls whose part of the GPU-time ledger is not what the nodes there could give, in
-- GPU-milliseconds. Left out are days on which a node of the cluster moved or changed: `exposure`
-- puts such a node's whole day where it stood last.
WITH moved AS (
    SELECT
        cluster,
        make_timestamp(epoch_us(valid_from))::DATE AS day
    FROM fleet
    QUALIFY row_number() OVER (PARTITION BY cluster, node ORDER BY valid_from) > 1
),

ledger AS (
    SELECT
        day,
        cluster,
        provider,
        hall,
        sum(gpu_ms)::BIGINT AS ledger_gpu_ms
    FROM gpu_time
    GROUP BY ALL
),

capacity AS (
    SELECT
        day,
        cluster,
        coalesce(provider, '') AS provider,
        coalesce(hall, '') AS hall,
        sum(gpu_capacity_ms)::BIGINT AS capacity_gpu_ms
    FROM exposure
    GROUP BY ALL
)

SELECT
    day,
    cluster,
    provider,
    hall,
    coalesce(ledger_gpu_ms, 0) AS ledger_gpu_ms,
    coalesce(capacity_gpu_ms, 0) AS capacity_gpu_ms
FROM ledger
FULL JOIN capacity USING (day, cluster, provider, hall)
ANTI JOIN moved USING (day, cluster)
WHERE coalesce(ledger_gpu_ms, 0) <> coalesce(capacity_gpu_ms, 0)
ORDER BY ALL
