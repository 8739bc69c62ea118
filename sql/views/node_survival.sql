-- How long nodes last to their first failure seen: one row per cluster and age of an end.
-- Kaplan-Meier with late entry; `faultledger survival --at all` is its twin with limits by choice.
--
--   cluster           scheduler cluster
--   definition        what counts as one failure: coalesced-180s
--   age_days          days since commissioning at which at least one node first failed
--   at_risk           nodes that had entered before that age, and neither failed nor left before it
--   ended             nodes whose first failure seen was at that age
--   survival          share that lasts beyond it, with 95 % limits _lo and _hi (log-log, Greenwood);
--                     limits are null where it is 0
--   cumulative_hazard Nelson-Aalen
--
-- A node that was there before the records enters at its age of their first day, and where nobody
-- knows since when (valid_from 1970-01-01) at age 0 of that day. Ages at which few are at risk
-- move the curve far: the study begins where five are, this view shows all.
WITH horizon AS (
    SELECT
        min(day)::TIMESTAMP AS since,
        max(day)::TIMESTAMP AS last_day
    FROM exposure
),

watch AS (
    SELECT
        any_value(since) AS since,
        any_value(last_day) + to_milliseconds(max(wall_ms)) AS until
    FROM exposure, horizon
    WHERE day = last_day::DATE
),

-- A gap in the inventory begins another life; a new place does not.
spells AS (
    SELECT
        cluster,
        node,
        valid_from AT TIME ZONE 'UTC' AS valid_from,
        valid_to AT TIME ZONE 'UTC' AS valid_to,
        coalesce(
            valid_from > lag(valid_to) OVER (PARTITION BY cluster, node ORDER BY valid_from),
            lag(valid_from) OVER (PARTITION BY cluster, node ORDER BY valid_from) IS NULL
        )::INTEGER AS is_new
    FROM fleet
),

numbered AS (
    SELECT
        *,
        sum(is_new) OVER (PARTITION BY cluster, node ORDER BY valid_from) AS life
    FROM spells
),

lives AS (
    SELECT
        cluster,
        node,
        life,
        CASE WHEN min(valid_from) > TIMESTAMP '1970-01-01' THEN min(valid_from) ELSE any_value(since) END AS born,
        greatest(min(valid_from), any_value(since)) AS entry_at,
        least(
            CASE WHEN count(*) = count(valid_to) THEN max(valid_to) ELSE any_value(until) END,
            any_value(until)
        ) AS exit_at
    FROM numbered, watch
    GROUP BY cluster, node, life
    HAVING exit_at > any_value(since) AND min(valid_from) < any_value(until)
),

hits AS (
    SELECT
        lives.cluster,
        lives.node,
        life,
        min(began AT TIME ZONE 'UTC') AS first_at
    FROM lives
    JOIN incidents
        ON incidents.node = lives.node
        AND incidents.cluster = lives.cluster
        AND began AT TIME ZONE 'UTC' BETWEEN entry_at AND exit_at
    WHERE counts AND definition = 'coalesced-180s'
    GROUP BY ALL
),

-- Ages in microseconds: who enters is at risk right behind its entry.
ages AS (
    SELECT
        lives.cluster,
        date_diff('microsecond', born, entry_at) AS entry_us,
        greatest(
            date_diff('microsecond', born, coalesce(first_at, exit_at)),
            date_diff('microsecond', born, entry_at) + 1
        ) AS exit_us,
        first_at IS NOT NULL AS is_end
    FROM lives
    LEFT JOIN hits USING (cluster, node, life)
),

moves AS (
    SELECT cluster, entry_us AS us, 1 AS came, 0 AS went, 0 AS ended FROM ages
    UNION ALL
    SELECT cluster, exit_us AS us, 0 AS came, 1 AS went, is_end::INTEGER AS ended FROM ages
),

counts AS (
    SELECT
        cluster,
        us,
        sum(ended) AS ended,
        -- Who came before this age, less who went before it.
        coalesce(sum(sum(came)) OVER before, 0) - coalesce(sum(sum(went)) OVER before, 0) AS at_risk
    FROM moves
    GROUP BY cluster, us
    WINDOW before AS (
        PARTITION BY cluster ORDER BY us ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

curve AS (
    SELECT
        cluster,
        us / 86400e6 AS age_days,
        at_risk::BIGINT AS at_risk,
        ended::BIGINT AS ended,
        product(1 - ended / at_risk) OVER so_far AS survival,
        sum(ended / (at_risk * nullif(at_risk - ended, 0)::DOUBLE)) OVER so_far AS greenwood,
        sum(ended / at_risk) OVER so_far AS cumulative_hazard
    FROM counts
    WHERE ended > 0
    WINDOW so_far AS (PARTITION BY cluster ORDER BY us)
)

SELECT
    cluster,
    'coalesced-180s' AS definition,
    age_days,
    at_risk,
    ended,
    survival,
    CASE WHEN survival > 0 THEN survival ** exp(1.959963984540054 * sqrt(greenwood) / abs(ln(survival))) END AS survival_lo,
    CASE WHEN survival > 0 THEN survival ** exp(-1.959963984540054 * sqrt(greenwood) / abs(ln(survival))) END AS survival_hi,
    cumulative_hazard
FROM curve
ORDER BY cluster, age_days
