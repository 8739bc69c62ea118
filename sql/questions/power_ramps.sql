-- How the GPUs' power swings, hour by hour (methods D-9): one row per cluster and hour.
--
--   $since, $until         first day, and the day after the last
--   gpus, interval_s       GPUs that told their power, and the mean time between their samples:
--                          a ramp faster than that is not seen
--   power_p50_w, _p95_w, _p99_w, peak_w   of the sum over GPUs, minute by minute; a minute that
--                          tells of fewer than nine tenths of the hour's GPUs is left out
--   ramp_up_w, ramp_down_w largest change from one minute to the next, over GPUs told in both:
--                          a GPU that falls silent is no drop
--   swings                 such changes beyond a tenth of the cluster's peak of all hours asked
WITH minutes AS (
    SELECT
        cluster,
        node,
        gpu,
        time_bucket(INTERVAL 1 MINUTE, observed_at) AS minute,
        avg(power_w) AS power_w,
        count(*) AS samples
    FROM gpu_samples
    WHERE
        power_w IS NOT NULL
        AND gpu_instance = ''
        AND observed_at >= $since::TIMESTAMPTZ AND observed_at < $until::TIMESTAMPTZ
    GROUP BY ALL
),

steps AS (
    SELECT
        *,
        CASE
            WHEN lag(minute) OVER each_gpu = minute - INTERVAL 1 MINUTE
                THEN power_w - lag(power_w) OVER each_gpu
        END AS change_w
    FROM minutes
    WINDOW each_gpu AS (PARTITION BY cluster, node, gpu ORDER BY minute)
),

site AS (
    SELECT
        cluster,
        minute,
        date_trunc('hour', minute) AS hour_at,
        count(*) AS gpus,
        sum(samples) AS samples,
        sum(power_w) AS power_w,
        sum(change_w) AS change_w
    FROM steps
    GROUP BY ALL
),

whole AS (
    SELECT
        *,
        gpus >= 0.9 * max(gpus) OVER (PARTITION BY cluster, hour_at) AS is_whole
    FROM site
),

peaks AS (
    SELECT
        *,
        max(power_w) FILTER (WHERE is_whole) OVER (PARTITION BY cluster) AS cluster_peak_w
    FROM whole
)

SELECT
    cluster,
    hour_at,
    max(gpus) AS gpus,
    round(60 * sum(gpus) / sum(samples), 1) AS interval_s,
    quantile_cont(power_w, 0.5) FILTER (WHERE is_whole) AS power_p50_w,
    quantile_cont(power_w, 0.95) FILTER (WHERE is_whole) AS power_p95_w,
    quantile_cont(power_w, 0.99) FILTER (WHERE is_whole) AS power_p99_w,
    max(power_w) FILTER (WHERE is_whole) AS peak_w,
    greatest(max(change_w), 0) AS ramp_up_w,
    greatest(-min(change_w), 0) AS ramp_down_w,
    count(*) FILTER (WHERE abs(change_w) > 0.1 * cluster_peak_w) AS swings
FROM peaks
GROUP BY cluster, hour_at
ORDER BY cluster, hour_at
