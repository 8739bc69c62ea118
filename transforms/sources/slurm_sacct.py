"""Slurm accounting (`sacct -a -X -D -P`) to job attempts.

    JobID|JobName|User|Submit|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES
    34|pretrain|ada|2026-03-02T06:55:53|2026-03-02T06:55:56|Unknown|RUNNING|0:0|2|gpu[001-002]|...

Any columns in any order under a header; without one, the 26 columns that XDMoD's shredder asks for,
or the 25 that it asked for before it knew the QOS. A requeued job has one row an attempt
(`--duplicates`), told apart by its submission. Job steps are ignored.
"""

from collections.abc import Callable

from transforms.sources import slurm_attempts
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.slurm_pieces import ListingReading
from transforms.sources.slurm_text import Listing, Records, find_layout
from transforms.tables.observed import JOB_ATTEMPTS

BARE_COLUMNS = (
    "jobid|jobidraw|cluster|partition|qos|account|group|gid|user|uid|submit|eligible|start|end|"
    "elapsed|exitcode|state|nnodes|ncpus|reqcpus|reqmem|reqtres|alloctres|timelimit|nodelist|jobname"
)
_JOB = r"[0-9]+(?:_(?:[0-9]+|\[[^\]\s|]*\]))?(?:\+[0-9]+)?"
_TIME = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+ ?(?:Z|[+-][0-9:]+)?|[0-9]+|[A-Za-z/]*)"
_NUMBER = r"[0-9]*(?:\.[0-9]+)?[KMGT]?"
_WORD = r"[^\s|]*"
_SPAN = r"(?:[0-9:.-]*|UNLIMITED|Partition_Limit|INVALID)"
_TRES = r"(?:[a-z/]+(?::[^=,\s]+)?=[^=,\s]*(?:,[a-z/]+(?::[^=,\s]+)?=[^=,\s]*)*)?"
_STATE = r"[A-Za-z_]+\+?(?:,[A-Za-z_,]+)?(?: by [^\s|]+)?"

LISTING = Listing(
    header=(frozenset({"jobid", "state"}), frozenset({"jobidraw", "state"})),
    forms={
        "jobid": rf"{_JOB}(?:\.[^\s|]+)?",
        "jobidraw": rf"{_JOB}(?:\.[^\s|]+)?",
        "state": _STATE,
        "exitcode": r"(?:[0-9]+:[0-9]+)?",
        "derivedexitcode": r"(?:[0-9]+:[0-9]+)?",
        **dict.fromkeys(("submit", "eligible", "start", "end"), _TIME),
        **dict.fromkeys(("elapsed", "timelimit", "suspended", "totalcpu"), _SPAN),
        **dict.fromkeys(("elapsedraw", "timelimitraw", "nnodes", "allocnodes", "ncpus"), _NUMBER),
        **dict.fromkeys(("alloccpus", "reqcpus", "uid", "gid", "restarts"), _NUMBER),
        **dict.fromkeys(("priority", "qosraw", "associd", "dbindex", "cputimeraw"), _NUMBER),
        **dict.fromkeys(("ntasks", "reqnodes", "reservationid", "resvcpuraw", "wckeyid"), _NUMBER),
        **dict.fromkeys(("user", "account", "partition", "qos", "cluster", "group"), _WORD),
        **dict.fromkeys(("alloctres", "reqtres"), _TRES),
        "nodelist": r"(?:None assigned|[^\s|]*[A-Za-z][^\s|]*)?",
    },
    free=frozenset(
        (
            *("jobname", "submitline", "workdir", "extra", "stdin", "stdout", "stderr"),
            *("comment", "admincomment", "systemcomment", "constraints"),
        )
    ),
    keys=("jobid", "jobidraw", "state"),
    keeps=frozenset(slurm_attempts.COLUMNS),
    bare=(
        tuple(BARE_COLUMNS.split("|")),
        tuple(name for name in BARE_COLUMNS.split("|") if name != "qos"),
    ),
)


def sniff(head: str, name: str) -> int:
    """A header with JobID and State is ours; so is a line of XDMoD's columns without one."""
    layout = find_layout(head.split("\n")[:200], LISTING)
    if layout is None:
        return 0
    # squeue spells its header in capitals: it is a listing of now, without ends.
    return 1 if layout.header is not None and "JobID" not in layout.header else 2


def pieces(head: bytes, origin: Origin) -> ListingReading:
    return ListingReading(head, LISTING, LISTING.bare[0], slurm_attempts.COLUMNS, _tell, origin)


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per attempt; steps and repeated headers are ignored, the rest is refused by name."""
    return pieces(data, origin).parse(data)


def _tell(records: Records, words: Callable[[int], str], origin: Origin) -> Parsed:
    told = slurm_attempts.named(records.rows)
    attempts = told.filter(~told["jobid"].str.contains(".", literal=True).fill_null(False))
    read = slurm_attempts.attempts(attempts, origin)
    good, refused = refuse_faulty(JOB_ATTEMPTS, read, words)
    bad = sorted(records.rejects + refused)
    return Parsed(
        frames={JOB_ATTEMPTS.name: good},
        rejects=rejects(bad),
        records=records.rows.height + len(records.rejects) + records.repeated_headers,
        accepted=attempts.height - len(refused),
        rejected=len(bad),
        ignored=told.height - attempts.height + records.repeated_headers,
    )


SOURCE = Source(
    name="slurm_sacct",
    title="Slurm accounting: sacct -P, with or without a header",
    example="34|pretrain|ada|2026-03-02T06:55:53|2026-03-02T06:55:56|2026-03-02T06:58:22|NODE_FAIL|0:0|6|gpu[001-006]|billing=6,cpu=6,gres/gpu=48,node=6",
    makes=(JOB_ATTEMPTS,),
    sniff=sniff,
    parse=parse,
    pieces=pieces,
)
