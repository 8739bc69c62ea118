-- Node states that ClusterCockpit moved out of its database (cc-backend 1.5), Parquet.
-- into: node_states
-- reads: parquet
-- knows: time_stamp, node_state, health_state, hostname, subcluster
-- example: {"time_stamp": 1772446500, "node_state": "down", "health_state": "full", "hostname": "gpu7", "cluster": "alex", "subcluster": "a100"}
--
-- A row is one look at one node, in epoch seconds. Looks that follow one another and agree make one
-- spell: it ends with the first look that says otherwise, and the last one stays open, because
-- nobody saw its end. `health_state` says whether the node's metrics came in; it is no reason for
-- the scheduler's state, and is left out.
WITH looks AS (
    SELECT
        line_no,
        cluster,
        hostname,
        to_timestamp(time_stamp) AS seen,
        upper(node_state) AS state,
        lag(upper(node_state)) OVER (
            PARTITION BY cluster, hostname ORDER BY time_stamp, line_no
        ) AS before
    FROM input
)

SELECT
    line_no,
    cluster,
    hostname AS node,
    seen AS began,
    state,
    lead(seen) OVER (PARTITION BY cluster, hostname ORDER BY seen, line_no) AS ended
FROM looks
WHERE before IS DISTINCT FROM state
