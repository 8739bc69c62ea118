-- When a record that opens something ends: the time of the next record of its key, where that is
-- one that closes; null where another opens first, or nothing follows. `nth` puts the records of a
-- key in order: the line, or a struct of time and line. Keep the opening records by QUALIFY, as
-- WHERE would take away the closing ones before they are seen.
CREATE OR REPLACE MACRO paired_end(is_open, moment, key, nth) AS
    CASE
        WHEN is_open AND NOT lead(is_open) OVER (PARTITION BY key ORDER BY nth)
            THEN lead(moment) OVER (PARTITION BY key ORDER BY nth)
    END;
