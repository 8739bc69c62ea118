"""What columns are usually called: guesses for a first mapping, most telling first.

A name is compared in lower case with `_` between its words; of a nested column, its last part.
"""

import re

from transforms.contract import Table
from transforms.tables import observed

NODE = (
    "node", "host", "hostname", "node_name", "nodename", "node_id", "host_name", "server",
    "server_name", "server_id", "machine", "machine_id", "nodenum", "node_num", "cmdb_ci", "ci",
    "configuration_item", "asset", "location", "unit", r".*(node|host|server|machine).*",
)  # fmt: skip
JOB = (
    "jobid", "job_id", "jobidraw", "job_name_id", "id_job", "cobalt_jobid", "job", "task_id",
    "allocation_id",
)  # fmt: skip
RECORD = (
    "ticket", "ticket_id", "number", "key", "issue_key", "incident", "incident_id", "case_id",
    "record", "record_id", "sys_id", "id", "uuid", "event_id", "issue",
)  # fmt: skip
BEGAN = (
    "began", "start", "started", "start_time", "started_at", "prob_started", "problem_started",
    "opened", "opened_at", "begin", "down_since", "onset", "created", "created_at", "from",
    "first_seen", "since", "fault_start", "event_time", "timestamp", "time", "ts", "date", "when",
    r".*(start|began|begin|open|creat|onset).*", r".*(time|date|stamp).*",
)  # fmt: skip
ENDED = (
    "ended", "end", "end_time", "ended_at", "prob_fixed", "problem_fixed", "closed", "closed_at",
    "resolved", "resolved_at", "finished", "until", "to", "fixed", "stop", "completed",
    "fault_end", r".*(end|closed|resolv|fixed|finish|complet|until).*",
)  # fmt: skip
AT = (
    "observed_at", "timestamp", "time", "ts", "at", "datetime", "date_time", "event_time", "when",
    "date", r".*(time|stamp|date).*", *BEGAN,
)  # fmt: skip
CAUSE = (
    "cause", "root_cause", "desc", "description", "short_description", "reason", "failure_type",
    "error", "summary", "title", "problem", "type", "fault", "what", r".*(cause|reason|desc|fail).*",
)  # fmt: skip
COMPONENT = (
    "component", "part", "class", "category", "subcategory", "subsystem", "service", "module",
    "device", "hardware", r".*(component|categor|class|part).*",
)  # fmt: skip
NOTE = ("note", "notes", "comment", "comments", "details", "detail", "text", "message", "level",
        r".*(note|comment|detail).*")  # fmt: skip
DETAIL = ("message", "msg", "detail", "details", "text", "description", "line", "body", *NOTE)
STATE = ("state", "status", "job_state", "exit_state", r".*(state|status).*")
USER = ("user", "username", "user_name", "user_id", "uid", "owner", "assignee")
GPUS = ("gpus", "gpu_count", "num_gpus", "ngpus", "n_gpus", "gpu_num", "gpus_used")
COUNT = ("nodes_used", "node_count", "num_nodes", "nnodes", "nodes_requested", "n_nodes")
CLUSTER = ("cluster", "cluster_name", "system", "machine_name")

USUAL: dict[str, dict[str, tuple[str, ...]]] = {
    "outages": {
        "cluster": CLUSTER, "unit": NODE, "began": BEGAN, "ended": ENDED, "record": RECORD,
        "component": COMPONENT, "cause": CAUSE, "note": NOTE,
    },
    "job_attempts": {
        "cluster": CLUSTER, "job_id": JOB, "run": ("run", "run_id"), "name": ("name", "job_name"),
        "submitted": ("submitted", "submit", "submit_time", "queued", "queued_timestamp",
                      "queue_time", "qdate", r".*(submit|queue.*(time|stamp|date)|created).*"),
        "eligible": ("eligible", "eligible_time"),
        "started": ("started", "start", "start_time", "start_timestamp", r".*start.*"),
        "ended": ("ended", "end", "end_time", "end_timestamp", *ENDED),
        "user": USER, "account": ("account", "project", "project_name", "group"),
        "partition": ("partition", "queue", "queue_name"), "qos": ("qos",), "state": STATE,
        "exit_code": ("exit_code", "exit_status", "exitcode"), "signal": ("signal",),
        "nodes": ("nodes", "node_list", "nodelist", "hosts", "hostlist"), "node_count": COUNT,
        "cpus": ("cpus", "ncpus", "cores", "cores_used", "num_cpus"), "gpus": GPUS,
        "reason": ("reason",), "time_limit_s": ("time_limit_s", "timelimit", "walltime_seconds"),
    },
    "node_states": {
        "cluster": CLUSTER, "node": NODE, "began": BEGAN, "ended": ENDED, "state": STATE,
        "reason": ("reason", "cause", "comment", "description", "message"), "user": USER,
    },
    "cluster_events": {
        "cluster": CLUSTER, "node": NODE, "observed_at": AT,
        "reporter": ("reporter", "source", "component", "agent", "program", "service"),
        "reason": ("reason", "event", "event_type", "type", "name", "kind", "category"),
        "code": ("xid", "code"), "device": ("device", "gpu", "gpu_uuid", "pci", "link"),
        "detail": DETAIL, "level": ("level", "severity", "priority"),
    },
    "nodes": {
        "cluster": CLUSTER, "node": NODE, "valid_from": ("valid_from", "installed", "since"),
        "valid_to": ("valid_to", "removed", "until"), "gpus": GPUS,
        "gpu_model": ("gpu_model", "model", "gpu_type"), "rack": ("rack",), "hall": ("hall", "room"),
    },
    "steps": {
        "cluster": CLUSTER, "run": ("run", "run_id", "run_name", "experiment"), "job_id": JOB,
        "restart": ("restart", "restart_count"), "step": ("step", "global_step", "iteration"),
        "began": BEGAN, "ended": ENDED, "tokens": ("tokens",),
    },
    "gpu_samples": {
        "cluster": CLUSTER, "node": NODE, "observed_at": AT,
        "gpu": ("uuid", "gpu_uuid", "gpu", "gpu_id"), "slot": ("slot", "index", "gpu_index"),
    },
}  # fmt: skip
TIMES = re.compile(
    r"time|date|start|end|began|begin|stamp|since|until|opened|closed|created|resolved|fixed|"
    r"submit|queued|epoch|(^|_)(at|ts|t|from|to|when)$"
)


def plain(name: str) -> str:
    """`faultType.Opened At` as `opened_at`."""
    last = re.sub(r"([a-z])([A-Z])", r"\1_\2", name.rpartition(".")[2])
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")


def patterns(table: Table, column: str) -> tuple[str, ...]:
    return (*USUAL.get(table.name, {}).get(column, ()), column)


def best_table(names: list[str], times: int, is_paired: bool) -> Table:
    """The table that columns of these names and this many times look most like.

    `is_paired` where some records open what others close.
    """
    plain_names = [plain(name) for name in names]

    def has(usual: tuple[str, ...]) -> bool:
        exact = {pattern for pattern in usual if ".*" not in pattern}
        return any(name in exact for name in plain_names)

    if is_paired and has(NODE):
        return observed.OUTAGES
    if has(JOB) and (has(GPUS) or has(COUNT) or has(USER) or has(("queue", "partition"))):
        return observed.JOB_ATTEMPTS
    if has(("step", "global_step", "iteration")) and times:
        return observed.STEPS
    if has(NODE) and not times and has((*GPUS, "rack", "gpu_model")):
        return observed.NODES
    if has(NODE) and has(STATE) and times and not has(RECORD) and not has(COMPONENT):
        return observed.NODE_STATES
    if times == 1 and has(DETAIL) and not has(RECORD):
        return observed.CLUSTER_EVENTS
    return observed.OUTAGES
