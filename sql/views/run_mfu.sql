-- Model FLOPs utilisation of each run, whole (day is null) and day by day: what share of the GPUs' peak
-- went into tokens that still count (methods G-5). Models and peaks are what settings.toml says.
--
--   cluster, run, day     which; gpu_model: models of the GPUs that it trained on
--   kept_steps            steps that still count; kept_tokens: their tokens, those of steps whose log
--                         tells none as the model's tokens_per_step
--   kept_gpu_ms           GPU time of those steps (GPU-ms); wall_gpu_ms: all of the run's, waits and
--                         all, but for jobs that log no steps
--   flops_per_token       6 x parameters (+ 12 x layers x hidden x sequence where those are told)
--   mfu                   kept_tokens x flops_per_token / (peak FLOP/s x kept_gpu_ms): while it trains
--   mfu_wall              the same over wall_gpu_ms: mfu x goodput
--   hfu                   mfu with what the backward pass does again; mfu_capped: mfu against the
--                         peak at the capped clock; both null where settings.toml says none
--   definition            how it was reckoned, with the peaks and where their numbers come from
--   reason                why there is no number; null where there is one
WITH walls AS (
    SELECT
        day,
        cluster,
        run,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf <> 'not_measured'), 0)::BIGINT AS wall_gpu_ms
    FROM run_time
    GROUP BY ALL
),

runs AS (
    SELECT DISTINCT
        cluster,
        run
    FROM run_tokens
),

modelled AS (
    SELECT
        runs.cluster,
        runs.run,
        6 * parameters + coalesce(12 * layers * hidden * sequence, 0) AS flops_per_token,
        layers IS NOT NULL AS has_attention,
        tokens_per_step,
        recomputed
    FROM runs
    JOIN models ON runs.run GLOB models.run
    QUALIFY row_number() OVER (PARTITION BY runs.cluster, runs.run ORDER BY place) = 1
),

gpus AS (
    SELECT
        run_tokens.gpu_model,
        peaks.* EXCLUDE (gpu_model)
    FROM (SELECT DISTINCT gpu_model FROM run_tokens) AS run_tokens
    JOIN peaks ON run_tokens.gpu_model GLOB peaks.gpu_model AND run_tokens.gpu_model NOT LIKE '% + %'
    QUALIFY row_number() OVER (PARTITION BY run_tokens.gpu_model ORDER BY peaks.place) = 1
),

trained AS (
    SELECT
        run_tokens.*,
        flops_per_token,
        has_attention,
        recomputed,
        peak_flops,
        capped_flops,
        steps - told_steps AS untold_steps,
        tokens_per_step,
        tokens + (steps - told_steps) * coalesce(tokens_per_step, 0) AS all_tokens,
        kept_gpu_ms / 1000 * peak_flops AS peak_flop,
        kept_gpu_ms / 1000 * capped_flops AS capped_flop,
        coalesce(nullif(gpu_model, ''), 'GPUs of unknown model') AS named,
        gpu_model || ' ' || (peak_flops / 1e12) || ' TFLOP/s ' || number_format || ' (' || source || ')'
            AS told_peak
    FROM run_tokens
    LEFT JOIN modelled USING (cluster, run)
    LEFT JOIN gpus USING (gpu_model)
),

summed AS (
    SELECT
        day,
        cluster,
        run,
        string_agg(DISTINCT nullif(gpu_model, ''), ', ' ORDER BY nullif(gpu_model, '')) AS gpu_model,
        sum(steps)::BIGINT AS kept_steps,
        sum(untold_steps)::BIGINT AS untold_steps,
        sum(all_tokens)::BIGINT AS kept_tokens,
        sum(kept_gpu_ms)::BIGINT AS kept_gpu_ms,
        sum(peak_flop) AS peak_flop,
        sum(capped_flop) AS capped_flop,
        bool_and(capped_flops IS NOT NULL) AS is_capped,
        any_value(flops_per_token) AS flops_per_token,
        any_value(has_attention) AS has_attention,
        any_value(tokens_per_step) AS tokens_per_step,
        any_value(recomputed) AS recomputed,
        string_agg(DISTINCT named, ', ' ORDER BY named) FILTER (WHERE peak_flops IS NULL) AS peakless,
        string_agg(DISTINCT told_peak, ', ' ORDER BY told_peak) AS told_peaks
    FROM trained
    GROUP BY GROUPING SETS ((cluster, run), (cluster, run, day))
),

waited AS (
    SELECT
        day,
        cluster,
        run,
        sum(wall_gpu_ms)::BIGINT AS wall_gpu_ms
    FROM walls
    GROUP BY GROUPING SETS ((cluster, run), (cluster, run, day))
),

judged AS (
    SELECT
        coalesce(summed.cluster, waited.cluster) AS cluster,
        coalesce(summed.run, waited.run) AS run,
        coalesce(summed.day, waited.day) AS day,
        summed.* EXCLUDE (cluster, run, day),
        wall_gpu_ms,
        CASE
            WHEN coalesce(kept_gpu_ms, 0) = 0 THEN 'no step was kept'
            WHEN flops_per_token IS NULL
                THEN 'settings.toml has no [[models]] for this run: how many parameters?'
            WHEN untold_steps > 0 AND tokens_per_step IS NULL
                THEN untold_steps || ' of ' || kept_steps
                    || ' kept steps tell no tokens: give tokens_per_step in [[models]]'
            WHEN peakless IS NOT NULL
                THEN 'settings.toml has no [[peaks]] for ' || peakless
            WHEN kept_tokens * flops_per_token > peak_flop
                THEN 'that would be ' || round(kept_tokens * flops_per_token / peak_flop, 2)
                    || ' of the peak: parameters, tokens or peak are wrong'
        END AS reason
    FROM summed
    FULL JOIN waited ON
        summed.cluster = waited.cluster
        AND summed.run = waited.run
        AND summed.day IS NOT DISTINCT FROM waited.day
)

SELECT
    cluster,
    run,
    day,
    gpu_model,
    coalesce(kept_steps, 0) AS kept_steps,
    CASE WHEN reason IS NULL THEN kept_tokens END AS kept_tokens,
    coalesce(kept_gpu_ms, 0) AS kept_gpu_ms,
    coalesce(wall_gpu_ms, 0) AS wall_gpu_ms,
    flops_per_token,
    CASE WHEN reason IS NULL THEN kept_tokens * flops_per_token / peak_flop END AS mfu,
    CASE
        WHEN reason IS NULL
            THEN kept_tokens * flops_per_token / peak_flop * kept_gpu_ms / nullif(wall_gpu_ms, 0)
    END AS mfu_wall,
    CASE
        WHEN reason IS NULL THEN kept_tokens * flops_per_token / peak_flop * (1 + recomputed)
    END AS hfu,
    CASE
        WHEN reason IS NULL AND is_capped THEN kept_tokens * flops_per_token / capped_flop
    END AS mfu_capped,
    CASE
        WHEN reason IS NULL
            THEN 'kept tokens x '
                || CASE WHEN has_attention THEN '(6 P + 12 layers x hidden x sequence)' ELSE '6 P' END
                || ' FLOP over peak of ' || told_peaks
    END AS definition,
    reason
FROM judged
ORDER BY cluster, run, day NULLS FIRST
