-- A metric of the whole fleet, hour by hour, from the rollups: one row per cluster and hour.
--
--   $metric          a column of the samples, e.g. power_w or ecc_corrected_volatile
--   $since, $until   first day, and the day after the last
--   hour_at, devices, samples, lowest, mean, p50, p95, highest   of the raw samples of the hour
--   increase, resets, covered_hours   of a counter: what all of them rose by, restarts, and the
--                                     device-hours that tell it
SELECT
    cluster,
    hour_at,
    devices,
    samples,
    lowest,
    mean,
    p50,
    p95,
    highest,
    increase,
    resets,
    covered_ms / 3.6e6 AS covered_hours
FROM fleet_hourly
WHERE
    metric = $metric
    AND hour_at >= $since::TIMESTAMPTZ AND hour_at < $until::TIMESTAMPTZ
ORDER BY cluster, hour_at
