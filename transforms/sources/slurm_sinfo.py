"""`sinfo` to node states: what Slurm said of every node, as of the time that it was asked.

    NODELIST|STATE|REASON|TIMESTAMP
    gpu007|drained*|XID 79 off the bus|2026-03-02T06:49:53

Any columns that name node and state: `-N -l`, the plain form, `-o` and `-O`. TIMESTAMP (`%H`) says
when the reason was given, and so when the spell out of service began; without it a spell begins
when it is seen first. The same node under several partitions counts once. How states become
spells, and what dates a snapshot: `transforms/sources/snapshots.py`.
"""

import polars as pl

from transforms import hostlist
from transforms.sources import text
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.listing_text import Form, find_header, listing
from transforms.sources.snapshots import SIGHTING_SCHEMA, node_states
from transforms.tables.observed import NODE_STATES

_FORM = Form(
    names={
        "NODELIST": "node",
        "HOSTNAMES": "node",
        "NODE_HOST": "node",
        "STATE": "state",
        "STATELONG": "state",
        "STATECOMPACT": "state",
        "STATECOMPLETE": "state",
        "REASON": "reason",
        "TIMESTAMP": "since",
        "USER": "user",
        "CLUSTER": "cluster",
        "CLUSTER_NAME": "cluster",
        "JOBID": "job",
        "JOB_ID": "job",
    },
    needs=frozenset({"node", "state"}),
    last=frozenset({"reason"}),
)


def sniff(head: str, name: str) -> int:
    """A header that names nodes and states, and no jobs."""
    lines = head.split("\n")[:50]
    found = next((header for line in lines if (header := find_header(line, _FORM))), None)
    return 2 if found and "job" not in found.columns else 0


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row a node and spell of one state; rows of no node (an empty partition) are ignored."""
    listed = listing(text.decode(data), _FORM, origin)
    named = [row for row in listed.rows if row.values.get("node")]
    frame = pl.DataFrame(
        [
            (
                *(row.values.get(name) for name in ("node", "state", "reason", "since", "user")),
                _told(row.values.get("cluster")) or row.cluster,
                row.stamp.at,
                row.line_no,
            )
            for row in named
        ],
        schema={
            **dict.fromkeys(("hosts", "state", "reason", "since", "user", "cluster"), pl.String),
            "seen": SIGHTING_SCHEMA["seen"],
            "line_no": pl.UInt32,
        },
        orient="row",
    ).with_columns(text.told(pl.col(name)) for name in ("state", "since", "user"))
    since = text.instants(frame["since"], origin.zone)
    hosts = hostlist.expand_each(frame["hosts"])
    read = frame.with_columns(
        hosts["hosts"].alias("node"),
        since["at"].alias("since"),
        pl.col("state").str.to_uppercase(),
        text.told(pl.col("reason")),
        pl.col("user").str.replace(r"\(\d+\)$", ""),
        pl.lit(origin.file).alias("file"),
        pl.coalesce(
            pl.lit("NODELIST: ") + hosts["fault"],
            pl.when(pl.col("state").is_null()).then(pl.lit("STATE: not told")),
            pl.lit("TIMESTAMP: ") + since["fault"],
        ).alias("fault"),
    )
    texts = {row.line_no: row.text for row in named}
    faulty = read.filter(pl.col("fault").is_not_null()).select("line_no", "fault")
    bad = [*listed.refused, *((n, fault, texts[n]) for n, fault in faulty.iter_rows())]
    seen = read.filter(pl.col("fault").is_null()).explode("node").select(SIGHTING_SCHEMA.names())
    ignored = listed.ignored + len(listed.rows) - len(named)
    return Parsed(
        frames={NODE_STATES.name: node_states(seen)},
        rejects=rejects(sorted(bad)),
        records=len(named) + len(listed.refused) + ignored,
        accepted=len(named) - faulty.height,
        rejected=len(bad),
        ignored=ignored,
    )


def _told(word: str | None) -> str | None:
    return word if word and word.lower() not in text.NOT_TOLD else None


SOURCE = Source(
    name="slurm_sinfo",
    title="Slurm node states of one instant: sinfo with a header",
    example="gpu007|drained*|XID 79 off the bus|2026-03-02T06:49:53",
    makes=(NODE_STATES,),
    sniff=sniff,
    parse=parse,
)
