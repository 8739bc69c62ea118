-- True for a record that closes what no record of its key opened just before: kept by QUALIFY with
-- no begin, it is refused with its line instead of being lost.
CREATE OR REPLACE MACRO paired_is_stray(is_open, key, nth) AS
    NOT is_open AND NOT coalesce(lag(is_open) OVER (PARTITION BY key ORDER BY nth), false);
