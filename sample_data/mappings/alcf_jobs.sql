-- Jobs of the Argonne Leadership Computing Facility's public job traces (Cobalt): one attempt a job.
-- into: job_attempts
-- reads: csv types=text
-- knows: COBALT_JOBID, MACHINE_NAME, QUEUED_TIMESTAMP, START_TIMESTAMP, END_TIMESTAMP, NODES_USED, EXIT_STATUS
-- example: "run1","201","mira","2019-01-01 00:00:10","2019-01-01 00:05:00","2019-01-01 06:05:02","u7","p3","prod-short","21600","512","8192","0"
--
-- Times are UTC. The trace tells the exit status and not the scheduler's state: 0 is COMPLETED; a
-- job that reached its wall time is TIMEOUT; any other is FAILED. CPU machines: no GPUs.
SELECT
    line_no,
    lower(MACHINE_NAME) AS cluster,
    COBALT_JOBID AS job_id,
    JOB_NAME AS name,
    USERNAME_GENID AS user,
    PROJECT_NAME_GENID AS account,
    QUEUE_NAME AS partition,
    local_time(QUEUED_TIMESTAMP, 'UTC') AS submitted,
    local_time(START_TIMESTAMP, 'UTC') AS started,
    local_time(END_TIMESTAMP, 'UTC') AS ended,
    CASE
        WHEN EXIT_STATUS::INTEGER = 0 THEN 'COMPLETED'
        WHEN date_diff('second', START_TIMESTAMP::TIMESTAMP, END_TIMESTAMP::TIMESTAMP)
            >= WALLTIME_SECONDS::BIGINT THEN 'TIMEOUT'
        ELSE 'FAILED'
    END AS state,
    EXIT_STATUS AS exit_code,
    NODES_USED AS node_count,
    CORES_USED AS cpus,
    0 AS gpus,
    WALLTIME_SECONDS AS time_limit_s
FROM input
