-- Milliseconds of exposure as node-days.
CREATE OR REPLACE MACRO node_days(ms) AS
    ms / 8.64e7;
