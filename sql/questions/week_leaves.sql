-- Where the fleet's GPU time went: one row per leaf of the GPU-time tree, largest first.
--
--   $since, $until   first day, and the day after the last
--   leaf             what the time was (methods 4.2)
--   gpu_ms           GPU-milliseconds
--   share            of the fleet's capacity in those days
SELECT
    leaf::VARCHAR AS leaf,
    sum(gpu_ms)::BIGINT AS gpu_ms,
    sum(gpu_ms) / sum(sum(gpu_ms)) OVER () AS share
FROM gpu_time
WHERE day >= $since AND day < $until
GROUP BY leaf
ORDER BY gpu_ms DESC, leaf
