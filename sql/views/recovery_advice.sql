-- What the driver asked for (Xid 154): one row per record that names a recovery action.
--
--   cluster, node, device   the GPU, by its bus address
--   observed_at             when the driver said so
--   asked_before, asks_for  none, reset GPU, reboot node, drain P2P, drain and reset; the driver's
--                           own words where the number is not known here
--   is_latest               nothing later was said of this device: what is still asked for, unless
--                           the node was reset or rebooted since
--   incident                what the record was folded into; null where into none
WITH advice AS (
    SELECT
        cluster,
        node,
        device,
        observed_at,
        file,
        line_no,
        kind,
        code,
        repeat,
        regexp_extract(detail, '(?i)changed from 0x([0-9a-f]{1,2})\b', 1) AS before,
        regexp_extract(
            detail,
            '(?i)recovery action changed .*?\bto 0x([0-9a-f]{1,2})\b(?: \(([^)]*)\))?',
            ['number', 'words']
        ) AS asked
    FROM kernel_events
    WHERE kind = 'xid' AND code = 154
),

named AS (
    SELECT
        * EXCLUDE (before, asked),
        CASE ltrim(before, '0')
            WHEN '' THEN if(before = '', NULL, 'none')
            WHEN '1' THEN 'reset GPU'
            WHEN '2' THEN 'reboot node'
            WHEN '3' THEN 'drain P2P'
            WHEN '4' THEN 'drain and reset'
        END AS asked_before,
        CASE ltrim(asked.number, '0')
            WHEN '' THEN if(asked.number = '', NULL, 'none')
            WHEN '1' THEN 'reset GPU'
            WHEN '2' THEN 'reboot node'
            WHEN '3' THEN 'drain P2P'
            WHEN '4' THEN 'drain and reset'
            ELSE nullif(lower(asked.words), '')
        END AS asks_for
    FROM advice
),

folded AS (
    SELECT
        file,
        line_no,
        observed_at,
        node,
        kind,
        code,
        device,
        min(incident) AS incident
    FROM incident_members
    WHERE source_table = 'kernel_events' AND kind = 'xid' AND code = 154
    GROUP BY ALL
)

SELECT
    cluster,
    node,
    device,
    observed_at,
    asked_before,
    asks_for,
    row_number() OVER (
        PARTITION BY cluster, node, device
        ORDER BY observed_at DESC, file DESC, line_no DESC, repeat DESC
    ) = 1 AS is_latest,
    incident
FROM named
LEFT JOIN folded USING (file, line_no, observed_at, node, kind, code, device)
WHERE asks_for IS NOT NULL
ORDER BY cluster, node, device, observed_at, file, line_no, repeat
