-- The instant of a local time (a timestamp, or an ISO text) in a zone such as 'Europe/Berlin'; null
-- gives null. A time that a clock change repeats or skips names no instant: its record is refused.
-- A text that names its own offset, or Z, keeps to that.
CREATE OR REPLACE MACRO local_time(stamp, zone) AS
    CASE
        WHEN regexp_matches(stamp::VARCHAR, ':[0-9]{2}(\.[0-9]+)? ?(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$')
            THEN stamp::TIMESTAMPTZ
        WHEN ((stamp::TIMESTAMP AT TIME ZONE zone) AT TIME ZONE zone) <> stamp::TIMESTAMP
            THEN error(stamp::VARCHAR || ' was skipped by a clock change in ' || zone)
        WHEN len(list_filter(
            [-120, -60, -30, 30, 60, 120],
            lambda minutes: (
                (stamp::TIMESTAMP AT TIME ZONE zone) + to_minutes(minutes)
            ) AT TIME ZONE zone = stamp::TIMESTAMP
        )) > 0
            THEN error(stamp::VARCHAR || ' happened twice in ' || zone || ' at a clock change')
        ELSE stamp::TIMESTAMP AT TIME ZONE zone
    END;
