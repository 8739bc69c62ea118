-- Kernel records that name no node: give --node when such a log is ingested.
SELECT
    file,
    count(*) AS events,
    min(line_no) AS first_line
FROM kernel_events
WHERE node = ''
GROUP BY file
ORDER BY events DESC, file
