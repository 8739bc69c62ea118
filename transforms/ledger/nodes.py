"""Who has the GPUs of each node: jobs first, then what keeps it out of service, then who waits.

Claimants of a node want some of its GPUs for a while. Each gets what those before it left, so
that what they get adds up to what the node has, at every instant, whatever the records claim.
"""

import numpy as np
import polars as pl

from transforms.emptiness import empty_from
from transforms.fleet import ID, place
from transforms.ledger.claims import EVIDENCE_TYPE, LEAF
from transforms.ledger.owners import CLASS_OWNER, NOBODY
from transforms.ledger.timeline import (
    instant_ms,
    instants,
    latest_before,
    pack,
    ranges,
    sum_before,
    sweep,
)
from transforms.ledger.waits import SLICE

SERVICE_LEAF = {"down": "down", "planned": "maintenance", "unknown": "unobserved"}
CLAIMANT = ("node_line", "began", "ended", "wants", "line", "leaf", "owner", "fallback", "evidence")
"""`line` is the attempt that holds or waits; null for what the node itself does."""


@empty_from("fleet")
def share_nodes(
    fleet: pl.DataFrame,
    lines: pl.DataFrame,
    waiting: pl.DataFrame,
    out: pl.DataFrame,
    spells: pl.DataFrame,
    since: int,
    until: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide the fleet's GPU time within [since, until) between jobs, repairs, waits and idleness.

    Gives the GPUs that each attempt's line holds over time, place by place (as `held_over_time`),
    and slices of everything else; together they are the fleet's capacity. `fleet` tells the
    `place` of each node's interval, a number.
    """
    nodes = fleet.select(ID).unique().sort(ID).with_row_index("node_line")
    nodes = nodes.with_columns(pl.col("node_line").cast(pl.Int64))
    valid = fleet.select(*ID, "gpus", "place", began="valid_from", ended="valid_to")
    valid = valid.with_columns(
        instant_ms("began"), instant_ms("ended").fill_null(until), pl.col("gpus").cast(pl.Int64)
    )
    capacity = _within(valid.join(nodes, on=ID), since, until).sort("node_line", "began")
    wants = place(shares(lines), fleet).join(nodes, on=ID).select("line", "node_line", "wants")
    # Of two jobs that claim one GPU the one that was there first has it.
    jobs = lines.sort("started", "job_id", "submitted", "line").with_columns(began="started")
    service = _within(out_slices(out, spells, nodes), since, until)
    spans = _within(jobs, since, until).join(wants, on="line", maintain_order="left")
    requests = waiting.join(
        lines.select("line", "submitted", "job_id", "cluster", "run"), on="line"
    )
    waits = requests.sort("submitted", "cluster", "job_id", "run", "began").join(
        wants, on="line", maintain_order="left"
    )
    service = service.with_columns(wants=pl.lit(capacity["gpus"].max(), pl.Int64))
    given = _placed(share_out(capacity, *map(_claimants, (spans, service, waits))), capacity)
    is_held = pl.col("line").is_not_null()
    rest = (
        given.filter(~is_held)
        .join(nodes, on="node_line")
        .with_columns(run=pl.lit(""), provisional=pl.lit(False), from_gpu=pl.lit(0, pl.Int64))
    )
    return held_over_time(given.filter(is_held)), rest.select(*SLICE, "cluster", "run", "place")


def shares(lines: pl.DataFrame) -> pl.DataFrame:
    """GPUs that each attempt wants of each of its nodes: line, cluster, node, wants.

    Equal shares; what does not divide goes to the first nodes in sorted order.
    """
    placed = (
        lines.filter(pl.col("nodes").list.len() > 0, pl.col("gpus") > 0)
        .select(
            "line",
            "cluster",
            "gpus",
            "node_count",
            pl.col("nodes").alias("node"),
            pl.int_ranges(0, pl.col("nodes").list.len()).alias("place"),
        )
        .explode("node", "place")
    )
    each, left = pl.col("gpus") // pl.col("node_count"), pl.col("gpus") % pl.col("node_count")
    wants = each + (pl.col("place") < left).cast(pl.Int64)
    return placed.select("line", *ID, wants.alias("wants")).filter(pl.col("wants") > 0)


def out_slices(out: pl.DataFrame, spells: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """Time in which a node is out of service, each instant once: the worst record decides.

    `out` has cluster, node, began, ended (ms), service and klass (why, from its words); `spells`
    cluster, node, down_from and owner (the incident that began the spell, or null); `nodes`
    cluster, node and node_line. Gives node_line, began, ended, leaf, owner, fallback and evidence.
    """
    on_nodes = out.join(nodes, on=ID)
    levels = [
        on_nodes.filter(service=service).select(
            pl.col("node_line").alias("line"), "began", "ended", "service", "klass"
        )
        for service in SERVICE_LEAF
    ]
    slices = sweep(levels)
    begun = (
        spells.join(nodes, on=ID)
        .select(pl.col("node_line").alias("line"), instant_ms("down_from").alias("began"), "owner")
        .sort("line", "began")
    )
    row = pl.Series(latest_before(begun, slices["line"], slices["began"]))
    by_class = pl.col("klass").replace_strict(CLASS_OWNER, return_dtype=pl.Int64)
    is_down = pl.col("service") == "down"
    return slices.with_columns(
        incident=begun["owner"].gather(row.set(row < 0, None)),
        # Nobody answers for a plan, nor for what was not observed.
        fallback=pl.when(is_down).then(by_class).otherwise(pl.lit(NOBODY)),
    ).select(
        pl.col("line").alias("node_line"),
        "began",
        "ended",
        pl.col("service").replace_strict(SERVICE_LEAF).cast(LEAF).alias("leaf"),
        pl.coalesce(pl.when(is_down).then("incident"), "fallback").alias("owner"),
        "fallback",
        pl.lit("node_states", EVIDENCE_TYPE).alias("evidence"),
    )


def share_out(
    capacity: pl.DataFrame, jobs: pl.DataFrame, service: pl.DataFrame, waits: pl.DataFrame
) -> pl.DataFrame:
    """Give every node's GPUs to its claimants: jobs, then what keeps it out, then who waits.

    `capacity` has node_line, began, ended, gpus, disjoint and sorted; the others the columns of
    CLAIMANT, each in its own order of precedence. A node that a job still uses is not what a run
    waits for. Idle takes what is left. Gives the claimants' rows per stretch, with `gpus` (> 0)
    instead of `wants`: at any instant of a node they sum to its capacity.
    """
    idle = _claimants(capacity.with_columns(wants="gpus", leaf=pl.lit("idle", LEAF)))
    ranked = pl.concat([jobs, service, waits, idle])
    began = pack(ranked["node_line"], ranked["began"])
    ended = pack(ranked["node_line"], ranked["ended"])
    marks = np.unique(np.concatenate([began, ended]))
    has = _gpus_at(capacity, marks)
    first = np.searchsorted(marks, began)
    rank, nth = ranges(np.searchsorted(marks, ended) - first)
    stretch = first[rank] + nth
    there = has[stretch] > 0
    rank, stretch = rank[there], stretch[there]
    order = np.lexsort((rank, stretch))
    rank, stretch = rank[order], stretch[order]
    in_use = np.bincount(stretch[rank < len(jobs)], minlength=len(marks)) > 0
    first_wait, first_idle = len(jobs) + len(service), len(ranked) - len(idle)
    is_wait = (first_wait <= rank) & (rank < first_idle)
    wants = np.where(is_wait & in_use[stretch], 0, ranked["wants"].to_numpy()[rank])
    gets = np.clip(has[stretch] - sum_before(wants, stretch), 0, wants)
    return (
        ranked[rank]
        .drop("wants")
        .with_columns(
            began=instants(marks[stretch]), ended=instants(marks[stretch + 1]), gpus=pl.Series(gets)
        )
        .filter(pl.col("gpus") > 0)
    )


def held_over_time(held: pl.DataFrame) -> pl.DataFrame:
    """GPUs that each line holds from `began` on at each of its places: line, began, place, gpus, low.

    The GPUs that a line holds are numbered place by place: those here are `gpus` from `low` on.
    At every instant at which any of them changes the line has a row of each of its places; sorted.
    """
    at = ["line", "began", "place"]
    changes = (
        pl.concat(
            [
                held.select(*at, "gpus"),
                held.select("line", pl.col("ended").alias("began"), "place", -pl.col("gpus")),
            ]
        )
        .group_by(at)
        .agg(pl.col("gpus").sum())
        .filter(pl.col("gpus") != 0)
    )
    turns, places = (changes.select("line", name).unique() for name in ("began", "place"))
    return (
        turns.join(places, on="line")
        .join(changes, on=at, how="left")
        .sort(at)
        .with_columns(pl.col("gpus").fill_null(0).cum_sum().over("line", "place"))
        .with_columns(low=pl.col("gpus").cum_sum().over("line", "began") - pl.col("gpus"))
        .select(*at, "gpus", "low")
    )


def _placed(given: pl.DataFrame, capacity: pl.DataFrame) -> pl.DataFrame:
    """Add where the node stood: no stretch outlasts an interval of the node's capacity."""
    spans = capacity.select("place", line="node_line", began="began")
    row = latest_before(spans, given["node_line"], given["began"])
    return given.with_columns(place=spans["place"].gather(row))


def _gpus_at(capacity: pl.DataFrame, marks: np.ndarray) -> np.ndarray:
    """GPUs of the node from each mark on; 0 outside its time in the fleet."""
    if capacity.is_empty():
        return np.zeros(len(marks), np.int64)
    keys = pack(capacity["node_line"], capacity["began"])
    ended = pack(capacity["node_line"], capacity["ended"])
    row = np.maximum(np.searchsorted(keys, marks, side="right") - 1, 0)
    covered = (keys[row] <= marks) & (marks < ended[row])
    return np.where(covered, capacity["gpus"].to_numpy()[row], 0)


def _claimants(rows: pl.DataFrame) -> pl.DataFrame:
    """Give rows the shape of claimants; what they do not say is nobody's."""
    unsaid = {
        "line": pl.lit(None, pl.Int64),
        "leaf": pl.lit(None, LEAF),
        "owner": pl.lit(NOBODY, pl.Int64),
        "fallback": pl.lit(NOBODY, pl.Int64),
        # That nothing else claims a GPU is what the scheduler's records say by their silence.
        "evidence": pl.lit("scheduler", EVIDENCE_TYPE),
    }
    missing = [value.alias(name) for name, value in unsaid.items() if name not in rows.columns]
    return rows.with_columns(missing).select(CLAIMANT)


def _within(rows: pl.DataFrame, since: int, until: int) -> pl.DataFrame:
    """Clip to [since, until); rows without a begin or without time go."""
    return rows.with_columns(
        began=pl.col("began").clip(lower_bound=since),
        ended=pl.col("ended").clip(upper_bound=until),
    ).filter(pl.col("began") < pl.col("ended"))
