-- Nodes on which jobs held more GPUs at once than are installed: the ledger counts the jobs that
-- were there first, and what is beyond them nowhere. A job has the same share of each of its
-- nodes; a remainder goes to the first nodes in order. One row per node and moment at which the
-- count changed and was above the node's.
WITH places AS (
    SELECT
        cluster,
        job_id,
        submitted,
        started,
        ended,
        gpus,
        greatest(node_count, len(list_distinct(nodes))) AS node_count,
        unnest(list_sort(list_distinct(nodes))) AS node,
        generate_subscripts(list_sort(list_distinct(nodes)), 1) AS place
    FROM run_attempts
    WHERE started IS NOT NULL AND gpus > 0
),

shares AS (
    SELECT
        cluster,
        node,
        started,
        ended,
        gpus // node_count + (place <= gpus % node_count)::INTEGER AS gpus
    FROM places
    WHERE ended IS NULL OR ended > started
),

changes AS (
    SELECT cluster, node, started AS observed_at, gpus::BIGINT AS change FROM shares
    UNION ALL
    SELECT cluster, node, ended, -gpus::BIGINT FROM shares WHERE ended IS NOT NULL
),

moments AS (
    SELECT
        cluster,
        node,
        observed_at,
        sum(change) AS change
    FROM changes
    GROUP BY ALL
),

held AS (
    SELECT
        cluster,
        node,
        observed_at,
        sum(change) OVER (PARTITION BY cluster, node ORDER BY observed_at) AS held
    FROM moments
)

SELECT
    held.cluster,
    held.node,
    observed_at,
    held::BIGINT AS held,
    fleet.gpus AS installed
FROM held
JOIN fleet ON
    fleet.cluster = held.cluster
    AND fleet.node = held.node
    AND observed_at >= valid_from
    AND (valid_to IS NULL OR observed_at < valid_to)
WHERE held > fleet.gpus
ORDER BY ALL
