-- The instant that lies `days` (a fraction counts) after `t0`, to the microsecond; null days give
-- null. For traces that count from a first day: since_days('2024-03-30T00:00:00Z', 3.8955).
CREATE OR REPLACE MACRO since_days(t0, days) AS
    t0::TIMESTAMPTZ + to_microseconds(round(days::DOUBLE * 86400e6)::BIGINT);
