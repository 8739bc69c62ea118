-- Nodes that the samples speak against: one row per node with a sign of trouble or among the five
-- with the hottest GPU; uncorrected errors first, then the most kinds of signs, then the hottest.
--
--   $since, $until      first day, and the day after the last
--   cluster, node       which; '' where the samples do not say
--   gpus                GPUs sampled
--   heard_gpu_hours     time within two polling intervals of a sample (GPU-hours)
--   hottest_gpu, hottest_c   its hottest GPU and that one's highest temperature (C)
--   slowed_gpu_hours    GPUs and hours in which heat, a power brake or other hardware slowed one
--   ecc_corrected, ecc_uncorrected, pcie_replays, nvlink_errors, link_downs
--                       what its counters rose by: of several that count the same, the one that
--                       rose most
--   Each is null where no sample of the node tells it (sample_topics).
WITH heard AS (
    SELECT
        cluster,
        node,
        count(DISTINCT gpu) AS gpus,
        sum(hours) AS heard_gpu_hours
    FROM (
        SELECT
            cluster,
            node,
            whole_gpu(device) AS gpu,
            hour_at,
            max(covered_ms) / 3.6e6 AS hours
        FROM heard_hourly
        WHERE device_kind = 'gpu' AND day >= $since AND day < $until
        GROUP BY ALL
    )
    GROUP BY ALL
),

hot AS (
    SELECT
        cluster,
        node,
        max_by(gpu, highest) AS hottest_gpu,
        max(highest) AS hottest_c
    FROM gpu_hourly
    WHERE metric = 'gpu_temp_c' AND day >= $since AND day < $until
    GROUP BY ALL
),

told AS (
    SELECT DISTINCT
        cluster,
        node,
        topic
    FROM node_hourly
    JOIN sample_topics() USING (metric)
    WHERE day >= $since AND day < $until
),

signs AS (
    SELECT
        cluster,
        node,
        topic,
        kind,
        metric,
        device,
        sum(amount) AS amount
    FROM sample_signals
    JOIN sample_topics() USING (metric, kind)
    WHERE day >= $since AND day < $until
    GROUP BY ALL
),

risen AS (
    SELECT
        cluster,
        node,
        topic,
        sum(amount) AS amount
    FROM (
        SELECT
            cluster,
            node,
            topic,
            device,
            max(amount) AS amount
        FROM signs
        WHERE topic <> 'links' OR kind = 'link_downed'
        GROUP BY ALL
    )
    GROUP BY ALL
),

slowed AS (
    SELECT
        cluster,
        node,
        count(DISTINCT (device, hour_at)) AS gpu_hours
    FROM sample_signals
    JOIN sample_topics() USING (metric, kind)
    WHERE topic IN ('heat', 'brake') AND day >= $since AND day < $until
    GROUP BY ALL
),

kinds AS (
    SELECT
        cluster,
        node,
        count(DISTINCT kind) AS kinds
    FROM signs
    GROUP BY ALL
),

said AS (
    SELECT
        cluster,
        node,
        bool_or(topic IN ('heat', 'brake')) AS tells_slowed,
        max(coalesce(amount, 0)) FILTER (WHERE topic = 'ecc_corrected') AS ecc_corrected,
        max(coalesce(amount, 0)) FILTER (WHERE topic = 'ecc_uncorrected') AS ecc_uncorrected,
        max(coalesce(amount, 0)) FILTER (WHERE topic = 'pcie') AS pcie_replays,
        max(coalesce(amount, 0)) FILTER (WHERE topic = 'nvlink') AS nvlink_errors,
        max(coalesce(amount, 0)) FILTER (WHERE topic = 'links') AS link_downs
    FROM told
    LEFT JOIN risen USING (cluster, node, topic)
    GROUP BY ALL
)

SELECT
    cluster,
    node,
    coalesce(gpus, 0) AS gpus,
    coalesce(heard_gpu_hours, 0) AS heard_gpu_hours,
    hottest_gpu,
    hottest_c,
    CASE WHEN tells_slowed THEN coalesce(slowed.gpu_hours, 0) END AS slowed_gpu_hours,
    ecc_corrected,
    ecc_uncorrected,
    pcie_replays,
    nvlink_errors,
    link_downs
FROM heard
FULL JOIN kinds USING (cluster, node)
LEFT JOIN hot USING (cluster, node)
LEFT JOIN said USING (cluster, node)
LEFT JOIN slowed USING (cluster, node)
QUALIFY kinds > 0 OR row_number() OVER (ORDER BY hottest_c DESC NULLS LAST, cluster, node) <= 5
ORDER BY
    ecc_uncorrected DESC NULLS LAST,
    kinds DESC NULLS LAST,
    hottest_c DESC NULLS LAST,
    cluster,
    node
LIMIT 12
