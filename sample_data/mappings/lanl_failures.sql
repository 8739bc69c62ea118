-- Failures of Los Alamos' production clusters 1996 to 2005 (the LANL release): one outage a record.
-- into: outages
-- reads: csv types=text
-- knows: System, nodenum, fru type, Prob Started (mm/dd/yy hh:mm), Prob Fixed (mm/dd/yy hh:mm), Down Time
-- example: 20,cluster,256,1024,0,0,Aug-02,6/12/03 23:20,6/13/03 9:05,585,,Memory Dimm,,,,
--
-- Years have two digits and end with 2005; times are local to Los Alamos. The cause stands in the
-- column of its kind: facilities, hardware, human error, network, undetermined or software.
-- Down Time (minutes) is kept in the note where it does not agree with the two times.
WITH read AS (
    SELECT
        *,
        local_time(
            two_digit_year(strptime("Prob Started (mm/dd/yy hh:mm)", '%m/%d/%y %H:%M'), 2005),
            'America/Denver'
        ) AS began,
        local_time(
            two_digit_year(strptime("Prob Fixed (mm/dd/yy hh:mm)", '%m/%d/%y %H:%M'), 2005),
            'America/Denver'
        ) AS ended
    FROM input
)

SELECT
    line_no,
    'node' AS unit_kind,
    'system ' || "System" AS cluster,
    'system ' || "System" || ' node ' || nodenum AS unit,
    began,
    ended,
    'line ' || line_no AS record,
    first_filled_name(
        [Facilities, Hardware, "Human Error", Network, Undetermined, Software],
        ['Facilities', 'Hardware', 'Human Error', 'Network', 'Undetermined', 'Software']
    ) AS component,
    first_filled([Facilities, Hardware, "Human Error", Network, Undetermined, Software]) AS cause,
    CASE
        WHEN date_diff('minute', began, ended) <> TRY_CAST("Down Time" AS BIGINT)
            THEN 'down time recorded as ' || "Down Time" || ' min'
    END AS note
FROM read
