"""The log of Slurm's controller (slurmctld.log) to node states and reports of lost nodes.

    [2026-03-02T06:49:41.991] requeue job JobId=34 due to failure of node gpu002
    [2026-03-02T06:49:41.992] error: Nodes gpu[002,004] not responding, setting DOWN
    [2026-03-02T06:50:13.646] node gpu002 returned to service

A lost job names the node that took it down: a row of cluster_events. Spells out of service fold
with those of `slurm_events`. "now responding" ends nothing: a node may stay down until an operator
brings it back. Two things end a spell without a word of it: a job that starts on the node, and a
controller that starts without the old node states. A spell open at the last line stays open, and
a return from a spell that began before the first line is a spell of IDLE.
"""

import re

import polars as pl

from transforms.hostlist import HostlistError
from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.ctld_lines import TELLING, Reading
from transforms.tables.observed import CLUSTER_EVENTS, NODE_STATES

_STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_STAMPED = rf"^\[({_STAMP})\] (?:error: )?(.*)$"
_OURS = re.compile(
    rf"^\[{_STAMP}\] (?:error: )?(?:slurmctld version |sched: Allocate JobId=|sched/backfill: "
    r"|_job_complete: JobId=|_slurm_rpc_(?:submit_batch_job|kill_job|allocate|node_registration)"
    r"|Running as primary controller|Nodes? \S+ (?:not|now) respond|update_node: node "
    r"|(?:\w+: )?[Nn]ode \S+ returned to service|requeue (?:job )?(?:JobId=|\d))",
    re.MULTILINE,
)


def sniff(head: str, name: str) -> int:
    """A bracketed time, and after it words that only the controller says."""
    return 2 if _OURS.search(head) else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """Spells and losses; lines that tell nothing of either are ignored."""
    lines = text.numbered_lines(data)
    telling = _stamped(lines, origin.zone)
    log, told, bad = Reading(), set(), {}
    for line_no, message, at, fault in telling.iter_rows():
        if fault:
            bad[line_no] = fault
            continue
        try:
            if log.take(at, message, line_no):
                told.add(line_no)
        except HostlistError as error:
            bad[line_no] = f"nodes: {error}"

    def words(line_no: int) -> str:
        return str(lines["line"][line_no - 1])

    cluster = log.cluster or origin.cluster
    states, crossed = refuse_broken(NODE_STATES, _node_states(log, cluster, origin.file), words)
    events = CLUSTER_EVENTS.fold(_cluster_events(log, cluster, origin.file))
    bad |= {line_no: reason for line_no, reason, _ in crossed}
    records = lines.filter(pl.col("line").str.strip_chars() != "").height
    accepted = len(told - bad.keys())
    return Parsed(
        frames={NODE_STATES.name: states, CLUSTER_EVENTS.name: events},
        rejects=rejects([(line_no, why, words(line_no)) for line_no, why in sorted(bad.items())]),
        records=records,
        accepted=accepted,
        rejected=len(bad),
        ignored=records - accepted - len(bad),
    )


def _stamped(lines: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Lines that may tell something: line_no, message, at, fault."""
    telling = lines.filter(pl.col("line").str.contains_any(list(TELLING)))
    parts = telling.with_columns(pl.col("line").str.extract_groups(_STAMPED).alias("parts"))
    stamp = parts["parts"].struct.field("1")
    read = text.instants(stamp, zone)
    return parts.select(
        "line_no",
        pl.col("parts").struct.field("2").alias("message"),
        read["at"].alias("at"),
        pl.when(pl.col("parts").struct.field("1").is_null())
        .then(pl.lit("no time before the message"))
        .otherwise(pl.lit("time: ") + read["fault"])
        .alias("fault"),
    )


def _node_states(log: Reading, cluster: str, file: str) -> pl.DataFrame:
    rows = [
        (cluster, s.node, s.began, s.state, s.ended, s.reason, None, file, s.line_no)
        for s in log.spells.told
    ]
    names = ("cluster", "node", "began", "state", "ended", "reason", "user", "file", "line_no")
    schema = {name: NODE_STATES.dtypes[name] for name in names}
    return NODE_STATES.conform(pl.DataFrame(rows, schema=schema, orient="row"))


def _cluster_events(log: Reading, cluster: str, file: str) -> pl.DataFrame:
    rows = [
        {
            "cluster": cluster,
            "node": loss.node,
            "observed_at": loss.at,
            "reporter": "slurmctld",
            "object": f"job {loss.job}",
            "reason": loss.reason,
            "code": 0,
            "device": "",
            "detail": loss.detail,
            "level": "critical",
            "last_at": None,
            "times": None,
            "file": file,
            "line_no": loss.line_no,
        }
        for loss in log.losses
    ]
    return CLUSTER_EVENTS.conform(pl.DataFrame(rows, schema=CLUSTER_EVENTS.dtypes))


SOURCE = Source(
    name="slurm_ctld",
    title="Slurm controller log: slurmctld.log",
    example="[2026-03-02T06:49:41.992] error: Nodes gpu[002,004] not responding, setting DOWN",
    makes=(NODE_STATES, CLUSTER_EVENTS),
    sniff=sniff,
    parse=parse,
)
