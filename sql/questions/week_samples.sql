-- What the samples of a stretch of days say of GPUs and links: one row per measure; no row where
-- no GPU was sampled.
--
--   $since, $until   first day, and the day after the last
--   topic            what is asked: coverage, nodes, busy, energy, a topic of sample_topics, silence
--   measure          what was counted
--   value, whole     the count and what it is a part of: value is null where no sample tells, whole
--                    where there is none or nobody says how many there are
--   reading          what to make of it
--   A sample speaks for up to two polling intervals; what was not heard is unknown (methods Q-2).
--   Telling GPUs and links are those of the hour in which most of a node's told. Counters are
--   summed by the metric that rose most, since several count the same errors: lower bounds.
WITH there AS (
    SELECT
        nullif(sum(gpu_capacity_ms), 0) / 3.6e6 AS gpu_hours,
        nullif(count(DISTINCT (cluster, node)) FILTER (WHERE gpu_capacity_ms > 0), 0) AS nodes,
        count(DISTINCT (cluster, node)) FILTER (
            WHERE gpu_capacity_ms > 0 AND (cluster, node) NOT IN (
                SELECT (cluster, node)
                FROM heard_hourly
                WHERE device_kind = 'gpu' AND day >= $since AND day < $until
            )
        ) AS unheard_nodes
    FROM exposure
    WHERE day >= $since AND day < $until
),

heard AS (
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

whole AS (
    SELECT
        count(DISTINCT (cluster, gpu)) AS gpus,
        sum(hours) AS hours
    FROM heard
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
        metric,
        sum(hours * least(1, samples / instants)) AS hours,
        sum(mean * hours * least(1, samples / instants)) AS amount
    FROM means
    JOIN heard USING (cluster, gpu, hour_at)
    GROUP BY metric
),

telling AS (
    SELECT
        topic,
        sum(devices) AS devices
    FROM (
        SELECT
            topic,
            cluster,
            node,
            max(devices) AS devices
        FROM node_hourly
        JOIN sample_topics() USING (metric)
        WHERE day >= $since AND day < $until
        GROUP BY ALL
    )
    GROUP BY topic
),

risen AS (
    SELECT
        topic,
        cluster,
        CASE WHEN topic <> 'links' THEN whole_gpu(device) ELSE node || ' ' || device END AS device,
        metric,
        sum(amount) AS amount
    FROM sample_signals
    JOIN sample_topics() USING (metric, kind)
    WHERE day >= $since AND day < $until
    GROUP BY ALL
),

shown AS (
    SELECT
        topic,
        count(*) AS devices,
        sum(amount) AS amount
    FROM (
        SELECT
            topic,
            cluster,
            device,
            max(amount) AS amount
        FROM risen
        GROUP BY ALL
    )
    GROUP BY topic
),

quiet AS (
    SELECT
        count(*) FILTER (WHERE sort = 'alone') AS alone,
        count(*) FILTER (WHERE sort = 'many together') AS together
    FROM silences
    WHERE day >= $since AND day < $until
),

topics (place, topic, measure, risen_by) AS (
    VALUES
    (5, 'heat', 'GPUs slowed by heat', NULL),
    (6, 'brake', 'GPUs slowed by power brake or hardware', NULL),
    (7, 'ecc_corrected', 'GPUs with corrected ECC errors', 'errors'),
    (8, 'ecc_uncorrected', 'GPUs with uncorrected ECC errors', 'errors'),
    (9, 'rows', 'GPUs that remapped or retired memory', NULL),
    (10, 'pcie', 'GPUs with PCIe replays', 'replays'),
    (11, 'nvlink', 'GPUs with NVLink errors', 'errors'),
    (12, 'links', 'Ports with errors or down', NULL)
),

measures AS (
    SELECT
        1 AS place,
        'coverage' AS topic,
        'GPU-hours sampled' AS measure,
        whole.hours::DOUBLE AS value,
        gpu_hours::DOUBLE AS whole,
        coalesce(
            format('{:,.0f} are unknown', greatest(gpu_hours - whole.hours, 0)),
            'how many there were is not known'
        ) AS reading
    FROM whole, there
    UNION ALL
    SELECT
        2, 'nodes', 'Nodes with GPUs never sampled', unheard_nodes, nodes,
        CASE WHEN unheard_nodes > 0 THEN 'nothing below is about them' END
    FROM there
    WHERE nodes IS NOT NULL
    UNION ALL
    SELECT
        3, 'busy', 'GPU-hours with a kernel running', amount, told.hours,
        'mean utilisation where told'
    FROM whole
    LEFT JOIN told ON metric = 'gpu_util_ratio'
    UNION ALL
    SELECT
        4, 'energy', 'MWh drawn by the GPUs sampled', amount / 1e6, NULL,
        format('{:,.0f} W on average over {:,.0f} GPU-hours', amount / told.hours, told.hours)
    FROM whole
    LEFT JOIN told ON metric = 'power_w'
    UNION ALL
    SELECT
        place,
        topic,
        measure,
        CASE WHEN telling.devices > 0 THEN coalesce(shown.devices, 0) END,
        CASE
            WHEN telling.devices > gpus AND topic <> 'links' THEN gpus
            ELSE nullif(telling.devices, 0)
        END,
        CASE WHEN shown.amount > 0 AND risen_by IS NOT NULL
            THEN format('at least {:,.0f} {}', shown.amount, risen_by) END
    FROM topics
    CROSS JOIN whole
    LEFT JOIN telling USING (topic)
    LEFT JOIN shown USING (topic)
    UNION ALL
    SELECT
        13, 'silence', 'Times a node or a GPU fell silent alone', alone, NULL,
        CASE WHEN together > 0
            THEN format('and {:,} times nodes together: the collector''s outage', together) END
    FROM quiet
)

SELECT
    topic,
    measure,
    value,
    whole,
    reading
FROM measures, (SELECT gpus > 0 AS is_sampled FROM whole)
WHERE is_sampled
ORDER BY place
