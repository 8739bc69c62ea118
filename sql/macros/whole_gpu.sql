-- The GPU that a device of `heard_hourly` or `sample_signals` is, or is a MIG instance of:
-- whole_gpu('GPU-5c1a/3') is 'GPU-5c1a', whole_gpu('node-1/0') itself.
CREATE OR REPLACE MACRO whole_gpu(device) AS
    regexp_replace(device, '^(GPU-[^/]+|[^/]+/[^/]+)/.*$', '\1');
