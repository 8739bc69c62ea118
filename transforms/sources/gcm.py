"""Records of GPU Cluster Monitoring (gcm) as its file and stdout sinks write them, JSON.

    {"int": {"collection_unixtime": 1772446504}, "normal": {"NODE_NAME": "gpu7", "STATE": ...}}

Reads, of gcm 2025 and 2026: `sacct_publish` (an accounting record under `sacct`), the jobs and
nodes of `slurm_job_monitor`, and the results of `health_checks`. The file sink sorts fields by
their type into int, double, normal and tags; the stdout sink prints lists of plain objects.

    sacct_publish     job_attempts   as `sacct -P` would give; steps are ignored
    jobs              job_attempts   an open attempt; only the accounting says how it ended
    nodes             node_states    as `transforms/sources/snapshots.py` makes them of sightings
    health checks     cluster_events what failed; passes are ignored, as are all other records

A check that finds an old Xid in a log does not make it an Xid of now: `code` stays 0.
A record is an object, and `line_no` counts them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import polars as pl

from transforms.sources import agent_events, job_snapshots, slurm_attempts, snapshots, text
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, refuse_faulty, rejects
from transforms.sources.json_cursor import clean
from transforms.sources.json_records import records
from transforms.tables.observed import CLUSTER_EVENTS, JOB_ATTEMPTS, NODE_STATES

_SINK = ("int", "double", "normal", "tags")
_LEVELS = {1: "warning", 2: "critical", 3: "info"}
_JOB_WORDS = {
    "jobid": "JOBID",
    "jobidraw": "JOBID_RAW",
    "jobname": "NAME",
    "user": "USER",
    "account": "ACCOUNT",
    "partition": "PARTITION",
    "qos": "QOS",
    "cluster": "cluster",
    "state": "STATE",
    "reason": "REASON",
    "submit": "SUBMIT_TIME",
    "eligible": "ELIGIBLE_TIME",
    "start": "START_TIME",
    "nodelist": "NODELIST",
    "nnodes": "NODES",
    "ncpus": "CPUS",
    "timelimit": "TIME_LIMIT",
    "comment": "COMMENT",
}

_Fields = dict[str, Any]
_Bad = list[tuple[int, str, str]]


def sniff(head: str, name: str) -> int:
    """JSON with the fields of one of the records that are read."""
    if head.lstrip("\ufeff \t\r\n")[:1] not in ("{", "["):
        return 0
    snapshot = '"collection_unixtime"' in head and ('"NODE_NAME"' in head or '"JOBID_RAW"' in head)
    account = '"end_ds"' in head and '"sacct' in head
    check = '"health_check"' in head and '"_msg"' in head
    return 2 if snapshot or account or check else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """Sort the records by kind and read each kind as its table asks."""
    bad: _Bad = []
    told: dict[int, str] = {}
    accounts: list[_Fields] = []
    jobs: list[_Fields] = []
    nodes: list[tuple[int, _Fields]] = []
    checks: list[tuple[int, _Fields]] = []
    ignored = 0
    for record in records(text.decode(data)):
        told[record.line_no] = record.text
        fields = _plain(record.value)
        account = _account(fields)
        if record.fault:
            bad.append((record.line_no, record.fault, record.text))
        elif account and "." not in str(account.get("jobid", "")):
            accounts.append(account | {"line_no": record.line_no})
        elif "JOBID_RAW" in fields:
            jobs.append(_job(fields) | {"line_no": record.line_no})
        elif "NODE_NAME" in fields:
            nodes.append((record.line_no, fields))
        elif "health_check" in fields and fields.get("result") != 0:
            checks.append((record.line_no, fields))
        else:
            ignored += 1
    events = _events(checks, told, bad, origin)
    read = slurm_attempts.attempts(_named(accounts), origin)
    looks = slurm_attempts.attempts(job_snapshots.without_plans(_named(jobs)), origin)
    attempts, refused_jobs = refuse_faulty(JOB_ATTEMPTS, pl.concat([read, looks]), told.__getitem__)
    states, refused_nodes = _states(nodes, told, origin)
    refused = sorted([*events.rejects.iter_rows(), *refused_jobs, *refused_nodes])
    count = len(accounts) + len(jobs) + len(nodes) + events.records + ignored
    return Parsed(
        frames={JOB_ATTEMPTS.name: attempts, NODE_STATES.name: states, **events.frames},
        rejects=rejects(refused),
        records=count,
        accepted=count - ignored - len(refused),
        rejected=len(refused),
        ignored=ignored,
    )


def _plain(value: _Fields) -> _Fields:
    """Without the file sink's sorting of fields by type."""
    if not value or not value.keys() <= set(_SINK):
        return value
    parts = [part for part in value.values() if isinstance(part, dict)]
    return {name: told for part in parts for name, told in part.items()}


def _account(fields: _Fields) -> _Fields:
    """The accounting record of sacct_publish, as texts under lower-case names; else empty."""
    inner = fields.get("sacct")
    found = inner if isinstance(inner, dict) else {
        name.removeprefix("sacct."): told
        for name, told in fields.items() if name.startswith("sacct.")
    }  # fmt: skip
    words = {str(name).lower(): _text(told) for name, told in found.items()}
    if words and not words.get("cluster"):
        words["cluster"] = _text(fields.get("cluster"))
    return words


def _job(fields: _Fields) -> _Fields:
    words: _Fields = {name: _text(fields.get(key)) for name, key in _JOB_WORDS.items()}
    gpus = fields.get("TRES_GPUS_ALLOCATED")
    words["alloctres"] = f"gres/gpu={gpus}" if isinstance(gpus, int) else None
    return words


def _text(value: Any) -> str | None:
    """A value as sacct prints it; a list of hosts joined."""
    if value is None or isinstance(value, dict):
        return None
    return clean(",".join(map(str, value)) if isinstance(value, list) else str(value))


def _named(jobs: list[_Fields]) -> pl.DataFrame:
    names = [name for name in slurm_attempts.COLUMNS if any(name in job for job in jobs)]
    columns = {name: [job.get(name) for job in jobs] for name in names}
    rows = pl.DataFrame(
        {**columns, "line_no": [job["line_no"] for job in jobs]},
        schema={**dict.fromkeys(names, pl.String()), "line_no": pl.UInt32()},
    )
    return slurm_attempts.named(rows)


def _states(
    nodes: list[tuple[int, _Fields]], told: dict[int, str], origin: Origin
) -> tuple[pl.DataFrame, _Bad]:
    bad: _Bad = []
    sightings: list[tuple[Any, ...]] = []
    since = _instants([_text(fields.get("TIMESTAMP")) for _, fields in nodes], origin)
    seen = _instants([_text(fields.get("collection_unixtime")) for _, fields in nodes], origin)
    for (line_no, fields), (set_at, _), (at, fault) in zip(nodes, since, seen, strict=True):
        node, state = _text(fields.get("NODE_NAME")), _text(fields.get("STATE"))
        if at is None:
            bad.append((line_no, f"collection_unixtime: {fault or 'not told'}", told[line_no]))
        elif not node or not state:
            bad.append((line_no, "NODE_NAME or STATE: not told", told[line_no]))
        else:
            cluster = _text(fields.get("cluster")) or origin.cluster
            reason, user = _word(fields.get("REASON")), _word(fields.get("USER"))
            words = (cluster, node, state.upper())
            sightings.append((*words, at, set_at, reason, user, origin.file, line_no))
    frame = pl.DataFrame(sightings, schema=snapshots.SIGHTING_SCHEMA, orient="row")
    good, broken = refuse_broken(NODE_STATES, snapshots.node_states(frame), told.__getitem__)
    return good, bad + broken


def _word(value: Any) -> str | None:
    word = (_text(value) or "").strip()
    return None if word.lower() in text.NOT_TOLD else word


def _instants(
    texts: list[str | None], origin: Origin
) -> Iterator[tuple[datetime | None, str | None]]:
    return text.instants(pl.Series(texts, dtype=pl.String), origin.zone).iter_rows()


def _events(
    checks: list[tuple[int, _Fields]], told: dict[int, str], bad: _Bad, origin: Origin
) -> Parsed:
    reports: list[Report] = []
    for line_no, fields in checks:
        level = _LEVELS.get(fields["result"]) if type(fields.get("result")) is int else None
        if level is None:
            bad.append((line_no, "result: not 0 to 3", told[line_no]))
            continue
        node = _text(fields.get("node")) or origin.node
        job = _word(fields.get("job_id"))
        reports.append(
            Report(
                line_no=line_no,
                at=_text(fields.get("end_time")) or _text(fields.get("start_time")),
                node=node,
                reporter="gcm",
                object=f"job {job}" if job and job != "0" else f"node {node}",
                reason=_text(fields.get("health_check")) or "",
                detail=_text(fields.get("_msg")) or "",
                level=level,
                device=agent_events.device(_text(fields.get("_msg")) or ""),
                cluster=_text(fields.get("cluster")) or "",
            )
        )
    return agent_events.parsed(reports, bad, told.__getitem__, origin)


SOURCE = Source(
    name="gcm",
    title="Meta's gcm: sacct_publish, slurm_job_monitor and health checks, JSON",
    example='{"int": {"collection_unixtime": 1772446504, "NUM_GPUS": 8}, "double": {}, "normal": {"cluster": "fair-a", "derived_cluster": "fair-a", "NODE_NAME": "gpu7", "STATE": "drained*", "REASON": "XID 79", "TIMESTAMP": "2026-03-02T10:10:00"}, "tags": {}}',
    makes=(JOB_ATTEMPTS, NODE_STATES, CLUSTER_EVENTS),
    sniff=sniff,
    parse=parse,
)
