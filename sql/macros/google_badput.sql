-- The badput type of ml-goodput-measurement that a leaf of the tree falls under (methods 4.2); null
-- for kept steps, for what that library leaves out (the queue before the first start), and for what
-- is no run's time. INITIALIZATION holds TPU_INITIALIZATION, TRAINING_PREP and PROGRAM_STARTUP,
-- which one leaf holds here, with a restart's ELASTIC_SCALE_UP and ELASTIC_REINITIALIZATION. GPUs that
-- a running job goes on without are told by its marks or by telemetry, a wait for repair never is.
CREATE OR REPLACE MACRO google_badput(leaf, cause, evidence) AS
    CASE
        WHEN leaf::VARCHAR = 'init' THEN 'INITIALIZATION'
        WHEN leaf::VARCHAR = 'restore' THEN 'UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME'
        WHEN leaf::VARCHAR = 'ckpt_stall' THEN 'UNPRODUCTIVE_CHECKPOINT_SAVE_TIME'
        WHEN leaf::VARCHAR = 'data_stall' THEN 'DATA_LOADING_SYNC'
        WHEN leaf::VARCHAR = 'eval_or_custom' THEN 'CUSTOM_BADPUT_EVENTS'
        WHEN leaf::VARCHAR = 'step_lost' THEN 'WASTED_PROGRESS_FROM_DISRUPTION'
        WHEN leaf::VARCHAR IN ('hang', 'decide') THEN 'INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION'
        WHEN leaf::VARCHAR = 'repair_wait' AND evidence::VARCHAR IN ('marks', 'telemetry')
            THEN 'ELASTIC_SLICE_DOWN'
        WHEN leaf::VARCHAR IN ('queue_wait', 'repair_wait') AND cause <> 'start-up'
            THEN 'INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION'
        WHEN leaf::VARCHAR IN ('unknown', 'drain_idle') THEN 'OTHER'
    END;
