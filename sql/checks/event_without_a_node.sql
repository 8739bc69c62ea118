-- Kernel records that name no node: say whose log it is with --node and ingest it again.
SELECT
    file,
    count(*) AS events,
    min(line_no) AS first_line
FROM kernel_events
WHERE node = ''
GROUP BY file
ORDER BY events DESC, file
