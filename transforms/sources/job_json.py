"""A job of `squeue --json` in the words of `sacct -P`, releases 22.05 to 25.11.

{"job_id": 34, "job_state": ["RUNNING"], "submit_time": {"set": true, "number": 1772434713},
 "start_time": {"set": true, "number": 1772434835}, "nodes": "gpu[001-006]",
 "tres_alloc_str": "cpu=6,node=6,gres/gpu=48"}
"""

from typing import Any

import polars as pl

from transforms.sources.slurm_values import digits, listed, number, part, words

_TEXTS = {
    "jobname": "name",
    "user": "user_name",
    "account": "account",
    "partition": "partition",
    "qos": "qos",
    "cluster": "cluster",
    "reason": "state_reason",
    "nodelist": "nodes",
    "alloctres": "tres_alloc_str",
    "reqtres": "tres_req_str",
    "comment": "comment",
    "admincomment": "admin_comment",
    "systemcomment": "system_comment",
}
_NUMBERS = {
    "submit": "submit_time",
    "eligible": "eligible_time",
    "start": "start_time",
    "end": "end_time",
    "nnodes": "node_count",
    "ncpus": "cpus",
}
JOB_SCHEMA = pl.Schema(
    dict.fromkeys(("jobid", "state", "timelimit", "exitcode", *_TEXTS, *_NUMBERS), pl.String())
)


def job_row(job: dict[str, Any]) -> tuple[str | None, ...]:
    """The job in the order of JOB_SCHEMA. Raises UnreadableError."""
    minutes = number(job, "time_limit")
    state = ",".join(listed(job, "job_state"))
    return (
        _job_id(job),
        state or None,
        None if minutes is None else f"{minutes}:00",
        _exit(job),
        *(words(job, name) for name in _TEXTS.values()),
        *(digits(job, name) for name in _NUMBERS.values()),
    )


def _job_id(job: dict[str, Any]) -> str | None:
    if leader := number(job, "array_job_id"):
        if waiting := words(job, "array_task_string"):
            return f"{leader}_[{waiting}]"
        if (task := number(job, "array_task_id")) is not None:
            return f"{leader}_{task}"
    if leader := number(job, "het_job_id"):
        return f"{leader}+{number(job, 'het_job_offset') or 0}"
    return digits(job, "job_id")


def _exit(job: dict[str, Any]) -> str | None:
    """`code:signal`; 22.05 gives the two in one number, as wait(2) does."""
    told = job.get("exit_code")
    if not isinstance(told, dict) or "return_code" not in told:
        status = number(job, "exit_code")
        return None if status is None else f"{status >> 8 & 255}:{status & 127}"
    killed = part(told, "signal")
    code = number(told, "return_code")
    signal = number(killed, "id") if "id" in killed else number(killed, "signal_id")
    return None if code is None and signal is None else f"{code or 0}:{signal or 0}"
