-- How often links flap (methods D-8): one row per link that was lost, and one total per cluster.
--
--   cluster, node, link   the total of a cluster has node and link 'all'; a link's node is the
--                         host at either end, between switches the switch at the lesser end
--   flaps                 losses; witnesses of one link with under 60 s of silence between them
--                         saw the same ones: the most talkative counts. A switch port whose host
--                         told a loss within 60 s is that link's other end
--   episodes              losses with gaps of at most 10 min are one
--   near_state_change     losses set aside: within 5 min of a change of the node's state
--   link_days             in-service days of the link's node; of the total, of all its hosts' links
--                         that a survey (fabric_links) told of; null where that is not known
--   per_1000_link_days    flaps / link_days, with exact 95 % limits _lo and _hi
--   first_at, last_at     first and last flap
--
-- The total is about hosts' fabric links only: no Ethernet, nothing between switches.
WITH homes AS (
    -- The only known cluster of a node name, for rows that name none.
    SELECT
        node,
        min(cluster) AS only_cluster
    FROM fleet
    WHERE cluster <> ''
    GROUP BY node
    HAVING count(DISTINCT cluster) = 1
),

ports AS (
    SELECT
        cluster,
        node,
        guid || '/' || port AS port_end,
        peer_guid || '/' || peer_port AS peer_end,
        CASE WHEN peer_end < port_end THEN peer_node ELSE node END AS lesser,
        kind = 'host' AND node <> '' AS is_host
    FROM fabric_links
    QUALIFY row_number() OVER (
        PARTITION BY guid, port
        ORDER BY observed_at DESC, file DESC, line_no DESC
    ) = 1
),

survey AS (
    SELECT
        ports.cluster,
        ports.node,
        ports.port_end,
        ports.is_host,
        least(ports.port_end, ports.peer_end) AS link,
        CASE WHEN ports.is_host THEN ports.node ELSE coalesce(far.node, ports.lesser) END AS owner
    FROM ports
    LEFT JOIN ports AS far ON far.port_end = ports.peer_end AND far.is_host
),

by_hosts AS (
    SELECT
        coalesce(nullif(cluster, ''), only_cluster, '') AS cluster,
        node,
        device AS link,
        observed_at AS lost_at,
        regexp_extract(lower(detail), '^([a-z ]*)', 1) AS witness
    FROM kernel_events
    LEFT JOIN homes USING (node)
    WHERE kind = 'link_down'
),

by_managers AS (
    SELECT
        coalesce(nullif(told.cluster, ''), only_cluster, '') AS cluster,
        told.node,
        told.link,
        told.lost_at,
        told.witness
    FROM (
        SELECT
            cluster_events.cluster,
            coalesce(survey.owner, cluster_events.node) AS node,
            coalesce(survey.link, cluster_events.device) AS link,
            cluster_events.observed_at AS lost_at,
            cluster_events.reporter || ' ' || cluster_events.device AS witness
        FROM cluster_events
        LEFT JOIN survey ON survey.port_end = cluster_events.device
        WHERE cluster_events.reporter IN ('opensm', 'ufm', 'fabricmanager')
            AND cluster_events.reason IN (
                'PortDown', 'LinkDown', 'TrunkPortFailure', 'AccessPortFailure'
            )
            AND cluster_events.device <> ''
    ) AS told
    LEFT JOIN homes USING (node)
),

losses AS (
    SELECT * FROM by_hosts
    UNION ALL
    SELECT *
    FROM by_managers
    WHERE NOT EXISTS (
        SELECT 1
        FROM by_hosts
        WHERE by_hosts.cluster = by_managers.cluster
            AND by_hosts.node = by_managers.node
            AND by_hosts.lost_at BETWEEN by_managers.lost_at - INTERVAL 60 SECOND
                AND by_managers.lost_at + INTERVAL 60 SECOND
    )
),

changes AS (
    SELECT
        coalesce(nullif(cluster, ''), only_cluster, '') AS cluster,
        node,
        unnest([began, ended]) AS changed_at
    FROM node_states
    LEFT JOIN homes USING (node)
),

judged AS (
    SELECT
        *,
        EXISTS (
            SELECT 1
            FROM changes
            WHERE changes.cluster = losses.cluster
                AND changes.node = losses.node
                AND changes.changed_at BETWEEN losses.lost_at - INTERVAL 5 MINUTE
                    AND losses.lost_at + INTERVAL 5 MINUTE
        ) AS is_near
    FROM losses
),

gaps AS (
    SELECT
        *,
        lost_at - lag(lost_at) OVER (
            PARTITION BY cluster, node, link, is_near
            ORDER BY lost_at
        ) AS gap
    FROM judged
),

bursts AS (
    SELECT
        *,
        coalesce(gap > INTERVAL 10 MINUTE, true) AS is_episode,
        count(*) FILTER (WHERE coalesce(gap > INTERVAL 60 SECOND, true)) OVER (
            PARTITION BY cluster, node, link, is_near
            ORDER BY lost_at
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS burst
    FROM gaps
),

witnesses AS (
    SELECT
        cluster,
        node,
        link,
        is_near,
        burst,
        count(*) AS seen,
        count(*) FILTER (WHERE is_episode) AS episodes,
        min(lost_at) AS first_at,
        max(lost_at) AS last_at
    FROM bursts
    GROUP BY cluster, node, link, is_near, burst, witness
),

folded AS (
    SELECT
        cluster,
        node,
        link,
        is_near,
        max(seen) AS seen,
        sum(episodes) AS episodes,
        min(first_at) AS first_at,
        max(last_at) AS last_at
    FROM witnesses
    GROUP BY cluster, node, link, is_near, burst
),

counted AS (
    SELECT
        cluster,
        node,
        link,
        coalesce(sum(seen) FILTER (WHERE NOT is_near), 0)::BIGINT AS flaps,
        coalesce(sum(episodes) FILTER (WHERE NOT is_near), 0)::BIGINT AS episodes,
        coalesce(sum(seen) FILTER (WHERE is_near), 0)::BIGINT AS near_state_change,
        min(first_at) FILTER (WHERE NOT is_near) AS first_at,
        max(last_at) FILTER (WHERE NOT is_near) AS last_at
    FROM folded
    GROUP BY cluster, node, link
),

served AS (
    SELECT
        cluster,
        node,
        sum(in_service_ms) / 8.64e7 AS node_days
    FROM exposure
    GROUP BY cluster, node
),

links AS (
    SELECT
        counted.*,
        served.node_days AS link_days
    FROM counted
    LEFT JOIN served USING (cluster, node)
),

known AS (
    SELECT
        served.cluster,
        sum(served.node_days) AS link_days
    FROM survey
    LEFT JOIN homes USING (node)
    JOIN served
        ON served.node = survey.node
        AND served.cluster = coalesce(nullif(survey.cluster, ''), only_cluster, '')
    WHERE survey.is_host
    GROUP BY served.cluster
),

lost AS (
    SELECT
        cluster,
        sum(flaps)::BIGINT AS flaps,
        sum(episodes)::BIGINT AS episodes,
        sum(near_state_change)::BIGINT AS near_state_change,
        min(first_at) AS first_at,
        max(last_at) AS last_at
    FROM links
    WHERE regexp_matches(link, '^(?:ib|mlx|0x)') AND link_days IS NOT NULL
    GROUP BY cluster
),

units AS (
    SELECT cluster FROM links
    UNION
    SELECT cluster FROM known
),

answers AS (
    SELECT
        cluster,
        'all' AS node,
        'all' AS link,
        coalesce(flaps, 0) AS flaps,
        coalesce(episodes, 0) AS episodes,
        coalesce(near_state_change, 0) AS near_state_change,
        link_days,
        first_at,
        last_at
    FROM units
    LEFT JOIN lost USING (cluster)
    LEFT JOIN known USING (cluster)
    UNION ALL BY NAME
    SELECT * FROM links
)

SELECT
    cluster,
    node,
    link,
    flaps,
    episodes,
    near_state_change,
    link_days,
    per_1000_node_days(flaps, link_days) AS per_1000_link_days,
    per_1000_node_days(poisson_lo(flaps), link_days) AS per_1000_link_days_lo,
    per_1000_node_days(poisson_hi(flaps), link_days) AS per_1000_link_days_hi,
    first_at,
    last_at
FROM answers
ORDER BY cluster, node <> 'all', node, link
