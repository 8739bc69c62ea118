-- True for leaves of the GPU-time tree in which a job held the GPUs.
CREATE OR REPLACE MACRO is_allocated(leaf) AS
    leaf::VARCHAR NOT IN (
        'idle', 'queue_wait', 'repair_wait', 'spare', 'down', 'maintenance', 'unobserved'
    );
