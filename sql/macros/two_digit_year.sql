-- A time that was read with a year of two digits (strptime's %y takes 69 to 99 for the 1900s), put
-- into the hundred years that end with `last_year`: two_digit_year(strptime(t, '%m/%d/%y'), 2005).
CREATE OR REPLACE MACRO two_digit_year(stamp, last_year) AS
    stamp + to_years((last_year - (last_year - year(stamp)) % 100 - year(stamp)
        - CASE WHEN (last_year - year(stamp)) % 100 < 0 THEN 100 ELSE 0 END)::INTEGER);
