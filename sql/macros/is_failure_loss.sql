-- True for GPU time that an unplanned failure took (methods G-7): its cause is a failure class,
-- and the time is neither kept work nor a plan, an insurance or a first start.
CREATE OR REPLACE MACRO is_failure_loss(leaf, cause) AS
    leaf::VARCHAR NOT IN ('ideal', 'slow', 'ckpt_stall', 'maintenance', 'idle')
    AND cause NOT IN ('', 'Planned', 'Human', 'insurance', 'start-up');
