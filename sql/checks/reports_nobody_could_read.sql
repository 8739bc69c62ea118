-- Warnings of cluster managers and health agents, and reasons that a scheduler keeps for a node
-- (reporter = scheduler), that no catalogue and no table of words could read: the warnings are in no
-- incident, the nodes out for such a reason are out for an unknown cause. `share` is of all that this
-- reporter said. Which table read the reasons: `reasons_version` in `settings`.
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
