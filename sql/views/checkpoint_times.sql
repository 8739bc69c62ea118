-- How long checkpoints took and how fast they were stored (methods C-8): one row per run and kind.
--
--   cluster, run, kind   which run; save, or restore
--   attempts             saves or restores that began
--   failed               reported failed, or never let training go on
--   failed_per_1000      of 1000 attempts, with exact 95 % limits _lo and _hi (Garwood)
--   block_p50_s, _p90_s, _p99_s     training stood still (s); of those that let it go on
--   durable, durable_p50_s, _p90_s, _p99_s   saves known to be safe, and how long after their begin
--                        (s); a save without a mark of that is not among them
--   slow_share           of the durable ones, those that took more than twice the median
--   bytes_per_s_p5, _p50, _p95      size over that time; of durable saves of known size, and of
--                        restores over the time they blocked
WITH timed AS (
    SELECT
        cluster,
        run,
        kind::VARCHAR AS kind,
        NOT ok OR block_ended IS NULL AS has_failed,
        (epoch_us(block_ended) - epoch_us(began)) / 1e6 AS block_s,
        CASE WHEN ok THEN (epoch_us(durable_at) - epoch_us(began)) / 1e6 END AS durable_s,
        bytes
    FROM checkpoints
),

paced AS (
    SELECT
        *,
        bytes / nullif(
            CASE WHEN kind = 'save' THEN durable_s WHEN NOT has_failed THEN block_s END, 0
        ) AS bytes_per_s,
        median(durable_s) OVER (PARTITION BY cluster, run, kind) AS usual_s
    FROM timed
),

summary AS (
    SELECT
        cluster,
        run,
        kind,
        count(*) AS attempts,
        count(*) FILTER (WHERE has_failed) AS failed,
        quantile_cont(block_s, [0.5, 0.9, 0.99]) AS block,
        count(durable_s) AS durable,
        quantile_cont(durable_s, [0.5, 0.9, 0.99]) AS safe,
        count(*) FILTER (WHERE durable_s > 2 * usual_s) AS slow,
        quantile_cont(bytes_per_s, [0.05, 0.5, 0.95]) AS pace
    FROM paced
    GROUP BY ALL
)

SELECT
    cluster,
    run,
    kind,
    attempts,
    failed,
    1000 * failed / attempts AS failed_per_1000,
    1000 * poisson_lo(failed) / attempts AS failed_per_1000_lo,
    1000 * poisson_hi(failed) / attempts AS failed_per_1000_hi,
    block[1] AS block_p50_s,
    block[2] AS block_p90_s,
    block[3] AS block_p99_s,
    durable,
    safe[1] AS durable_p50_s,
    safe[2] AS durable_p90_s,
    safe[3] AS durable_p99_s,
    slow / nullif(durable, 0) AS slow_share,
    pace[1] AS bytes_per_s_p5,
    pace[2] AS bytes_per_s_p50,
    pace[3] AS bytes_per_s_p95
FROM summary
ORDER BY cluster, run, kind
