-- Nodes that the inventory has in the fleet twice at one time: their hours would count double.
SELECT
    a.cluster,
    a.node,
    a.valid_from,
    a.valid_to,
    b.valid_from AS again_from,
    a.file,
    b.file AS again_in
FROM nodes AS a
JOIN nodes AS b
    ON a.cluster = b.cluster AND a.node = b.node
    AND a.valid_from < b.valid_from
    AND (a.valid_to IS NULL OR a.valid_to > b.valid_from)
ORDER BY a.cluster, a.node, a.valid_from
