"""`scontrol show nodes` to inventory and node states, as of the time that it was asked.

    NodeName=gpu007 Arch=x86_64 CoresPerSocket=64
       Gres=gpu:h100:8(S:0-1)
       State=IDLE+DRAIN ThreadsPerCore=2 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
       CfgTRES=cpu=128,mem=2000G,billing=128,gres/gpu=8
       Reason=XID 79 off the bus [root@2026-03-02T06:49:53]

What the inventory row says of time: `transforms/sources/node_gpus.py`. How states become spells: `transforms/sources/snapshots.py`.
Records of partitions name no more than nodes: they are ignored.
"""

import re

import polars as pl

from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.node_gpus import configured_gpus, snapshot_inventory
from transforms.sources.scontrol_text import PARTITION, Record, keys_of, show, sniff_kind
from transforms.sources.snapshots import SIGHTING_SCHEMA, node_states
from transforms.tables.observed import NODE_STATES, NODES

_KEYS = keys_of(
    *("NodeName", "Arch", "CPUAlloc", "Gres", "GresDrain", "GresUsed", "NodeAddr", "Version", "OS"),
    *("State", "ThreadsPerCore", "Partitions", "BootTime", "CfgTRES", "AllocTRES", "CapWatts"),
    *("CurrentWatts", "ExtSensorsJoules", "NextState"),
    free=("Reason", "Comment", "Extra"),
)
_REASON = re.compile(r"(?P<reason>.*?)\s*\[(?P<user>[^\[\]@]*)@(?P<since>[^\[\]@]*)\]", re.DOTALL)


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
        gpus, model = configured_gpus(record.word("Gres"), record.word("CfgTRES"))
        complaint = (
            (not record.word("NodeName") and "NodeName: not told")
            or (not state and "State: not told")
            or (gpus is None and "Gres, CfgTRES: unreadable GPU count")
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
        nodes.append((*place, gpus, model, *source))
    seen = pl.DataFrame(sightings, schema=SIGHTING_SCHEMA, orient="row")
    bad.sort()
    return Parsed(
        frames={NODES.name: snapshot_inventory(nodes), NODE_STATES.name: node_states(seen)},
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


SOURCE = Source(
    name="slurm_scontrol_nodes",
    title="Slurm nodes: scontrol show nodes, with or without --oneliner",
    example="NodeName=gpu007 CPUTot=128 Gres=gpu:h100:8(S:0-1) State=IDLE+DRAIN CfgTRES=cpu=128,gres/gpu=8 Reason=XID 79 off the bus [root@2026-03-02T06:49:53]",
    makes=(NODES, NODE_STATES),
    sniff=sniff,
    parse=parse,
)
