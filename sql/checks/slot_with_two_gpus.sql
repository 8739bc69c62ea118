-- Slots that the inventory gives to two GPUs at one time: a swap without its removal.
SELECT
    a.cluster,
    a.node,
    a.slot,
    a.serial,
    b.serial AS also_serial,
    b.valid_from AS also_from
FROM gpus AS a
JOIN gpus AS b
    ON a.cluster = b.cluster AND a.node = b.node AND a.slot = b.slot
    AND (a.valid_from, a.serial) < (b.valid_from, b.serial)
    AND a.serial <> b.serial
    AND (a.valid_to IS NULL OR a.valid_to > b.valid_from)
ORDER BY a.cluster, a.node, a.slot, b.valid_from
