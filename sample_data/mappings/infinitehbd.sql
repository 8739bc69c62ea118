-- Fault trace of 400 GPU servers (stepfun-ai/InfiniteHBD-Trace, fault_trace.json): one outage a fault.
-- into: outages
-- reads: json
-- knows: node_id, event_time, event_type, fault_type, Desc
-- example: {"node_id": "2e33...", "event_time": 3.8955, "event_type": "fault_start", "fault_type": {"Level": "Hardware Failure", "Class": "GPU", "Desc": "GPU xid Error"}}
--
-- Times are days, and the first day is 1: the trace covers 348 days from 2024-03-30, and its last
-- event, at 348.98, lies on the 348th. A fault is the same server and description; starts and ends
-- are paired in the order of the file, so a fault of zero length keeps its end.
WITH events AS (
    SELECT
        line_no,
        node_id,
        fault_type,
        event_type = 'fault_start' AS is_start,
        since_days('2024-03-30T00:00:00Z', event_time::DOUBLE - 1) AS moment
    FROM input
)

SELECT
    line_no,
    'node' AS unit_kind,
    node_id AS unit,
    CASE WHEN is_start THEN moment END AS began,
    paired_end(is_start, moment, struct_pack(node := node_id, fault := fault_type), line_no) AS ended,
    'fault ' || line_no AS record,
    fault_type.Class AS component,
    fault_type.Desc AS cause,
    fault_type.Level AS note
FROM events
QUALIFY is_start OR paired_is_stray(is_start, struct_pack(node := node_id, fault := fault_type), line_no)
