-- What each kind of input gave, and how much of it could be read: one row per source.
--
--   source                          format the files were read as
--   files, mb                       files that arrived, and their size (MB)
--   records                         records found: accepted + rejected + ignored
--   accepted, rejected, ignored     became rows; refused with a reason; none of the source's business
--   refused_files                   files refused whole: they did not arrive
--   rejected_share                  rejected / records; null without records
--   unknown_metrics, unknown_samples   metric names nobody here knows, and their samples set aside
--   last_arrival                    when the latest of them was first ingested
WITH refused AS (
    SELECT
        source,
        count(DISTINCT sha256) AS refused_files
    FROM rejects
    ANTI JOIN arrivals USING (sha256)
    GROUP BY source
),

came AS (
    SELECT
        source,
        count(*) AS files,
        sum(bytes) / 1e6 AS mb,
        sum(records)::BIGINT AS records,
        sum(accepted)::BIGINT AS accepted,
        sum(rejected)::BIGINT AS rejected,
        sum(ignored)::BIGINT AS ignored,
        max(first_seen) AS last_arrival
    FROM arrivals
    GROUP BY source
),

strange AS (
    SELECT
        source,
        count(DISTINCT metric) AS unknown_metrics,
        sum(samples)::BIGINT AS unknown_samples
    FROM unknown_metrics
    GROUP BY source
)

SELECT
    source,
    coalesce(files, 0) AS files,
    coalesce(mb, 0) AS mb,
    coalesce(records, 0) AS records,
    coalesce(accepted, 0) AS accepted,
    coalesce(rejected, 0) AS rejected,
    coalesce(ignored, 0) AS ignored,
    coalesce(refused_files, 0) AS refused_files,
    rejected / nullif(records, 0) AS rejected_share,
    coalesce(unknown_metrics, 0) AS unknown_metrics,
    coalesce(unknown_samples, 0) AS unknown_samples,
    last_arrival
FROM came
FULL JOIN refused USING (source)
FULL JOIN strange USING (source)
ORDER BY source
