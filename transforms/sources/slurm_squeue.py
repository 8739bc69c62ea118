"""`squeue` to job attempts: what Slurm said of its jobs at an instant.

    JOBID|NAME|USER|STATE|SUBMIT_TIME|START_TIME|NODES|NODELIST|TRES_ALLOC
    34|pretrain|ada|RUNNING|2026-03-02T06:58:33|2026-03-02T07:00:35|6|gpu[001-006]|cpu=6,gres/gpu=48

SUBMIT_TIME (`%V`) is needed: job id and submission tell attempts apart, and make them one with
those of the accounting. Snapshots fold by that key, the better informed row prevails, and nobody
invents an end: a job that later snapshots no longer show stays open until accounting ends it.
Without a header: the columns that the `gcm` collector asks for.
"""

import re

import polars as pl

from transforms.sources import slurm_attempts, text
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.job_snapshots import without_plans
from transforms.sources.listing_text import Form, Row, bare_header, find_header, listing
from transforms.tables.observed import JOB_ATTEMPTS

_FORM = Form(
    names={
        **dict.fromkeys(("JOBID", "JOB_ID", "JOBARRAYID"), "jobid"),
        "NAME": "jobname",
        **dict.fromkeys(("USER", "USERNAME"), "user"),
        **dict.fromkeys(("STATE", "ST"), "state"),
        **dict.fromkeys(("SUBMIT_TIME", "SUBMITTIME"), "submit"),
        **dict.fromkeys(("ELIGIBLE_TIME", "ELIGIBLETIME"), "eligible"),
        **dict.fromkeys(("START_TIME", "STARTTIME"), "start"),
        **dict.fromkeys(("END_TIME", "ENDTIME"), "end"),
        **dict.fromkeys(("NODES", "NUMNODES"), "nnodes"),
        **dict.fromkeys(("CPUS", "NUMCPUS"), "ncpus"),
        "NODELIST": "nodelist",
        "NODELIST(REASON)": "where",
        "REASON": "reason",
        "PARTITION": "partition",
        "ACCOUNT": "account",
        "QOS": "qos",
        **dict.fromkeys(("TIME_LIMIT", "TIMELIMIT"), "timelimit"),
        **dict.fromkeys(("TRES_ALLOC", "TRES-ALLOC"), "alloctres"),
        **dict.fromkeys(("TRES_PER_NODE", "TRES-PER-NODE", "GRES"), "reqgres"),
        "COMMENT": "comment",
        "CLUSTER": "cluster",
    },
    needs=frozenset({"jobid", "state"}),
    last=frozenset({"jobname", "where", "reason", "comment"}),
    bare=(
        *("TRES-PER-NODE", "MINCPUS", "JOBARRAYID", "", "NAME", "TIMELIMIT", "MINMEMORY"),
        *("COMMAND", "PRIORITY", "STATE", "USERNAME", "NUMCPUS", "NUMNODES", "TIMELEFT"),
        *("TIMEUSED", "NODELIST", "DEPENDENCY", "EXCNODES", "STARTTIME", "SUBMITTIME"),
        *("ELIGIBLETIME", "ACCRUETIME", "PENDINGTIME", "COMMENT", "PARTITION", "ACCOUNT", "QOS"),
        *("REASON", "TRES-ALLOC", "RESERVATION", "REQUEUE", "FEATURE", "RESTARTCNT"),
        *("SCHEDNODES", "LASTSCHEDEVAL"),
    ),
    fits=re.compile(r"[^|]*\|#?\d*\|#?\d+(?:_[^|]*)?\|#?\d+\|.*\|#?[A-Z_]{4,}\|"),
)
_STATES = {
    "BF": "BOOT_FAIL",
    "CA": "CANCELLED",
    "CD": "COMPLETED",
    "CF": "CONFIGURING",
    "CG": "COMPLETING",
    "DL": "DEADLINE",
    "F": "FAILED",
    "NF": "NODE_FAIL",
    "OOM": "OUT_OF_MEMORY",
    "PD": "PENDING",
    "PR": "PREEMPTED",
    "R": "RUNNING",
    "RD": "RESV_DEL_HOLD",
    "RF": "REQUEUE_FED",
    "RH": "REQUEUE_HOLD",
    "RQ": "REQUEUED",
    "RS": "RESIZING",
    "RV": "REVOKED",
    "S": "SUSPENDED",
    "SE": "SPECIAL_EXIT",
    "SI": "SIGNALING",
    "SO": "STAGE_OUT",
    "ST": "STOPPED",
    "TO": "TIMEOUT",
}
_COLUMNS = (
    *("jobid", "jobname", "user", "state", "submit", "eligible", "start", "end", "nnodes"),
    *("ncpus", "nodelist", "reason", "partition", "account", "qos", "timelimit", "alloctres"),
    *("reqgres", "comment", "cluster"),
)
_SCHEMA = pl.Schema({**dict.fromkeys(_COLUMNS, pl.String()), "line_no": pl.UInt32()})
_NO_SUBMISSION = "no SUBMIT_TIME in the header: attempts of one job cannot be told apart (add %V)"


def sniff(head: str, name: str) -> int:
    """A header in capitals that names jobs and states, or the known columns without one."""
    lines = head.split("\n")[:50]
    is_ours = any(find_header(line, _FORM) or bare_header(line, _FORM) for line in lines)
    return 2 if is_ours else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per attempt, from all snapshots of the file."""
    listed = listing(text.decode(data), _FORM, origin)
    texts = {row.line_no: row.text for row in listed.rows}
    rows = [_row(row) for row in listed.rows]
    told = slurm_attempts.named(pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
    read = slurm_attempts.attempts(without_plans(told), origin)
    if "submit" not in listed.columns:
        read = read.with_columns(fault=pl.lit(_NO_SUBMISSION))
    good, refused = refuse_faulty(JOB_ATTEMPTS, read, lambda line_no: texts[line_no])
    bad = sorted(listed.refused + refused)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=len(rows) + len(listed.refused) + listed.ignored,
        accepted=len(rows) - len(refused),
        rejected=len(bad),
        ignored=listed.ignored,
    )


def _row(row: Row) -> tuple[str | int | None, ...]:
    """A row in the words of `sacct -P`, in the order of _SCHEMA."""
    values = dict(row.values)
    state = values.get("state", "").upper()
    values["state"] = _STATES.get(state, state)
    where = values.get("where", "")
    values.setdefault("reason" if where.startswith("(") else "nodelist", where.strip("()"))
    cluster = values.get("cluster", "").lower()
    values["cluster"] = row.cluster if cluster in text.NOT_TOLD else values["cluster"]
    if "gpu" not in values.get("reqgres", ""):
        values.pop("reqgres", None)
    return (*(values.get(name) for name in _COLUMNS), row.line_no)


SOURCE = Source(
    name="slurm_squeue",
    title="Slurm jobs of one instant: squeue with a header, or as gcm asks for it",
    example="34|pretrain|ada|RUNNING|2026-03-02T06:58:33|2026-03-02T07:00:35|6|gpu[001-006]|cpu=6,gres/gpu=48",
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
)
