-- Input that was refused: one row per file and reason. Correct it at its source and ingest that.
SELECT
    source,
    file,
    reason,
    count(*) AS records,
    min(line_no) AS first_line
FROM rejects
GROUP BY ALL
ORDER BY records DESC, file, reason
