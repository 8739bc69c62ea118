-- Warnings of cluster managers and health agents that no catalogue and no table of words could read:
-- they are in cluster_events and in no incident. `share` is of all that this reporter said.
WITH said AS (
    SELECT
        reporter,
        reason,
        how,
        sum(events)::BIGINT AS events,
        sum(warnings)::BIGINT AS warnings
    FROM report_verdicts
    GROUP BY ALL
)

SELECT
    reporter,
    reason,
    events,
    warnings,
    events / (SELECT sum(a.events) FROM said AS a WHERE a.reporter = said.reporter) AS share
FROM said
WHERE how = 'unclassified' AND warnings > 0
ORDER BY warnings DESC, reporter, reason
