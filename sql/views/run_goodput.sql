-- What became of each run's GPU time, under every name that goodput goes by: one row per run.
-- All read from one tree of leaves (methods 4.2), its waits included; each ratio is one division
-- of the sums beside it, null where the run logged no steps.
--
--   cluster, run          which; gpus: the most that any of its attempts held
--   first_started         its first allocation; last_ended: the end of its last, null while it runs
--   disruptions           unplanned interruptions
--   wall_gpu_ms           its GPU time from first eligible on (GPU-ms); kept_gpu_ms: of it, steps
--                         that still count; measured_gpu_ms: of it, without not_measured
--   provisional_gpu_ms    of kept, what no durable checkpoint holds yet
--   user_caused_gpu_ms    lost to user software or to a person's decision; idle, spare and unmeasured
--                         time is left out elsewhere and never counts here too
--   goodput               kept / measured; _lo if the provisional steps were lost, _hi if all
--                         unknown time had been kept: give these where coverage is below 0.95
--   ettr_meta             kept / (measured - idle - spare - user_caused)
--   ettr_unqueued         kept / (measured - queue_wait)
--   ettr_allocated        kept / allocated; runtime_goodput: the same under Google's name, since
--                         an allocation always has all its GPUs here
--   scheduling_goodput    (wall - queue_wait - repair_wait) / wall
--   program_goodput       ideal / kept
--   coverage              share of allocated time of which the logs say what it was
--   <leaf>_gpu_ms         each leaf (GPU-ms); they sum to wall_gpu_ms
WITH spent AS (
    SELECT
        cluster,
        run,
        sum(gpu_ms)::BIGINT AS wall_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_kept(leaf)), 0)::BIGINT AS kept_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE is_allocated(leaf)), 0)::BIGINT AS allocated_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE provisional), 0)::BIGINT AS provisional_gpu_ms,
        coalesce(
            sum(gpu_ms) FILTER (
                WHERE cause IN ('Software (user)', 'Human')
                AND NOT is_kept(leaf)
                AND leaf NOT IN ('idle', 'spare', 'not_measured')
            ),
            0
        )::BIGINT AS user_caused_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'queue_wait'), 0)::BIGINT AS queue_wait_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'repair_wait'), 0)::BIGINT AS repair_wait_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'spare'), 0)::BIGINT AS spare_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'init'), 0)::BIGINT AS init_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'restore'), 0)::BIGINT AS restore_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'data_stall'), 0)::BIGINT AS data_stall_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'ckpt_stall'), 0)::BIGINT AS ckpt_stall_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'eval_or_custom'), 0)::BIGINT AS eval_or_custom_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'ideal'), 0)::BIGINT AS ideal_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'slow'), 0)::BIGINT AS slow_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'step_lost'), 0)::BIGINT AS step_lost_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'hang'), 0)::BIGINT AS hang_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'decide'), 0)::BIGINT AS decide_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'drain_idle'), 0)::BIGINT AS drain_idle_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'not_measured'), 0)::BIGINT AS not_measured_gpu_ms,
        coalesce(sum(gpu_ms) FILTER (WHERE leaf = 'unknown'), 0)::BIGINT AS unknown_gpu_ms
    FROM run_time
    GROUP BY ALL
),

measured AS (
    SELECT
        *,
        wall_gpu_ms - not_measured_gpu_ms AS measured_gpu_ms,
        -- Without a single logged attempt there is nothing to measure, whatever it waited.
        allocated_gpu_ms > not_measured_gpu_ms AS is_measured
    FROM spent
),

lived AS (
    SELECT
        cluster,
        run,
        max(gpus) AS gpus,
        min(started) AS first_started,
        CASE WHEN bool_and(ended IS NOT NULL) THEN max(ended) END AS last_ended
    FROM run_attempts
    WHERE started IS NOT NULL
    GROUP BY ALL
),

stopped AS (
    SELECT
        cluster,
        run,
        count(*) FILTER (WHERE NOT planned) AS disruptions
    FROM interruptions
    GROUP BY ALL
)

SELECT
    cluster,
    run,
    gpus,
    first_started,
    last_ended,
    coalesce(disruptions, 0) AS disruptions,
    wall_gpu_ms,
    measured_gpu_ms,
    kept_gpu_ms,
    provisional_gpu_ms,
    user_caused_gpu_ms,
    CASE WHEN is_measured THEN kept_gpu_ms / measured_gpu_ms END AS goodput,
    CASE WHEN is_measured THEN (kept_gpu_ms - provisional_gpu_ms) / measured_gpu_ms END
        AS goodput_lo,
    CASE WHEN is_measured THEN (kept_gpu_ms + unknown_gpu_ms) / measured_gpu_ms END AS goodput_hi,
    CASE
        WHEN is_measured
            THEN kept_gpu_ms / nullif(measured_gpu_ms - spare_gpu_ms - user_caused_gpu_ms, 0)
    END AS ettr_meta,
    CASE WHEN is_measured THEN kept_gpu_ms / (measured_gpu_ms - queue_wait_gpu_ms) END
        AS ettr_unqueued,
    CASE WHEN is_measured THEN kept_gpu_ms / (allocated_gpu_ms - not_measured_gpu_ms) END
        AS ettr_allocated,
    CASE WHEN is_measured THEN kept_gpu_ms / (allocated_gpu_ms - not_measured_gpu_ms) END
        AS runtime_goodput,
    (wall_gpu_ms - queue_wait_gpu_ms - repair_wait_gpu_ms) / wall_gpu_ms AS scheduling_goodput,
    ideal_gpu_ms / nullif(kept_gpu_ms, 0) AS program_goodput,
    (allocated_gpu_ms - unknown_gpu_ms - not_measured_gpu_ms) / nullif(allocated_gpu_ms, 0)
        AS coverage,
    queue_wait_gpu_ms,
    repair_wait_gpu_ms,
    spare_gpu_ms,
    init_gpu_ms,
    restore_gpu_ms,
    data_stall_gpu_ms,
    ckpt_stall_gpu_ms,
    eval_or_custom_gpu_ms,
    ideal_gpu_ms,
    slow_gpu_ms,
    step_lost_gpu_ms,
    hang_gpu_ms,
    decide_gpu_ms,
    drain_idle_gpu_ms,
    not_measured_gpu_ms,
    unknown_gpu_ms
FROM measured
LEFT JOIN lived USING (cluster, run)
LEFT JOIN stopped USING (cluster, run)
ORDER BY wall_gpu_ms DESC, cluster, run
