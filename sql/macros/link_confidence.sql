-- How sure it is that attempts of one run belong together, by how they were linked (methods T-3):
-- the same numbers as LINK_CONFIDENCE in transforms/runs.py.
CREATE OR REPLACE MACRO link_confidence(link) AS
    CASE link::VARCHAR
        WHEN 'explicit' THEN 1.0
        WHEN 'train_log' THEN 0.95
        WHEN 'requeue' THEN 0.9
        WHEN 'time_limit' THEN 0.7
        WHEN 'resubmission' THEN 0.5
        WHEN 'alone' THEN 1.0
    END::DOUBLE;
