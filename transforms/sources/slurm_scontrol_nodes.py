"""`scontrol show nodes` to inventory and node states, as of the time that it was asked.

    NodeName=gpu007 Arch=x86_64 CoresPerSocket=64
       Gres=gpu:h100:8(S:0-1)
       State=IDLE+DRAIN ThreadsPerCore=2 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
       CfgTRES=cpu=128,mem=2000G,billing=128,gres/gpu=8
       Reason=XID 79 off the bus [root@2026-03-02T06:49:53]

Since when a node is in the fleet the snapshot does not say (a boot is no purchase): the row is
that of an inventory line without `valid_from`, so snapshots fold into one row, and an inventory
that does say overrules it. How states become spells: `transforms/sources/snapshots.py`.
Records of partitions name no more than nodes: they are ignored.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.scontrol_text import PARTITION, Record, keys_of, show, sniff_kind
from transforms.sources.snapshots import SIGHTING_SCHEMA, node_states
from transforms.tables.observed import NODE_STATES, NODES

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = keys_of(
    *("NodeName", "Arch", "CPUAlloc", "Gres", "GresDrain", "GresUsed", "NodeAddr", "Version", "OS"),
    *("State", "ThreadsPerCore", "Partitions", "BootTime", "CfgTRES", "AllocTRES", "CapWatts"),
    *("CurrentWatts", "ExtSensorsJoules", "NextState"),
    free=("Reason", "Comment", "Extra"),
)
_REASON = re.compile(r"(?P<reason>.*?)\s*\[(?P<user>[^\[\]@]*)@(?P<since>[^\[\]@]*)\]", re.DOTALL)
_GRES = re.compile(
    r"(?:^|,)gpu(?::(?P<model>[^:,()]*[A-Za-z][^:,()]*))?(?::(?P<count>\d+))?(?=[,(]|$)"
)
_TRES = re.compile(r"(?:^|,)gres/gpu(?::(?P<model>[^=,]+))?=(?P<count>[^,]*)")
_MOST_GPUS = 65_535


def sniff(head: str, name: str) -> int:
    """Records of nodes, or of partitions, with keys that no slurm.conf has."""
    nodes = sniff_kind(head, "NodeName", r"\bCfgTRES=|\bCPUTot=|\bNodeHostName=")
    return max(nodes, sniff_kind(head, PARTITION, r"\bTotalNodes=\d"))


def parse(data: bytes, origin: Origin) -> Parsed:
    """One inventory row a node, and one row a spell of one state."""
    shown = show(text.decode(data), "NodeName", _KEYS, origin)
    told = [_told(record) for record in shown.records]
    since = text.instants(pl.Series([row[3] for row in told], dtype=pl.String), origin.zone)
    bad = list(shown.refused)
    nodes, sightings, future = [], [], 0
    for record, row, (at, fault) in zip(shown.records, told, since.iter_rows(), strict=True):
        state, reason, user, _ = row
        gpus, model = _gpus(record)
        complaint = (
            (not record.word("NodeName") and "NodeName: not told")
            or (not state and "State: not told")
            or ((gpus is None or gpus > _MOST_GPUS) and "Gres, CfgTRES: unreadable GPU count")
            or (fault and f"Reason: its time is {fault}")
        )
        if complaint:
            bad.append((record.line_no, complaint, record.text))
            continue
        if "FUTURE" in state:  # a name kept for a node that is not there yet
            future += 1
            continue
        place = (origin.cluster, record.word("NodeName"))
        source = (origin.file, record.line_no)
        sightings.append((*place, state, record.seen, at, reason, user, *source))
        nodes.append((*place, ALWAYS, gpus, model, *source))
    seen = pl.DataFrame(sightings, schema=SIGHTING_SCHEMA, orient="row")
    bad.sort()
    return Parsed(
        frames={NODES.name: _inventory(nodes), NODE_STATES.name: node_states(seen)},
        rejects=rejects(bad),
        records=len(sightings) + len(bad) + shown.ignored + future,
        accepted=len(sightings),
        rejected=len(bad),
        ignored=shown.ignored + future,
    )


def _told(record: Record) -> tuple[str, str | None, str | None, str | None]:
    """State, reason, who gave it, and when, as words."""
    told = record.values.get("Reason", "")
    found = _REASON.fullmatch(told)
    reason = (found["reason"] if found else told).strip()
    user, since = (found["user"], found["since"]) if found else (None, None)
    known = reason if reason.lower() not in text.NOT_TOLD else None
    when = since if since and since.lower() not in text.NOT_TOLD else None
    return record.word("State").upper(), known, user or None, when


def _gpus(record: Record) -> tuple[int | None, str | None]:
    """How many GPUs, and their model where their type is named; no count where unreadable.

    What is configured counts; what a node registered with less of is in its reason.
    """
    gres, tres = record.word("Gres"), record.word("CfgTRES")
    by_gres, by_tres = list(_GRES.finditer(gres)), list(_TRES.finditer(tres))
    models = [found["model"] for found in (*by_gres, *by_tres) if found["model"]]
    model = models[0] if models else None
    if by_tres:
        whole = [found["count"] for found in by_tres if not found["model"]]
        counts = whole[:1] or [found["count"] for found in by_tres]
        digits = all(count.isascii() and count.isdigit() and len(count) < 7 for count in counts)
        return (sum(map(int, counts)) if digits else None), model
    if re.search(r"(?:^|,)gpu\b", gres) and not by_gres:
        return None, model
    return sum(int((found["count"] or "1")[:7]) for found in by_gres), model


def _inventory(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    names = ("cluster", "node", "valid_from", "gpus", "gpu_model", "file", "line_no")
    told = pl.DataFrame(
        rows, schema={name: NODES.dtypes[name] for name in names}, orient="row"
    ).unique(["cluster", "node"], keep="last", maintain_order=True)
    missing = [n for n in NODES.dtypes if n not in names]
    return NODES.conform(
        told.with_columns(pl.lit(None, NODES.dtypes[name]).alias(name) for name in missing)
    )


SOURCE = Source(
    name="slurm_scontrol_nodes",
    title="Slurm nodes: scontrol show nodes, with or without --oneliner",
    example="NodeName=gpu007 CPUTot=128 Gres=gpu:h100:8(S:0-1) State=IDLE+DRAIN CfgTRES=cpu=128,gres/gpu=8 Reason=XID 79 off the bus [root@2026-03-02T06:49:53]",
    makes=(NODES, NODE_STATES),
    sniff=sniff,
    parse=parse,
)
