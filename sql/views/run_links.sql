-- Which attempts make up each run, how sure that is, and runs that crash again and again (methods
-- T-3): one row per run, those with most attempts first.
--
--   cluster, run           which
--   jobs, attempts         scheduler jobs, and times that any of them was submitted or requeued
--   weakest_link           the least sure way in which one of them was linked
--   confidence             how sure that link is (the macro link_confidence; 1 is certain)
--   most_in_six_hours      the most attempts that were submitted within six hours
--   is_crash_loop          they were more than five
WITH counted AS (
    SELECT
        cluster,
        run,
        job_id,
        link,
        count(*) OVER (
            PARTITION BY cluster, run
            ORDER BY submitted
            RANGE BETWEEN INTERVAL 6 HOURS PRECEDING AND CURRENT ROW
        ) AS in_six_hours
    FROM run_attempts
)

SELECT
    cluster,
    run,
    count(DISTINCT job_id) AS jobs,
    count(*) AS attempts,
    arg_min(link, link_confidence(link)) AS weakest_link,
    min(link_confidence(link)) AS confidence,
    max(in_six_hours) AS most_in_six_hours,
    max(in_six_hours) > 5 AS is_crash_loop
FROM counted
GROUP BY cluster, run
ORDER BY attempts DESC, cluster, run
