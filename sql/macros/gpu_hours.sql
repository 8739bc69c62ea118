-- GPU-milliseconds as GPU-hours.
CREATE OR REPLACE MACRO gpu_hours(gpu_ms) AS
    gpu_ms / 3.6e6;
