-- Failures on a node without exposure that day: the inventory is missing a node, or the record
-- names none. They count, but no rate of a node can hold them.
SELECT
    day,
    cluster,
    node,
    class,
    component,
    definition,
    failures
FROM failures
ANTI JOIN exposure USING (day, cluster, node)
ORDER BY ALL
