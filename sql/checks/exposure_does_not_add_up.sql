-- Node-days whose parts are not their whole: in service, down, planned down and unobserved must
-- sum to the wall time, which is no longer than a day and no shorter than the time allocated.
SELECT
    day,
    cluster,
    node,
    wall_ms,
    in_service_ms,
    down_ms,
    planned_down_ms,
    unobserved_ms,
    allocated_ms,
    gpu_capacity_ms
FROM exposure
WHERE
    in_service_ms + down_ms + planned_down_ms + unobserved_ms <> wall_ms
    OR least(in_service_ms, down_ms, planned_down_ms, unobserved_ms, allocated_ms) < 0
    OR wall_ms NOT BETWEEN 1 AND 86400000
    OR allocated_ms > wall_ms
    OR gpu_capacity_ms < 0
ORDER BY ALL
