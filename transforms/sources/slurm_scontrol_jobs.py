"""`scontrol show jobs` to job attempts: what the controller knows of jobs before they are forgotten.

    JobId=34 JobName=pretrain
       UserId=ada(1000) GroupId=ada(1000) MCS_label=N/A
       JobState=RUNNING Reason=None Dependency=(null)
       Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 ExitCode=0:0
       SubmitTime=2026-03-02T06:58:33 EligibleTime=2026-03-02T07:00:34
       StartTime=2026-03-02T07:00:35 EndTime=2026-03-03T07:00:35 Deadline=N/A
       NodeList=gpu[001-006]

The end of a job that still runs or still cleans up, and the start of one that waits, are the
scheduler's plans: they are not taken over. A requeue gives the job a new SubmitTime: one attempt
each, of which this shows the last. Accounting of the same attempt prevails, for it has the end.
"""

import polars as pl

from transforms.sources import slurm_attempts, text
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.job_snapshots import without_plans
from transforms.sources.scontrol_text import Record, keys_of, show, sniff_kind
from transforms.tables.observed import JOB_ATTEMPTS

_KEYS = keys_of(
    *("JobId", "ArrayJobId", "ArrayTaskId", "HetJobId", "HetJobOffset", "PackJobId"),
    *("PackJobOffset", "HetJobIdSet", "PackJobIdSet", "ArrayTaskThrottle"),
    *("UserId", "GroupId", "Priority", "Account", "QOS", "WCKey", "JobState", "Reason"),
    *("FailedNode", "Dependency", "Requeue", "Restarts", "ExitCode", "RunTime", "TimeLimit"),
    *("TimeMin", "SubmitTime", "EligibleTime", "AccrueTime", "StartTime", "EndTime", "Deadline"),
    *("SuspendTime", "PreemptTime", "Partition", "AllocNode:Sid", "ReqNodeList", "ExcNodeList"),
    *("NodeList", "SchedNodeList", "BatchHost", "NumNodes", "NumCPUs", "NumTasks", "CPUs/Task"),
    *("ReqTRES", "AllocTRES", "TRES", "Socks/Node", "MinCPUsNode", "Features", "Command"),
    *("WorkDir", "StdErr", "StdIn", "StdOut", "Power"),
    *("TresPerNode", "TresPerJob", "MailUser", "OverSubscribe", "NtasksPerN:B:S:C", "Switches"),
    free=("JobName", "Name", "Comment", "AdminComment", "SystemComment"),
)
_WORDS = {
    "account": "Account",
    "partition": "Partition",
    "qos": "QOS",
    "state": "JobState",
    "submit": "SubmitTime",
    "eligible": "EligibleTime",
    "start": "StartTime",
    "end": "EndTime",
    "nodelist": "NodeList",
    "timelimit": "TimeLimit",
    "exitcode": "ExitCode",
}
_TEXTS = {
    "comment": "Comment",
    "admincomment": "AdminComment",
    "systemcomment": "SystemComment",
}
_COLUMNS = (
    *("jobid", "jobname", "user", "nnodes", "ncpus", "alloctres", "reqtres", "reason"),
    *(*_WORDS, *_TEXTS),
)
_SCHEMA = pl.Schema({**dict.fromkeys(_COLUMNS, pl.String()), "line_no": pl.UInt32()})


def sniff(head: str, name: str) -> int:
    """Records of jobs with their state."""
    return sniff_kind(head, "JobId", r"\bJobState=")


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per attempt; of an attempt that is shown again the best informed record counts."""
    shown = show(text.decode(data), "JobId", _KEYS, origin)
    rows = [_row(record) for record in shown.records]
    texts = {record.line_no: record.text for record in shown.records}
    told = slurm_attempts.named(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    read = slurm_attempts.attempts(without_plans(told), origin)
    good, refused = refuse_faulty(JOB_ATTEMPTS, read, lambda line_no: texts[line_no])
    bad = sorted(shown.refused + refused)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=len(rows) + len(shown.refused) + shown.ignored,
        accepted=len(rows) - len(refused),
        rejected=len(bad),
        ignored=shown.ignored,
    )


def _row(record: Record) -> tuple[str | int | None, ...]:
    """A record in the words of `sacct -P`, in the order of _SCHEMA."""
    # Before an allocation the only resources told are those asked for; the newest releases say which.
    tres = record.word("TRES")
    return (
        _job_id(record),
        record.values.get("JobName", record.values.get("Name")),
        record.word("UserId").partition("(")[0],
        _fewest(record.word("NumNodes")),
        _fewest(record.word("NumCPUs")),
        record.word("AllocTRES") or tres,
        record.word("ReqTRES") or tres,
        record.values.get("Reason", "").strip(),
        *(record.word(key) for key in _WORDS.values()),
        *(record.values.get(key) for key in _TEXTS.values()),
        record.line_no,
    )


def _job_id(record: Record) -> str:
    if (leader := record.word("ArrayJobId")) and (task := record.word("ArrayTaskId")):
        return f"{leader}_{task}" if task.isdigit() else f"{leader}_[{task}]"
    leader = record.word("HetJobId") or record.word("PackJobId")
    offset = record.word("HetJobOffset") or record.word("PackJobOffset")
    return f"{leader}+{offset}" if leader and offset else record.word("JobId")


def _fewest(count: str) -> str:
    """A waiting job may ask for a range: `2-4` nodes."""
    return count.partition("-")[0]


SOURCE = Source(
    name="slurm_scontrol_jobs",
    title="Slurm jobs: scontrol show jobs, with or without --oneliner",
    example="JobId=34 JobName=pretrain UserId=ada(1000) JobState=RUNNING Reason=None SubmitTime=2026-03-02T06:58:33 StartTime=2026-03-02T07:00:35 EndTime=2026-03-03T07:00:35 NodeList=gpu[001-006] TRES=cpu=768,node=6,gres/gpu=48",
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
)
