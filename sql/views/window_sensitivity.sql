-- How the number of incidents depends on the silence that ends a burst: one row per ISO week and
-- gap. A rate that halves when the gap triples says more about the gap than about the fleet.
--
--   week                  Monday of the ISO week (UTC)
--   gap_s                 silence that ends a burst (s); our definition uses 180
--   incidents             incidents that began that week under this gap
--   share_of_180s         of the incidents under 180 s; null without any
--   is_window_dependent   true on every row of a week in which 600 s leaves less than 80 % of the
--                         incidents of 180 s (methods 2.9)
WITH weeks AS (
    SELECT
        iso_week(day) AS week,
        gap_s,
        sum(incidents)::UBIGINT AS incidents
    FROM sensitivity
    GROUP BY ALL
),

against AS (
    SELECT
        week,
        sum(incidents) FILTER (WHERE gap_s = 180)::UBIGINT AS at_180s,
        sum(incidents) FILTER (WHERE gap_s = 600)::UBIGINT AS at_600s
    FROM weeks
    GROUP BY ALL
)

SELECT
    week,
    gap_s,
    incidents,
    incidents / nullif(at_180s, 0) AS share_of_180s,
    coalesce(at_600s < 0.8 * at_180s, false) AS is_window_dependent
FROM weeks
JOIN against USING (week)
ORDER BY week, gap_s
