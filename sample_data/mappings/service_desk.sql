-- Incident tickets as a service desk exports them (ServiceNow, Jira): one outage a ticket about a node.
-- into: outages
-- reads: csv types=text
-- knows: number, opened_at, closed_at, cmdb_ci, category, short_description
-- example: INC0010023,2026-03-02 10:15:00,2026-03-02 14:40:00,gpu-0417,Hardware,GPU,Closed,GPU fell off the bus
--
-- Times are local to the desk: --zone, or the lake's setting, says where; a time that a clock change
-- repeats or skips refuses its ticket. An open ticket has no closed_at. A ticket about no node (an
-- account, a licence) is left out: it is counted as ignored.
SELECT
    line_no,
    'node' AS unit_kind,
    trim(cmdb_ci) AS unit,
    local_time(opened_at, given_zone()) AS began,
    local_time(closed_at, given_zone()) AS ended,
    number AS record,
    first_filled([subcategory, category]) AS component,
    short_description AS cause,
    'ticket ' || lower(state) AS note
FROM input
WHERE category IN ('Hardware', 'Network', 'Software', 'Facilities') AND trim(cmdb_ci) <> ''
