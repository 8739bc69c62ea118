-- What the samples say of the fleet, hour by hour: one row per hour in which a GPU was sampled.
--
--   $since, $until     first day, and the day after the last
--   hour_at            begin of the UTC hour
--   heard_gpu_hours    time within two polling intervals of a sample (GPU-hours)
--   utilisation        mean share of time with a kernel running; null where not told
--   power_w            mean power of a GPU that tells it (W)
--   hottest_c          the hottest GPU's highest temperature (C)
--   Means are over time heard: a GPU sampled twice as often weighs the same.
WITH heard AS (
    SELECT
        cluster,
        whole_gpu(device) AS gpu,
        hour_at,
        max(samples) AS instants,
        max(covered_ms) / 3.6e6 AS hours
    FROM heard_hourly
    WHERE device_kind = 'gpu' AND day >= $since AND day < $until
    GROUP BY ALL
),

means AS (
    SELECT
        cluster,
        gpu,
        hour_at,
        metric,
        max_by(mean, samples) AS mean,
        max(samples) AS samples
    FROM gpu_hourly
    WHERE
        metric IN ('gpu_util_ratio', 'power_w')
        AND gpu_instance = '' AND day >= $since AND day < $until
    GROUP BY ALL
),

told AS (
    SELECT
        hour_at,
        metric,
        sum(mean * hours * samples / instants) / sum(hours * samples / instants) AS mean
    FROM means
    JOIN heard USING (cluster, gpu, hour_at)
    GROUP BY ALL
),

hottest AS (
    SELECT
        hour_at,
        max(highest) AS hottest_c
    FROM fleet_hourly
    WHERE metric = 'gpu_temp_c' AND day >= $since AND day < $until
    GROUP BY ALL
)

SELECT
    heard.hour_at,
    sum(heard.hours) AS heard_gpu_hours,
    any_value(busy.mean) AS utilisation,
    any_value(power.mean) AS power_w,
    any_value(hottest_c) AS hottest_c
FROM heard
LEFT JOIN told AS busy ON busy.hour_at = heard.hour_at AND busy.metric = 'gpu_util_ratio'
LEFT JOIN told AS power ON power.hour_at = heard.hour_at AND power.metric = 'power_w'
LEFT JOIN hottest ON hottest.hour_at = heard.hour_at
GROUP BY heard.hour_at
ORDER BY heard.hour_at
