-- Failures per 1000 node-days; null without exposure. Sum both over whatever you select, then
-- divide; with poisson_lo(failures) or poisson_hi(failures) it gives the rate's limits.
CREATE OR REPLACE MACRO per_1000_node_days(failures, node_days) AS
    CASE WHEN node_days > 0 THEN 1000.0e0 * failures / node_days END;
