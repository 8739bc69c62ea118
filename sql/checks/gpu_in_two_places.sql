-- GPUs that the inventory has in two slots at one time, by serial.
SELECT
    a.serial,
    a.node,
    a.slot,
    b.node AS also_node,
    b.slot AS also_slot,
    b.valid_from AS also_from
FROM gpus AS a
JOIN gpus AS b
    ON a.serial = b.serial
    AND a.valid_from < b.valid_from
    AND (a.valid_to IS NULL OR a.valid_to > b.valid_from)
ORDER BY a.serial, b.valid_from
