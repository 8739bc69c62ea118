-- How long nodes stayed out: one row per cluster, basis and plan.
--
--   cluster          scheduler cluster
--   basis            spells: a node's overlapping and touching states and outages joined;
--                    as-recorded: each recorded node outage by itself, under the cluster it names
--   planned          whether a plan began it; null as recorded, which does not say
--   repairs, open    how many, and how many of them still last
--   open_share       open / repairs
--   mean_hours       of the closed ones (h): too short whenever some are open
--   median_hours, p90_hours   Kaplan-Meier (h): open ones count as lasting so far; null where
--                    too many are open to say
--   out_hours        time out, open ones up to the last instant derived (h)
WITH commissioned AS (
    SELECT
        cluster,
        node,
        epoch_ms(min(valid_from)) AS from_ms
    FROM fleet
    GROUP BY ALL
),

horizon AS (
    -- A node that is still in the fleet has wall time up to the last instant observed.
    SELECT max(greatest(epoch_ms(day::TIMESTAMP), from_ms) + wall_ms) AS now_ms
    FROM exposure
    LEFT JOIN commissioned USING (cluster, node)
),

repairs_in_ms AS (
    SELECT
        cluster,
        'spells' AS basis,
        planned,
        epoch_ms(down_from) AS from_ms,
        epoch_ms(up_again) AS until_ms
    FROM repairs
    UNION ALL
    SELECT
        cluster,
        'as-recorded' AS basis,
        NULL AS planned,
        epoch_ms(began) AS from_ms,
        epoch_ms(ended) AS until_ms
    FROM outages
    WHERE unit_kind = 'node'
),

times AS (
    SELECT
        cluster,
        basis,
        planned,
        until_ms IS NULL AS is_open,
        greatest(coalesce(until_ms, now_ms, from_ms) - from_ms, 0) / 3.6e6 AS hours
    FROM repairs_in_ms, horizon
),

summary AS (
    SELECT
        cluster,
        basis,
        planned,
        count(*) AS repairs,
        count(*) FILTER (WHERE is_open) AS open,
        avg(hours) FILTER (WHERE NOT is_open) AS mean_hours,
        sum(hours) AS out_hours
    FROM times
    GROUP BY ALL
),

at_risk AS (
    SELECT
        cluster,
        basis,
        planned,
        hours,
        count(*) FILTER (WHERE NOT is_open) AS closed,
        sum(count(*)) OVER (PARTITION BY cluster, basis, planned ORDER BY hours DESC) AS lasting
    FROM times
    GROUP BY cluster, basis, planned, hours
),

-- Share of repairs that outlast `hours`.
curve AS (
    SELECT
        cluster,
        basis,
        planned,
        hours,
        lead(hours) OVER (PARTITION BY cluster, basis, planned ORDER BY hours) AS next_hours,
        product(1 - closed / lasting) OVER (
            PARTITION BY cluster, basis, planned
            ORDER BY hours
        ) AS outlasting
    FROM at_risk
    WHERE closed > 0
),

-- Where the curve runs level exactly at the quantile, the middle of the level piece.
quantiles AS (
    SELECT
        cluster,
        basis,
        planned,
        min_by(
            CASE
                WHEN abs(outlasting - 0.5) <= 1e-12 THEN (hours + coalesce(next_hours, hours)) / 2
                ELSE hours
            END,
            hours
        ) FILTER (WHERE outlasting <= 0.5 + 1e-12) AS median_hours,
        min_by(
            CASE
                WHEN abs(outlasting - 0.1) <= 1e-12 THEN (hours + coalesce(next_hours, hours)) / 2
                ELSE hours
            END,
            hours
        ) FILTER (WHERE outlasting <= 0.1 + 1e-12) AS p90_hours
    FROM curve
    GROUP BY ALL
)

SELECT
    summary.cluster,
    summary.basis,
    summary.planned,
    repairs,
    open,
    open / repairs AS open_share,
    mean_hours,
    median_hours,
    p90_hours,
    out_hours
FROM summary
LEFT JOIN quantiles
    ON quantiles.cluster = summary.cluster
    AND quantiles.basis = summary.basis
    AND quantiles.planned IS NOT DISTINCT FROM summary.planned
ORDER BY summary.cluster, summary.basis DESC, summary.planned
