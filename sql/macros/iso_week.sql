-- Monday of the ISO week of a UTC day.
CREATE OR REPLACE MACRO iso_week(day) AS
    date_trunc('week', day)::DATE;
