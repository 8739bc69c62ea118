-- Mean time between failures of one node: node-hours at risk over failures; null when nothing
-- failed. Over the number of nodes it is the fleet's. Sum both, then divide: never average it.
CREATE OR REPLACE MACRO mtbf_hours(node_days, failures) AS
    CASE WHEN node_days > 0 AND failures > 0 THEN node_days * 24.0e0 / failures END;
