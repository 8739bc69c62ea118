"""The last degree of evidence: GPUs that their own samples show idle under an allocation (G-8, G-10).

    the run logs steps, some of its GPUs are idle     they take no part: dead ranks wait for repair
                                                      (`repair_wait`), those never at work are `spare`
    it should log, and nothing says what it does      `drain_idle`: held, and no work done
    it never logs                                     stays `not_measured`; the evidence says telemetry

For dead ranks answers the incident that struck their node in the hour before they stood idle for
whole hours, if one is known.

Every other leaf is lost time with a better witness, and stays. That all GPUs of an attempt are idle
while its log tells of steps is no evidence against the log: a step may take hours.

Which GPUs of a node a job holds nobody records. Those that must be among the idle ones count: of
eight GPUs with three idle, a job that holds all has three, a job that holds six has one.
"""

import numpy as np
import polars as pl

from transforms.emptiness import empty_from
from transforms.fleet import ID, place
from transforms.ledger.claims import EVIDENCE_TYPE, LEAF
from transforms.ledger.hours import HOUR_MS
from transforms.ledger.lines import REACH_DAYS
from transforms.ledger.nodes import shares
from transforms.ledger.owners import NOBODY
from transforms.ledger.struck import EARLY_MS, Strikes, missing
from transforms.ledger.timeline import (
    BOUNDS,
    FOREVER,
    cut,
    disjoint,
    instant_ms,
    latest_before,
    pack,
    ranges,
)

TRAINING = ("ideal", "slow", "step_lost")
FALLS_WITHIN_MS = HOUR_MS + EARLY_MS
"""A GPU counts as idle from the first whole hour on: it may have died an hour ahead of that."""
UNTOLD = {"unknown": "drain_idle", "not_measured": "not_measured"}
"""Leaves of which no log tells, and what their idle GPUs are."""


@empty_from("idle_spells")
def idle_pieces(
    lines: pl.DataFrame, fleet: pl.DataFrame, idle_spells: pl.DataFrame
) -> pl.DataFrame:
    """Idle GPUs of each line on each node: line, place, began, ended (ms), idle, and of these `spare`.

    Spare is what has been idle as long as anybody saw. `fleet` tells the `place` of each node's
    interval, a number; null where it does not have the node.
    """
    spells = _on_nodes(fleet, idle_spells)
    if spells.is_empty():
        return pl.DataFrame(
            schema=dict.fromkeys(("line", "place", "began", "ended", "idle", "spare"), pl.Int64)
        )
    held = lines.filter(pl.col("started").is_not_null()).select("line", "started", stopped="ended")
    spans = (
        place(shares(lines), fleet)
        .join(spells.select(*ID, node_line="line").unique(), on=ID)
        .join(held, on="line")
    )
    pieces = _with_spare(_under(spans, spells))
    return pieces.select("line", "place", "began", "ended", "idle", "spare")


@empty_from("pieces")
def idle_over_time(pieces: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """GPUs that each line may be using from `began` on (use), and with those lost (most); sorted.

    `pieces` is what `idle_pieces` gives: the GPUs from `most` on are spare, what lies between worked
    before. Lines without an idle GPU are left out.
    """
    return (
        _summed(pieces, "line")
        .join(lines.select("line", "gpus"), on="line", how="left", maintain_order="left")
        .select("line", "began", use=pl.col("gpus") - pl.col("idle"), most=pl.col("gpus") - pl.col("spare"))
    )  # fmt: skip


def _summed(pieces: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Idle and spare GPUs from `began` on, of all pieces of a line, or of each of its places; sorted."""
    changes = pl.concat(
        [
            pieces.select(*by, "began", "idle", "spare"),
            pieces.select(*by, -pl.col("idle"), -pl.col("spare"), began="ended"),
        ],
        how="diagonal",
    )
    return (
        changes.group_by(*by, "began")
        .agg(pl.col("idle", "spare").sum())
        .sort(*by, "began")
        .with_columns(pl.col("idle", "spare").cum_sum().over(by))
    )


def resting_last(held: pl.DataFrame, pieces: pl.DataFrame) -> pl.DataFrame:
    """Number the GPUs that lines hold anew: at each place those at work first, then dead, then spare.

    `held` is what `nodes.held_over_time` gives, and so is what is given back, but that a place may
    have several stretches of its line's numbers. So each place has the idle GPUs that stand there.
    """
    if pieces.is_empty() or held.is_empty():
        return held
    rest = _summed(pieces.drop_nulls("place"), "line", "place")
    is_told = pl.col("line").is_in(rest["line"].unique().implode())
    told = held.filter(is_told)
    turns = pl.concat([rows.select("line", "began") for rows in (told, rest)]).unique()
    grid = turns.join(told.select("line", "place").unique(), on="line").sort("began")
    for known in (told.select("line", "began", "place", "gpus"), rest):
        grid = grid.join_asof(
            known.sort("began"), on="began", by=["line", "place"], check_sortedness=False
        )
    idle = pl.min_horizontal(pl.col("idle").fill_null(0), "gpus")
    spare = pl.min_horizontal(pl.col("spare").fill_null(0), idle)
    grid = grid.drop_nulls("gpus")
    parts = [
        grid.select("line", "began", "place", gpus=size, part=pl.lit(part))
        for part, size in enumerate((pl.col("gpus") - idle, idle - spare, spare))
    ]
    numbered = (
        pl.concat(parts)
        .sort("line", "began", "part", "place")
        .with_columns(low=pl.col("gpus").cum_sum().over("line", "began") - pl.col("gpus"))
    )
    return pl.concat([held.filter(~is_told), numbered.select(held.columns)]).sort(
        "line", "began", "low", "place"
    )


@empty_from("seen")
def dead_ranks(
    seen: pl.DataFrame,
    idle_spells: pl.DataFrame,
    incidents: pl.DataFrame,
    lines: pl.DataFrame,
    fleet: pl.DataFrame,
    strikes: Strikes,
) -> pl.DataFrame:
    """Who took the GPUs that each row of `seen` (idle_over_time) is short of, as `struck.missing`.

    A long run is struck every few hours: only what struck a node on which GPUs then came to rest is
    heard.
    """
    rests = place(idle_spells.filter(pl.col("idle") > 0), fleet).select(*ID, rests_from="began")
    after = pl.col("rests_from") - pl.col("began")
    felt = (
        incidents.select("cluster", "incident", "began", node="nodes")
        .explode("node")
        .join(rests, on=ID)
        .filter(after.is_between(pl.duration(), pl.duration(milliseconds=FALLS_WITHIN_MS)))
    )
    heard = strikes.rows.join(felt, on="incident", how="semi", maintain_order="left")
    return missing(seen, lines, Strikes(heard), FALLS_WITHIN_MS)


def _on_nodes(fleet: pl.DataFrame, idle_spells: pl.DataFrame) -> pl.DataFrame:
    """Spells of the nodes that ever had an idle GPU, one at a time: a node's number is its `line`.

    Adds `working`, the most of the node's GPUs that may have been at work: none was seen idle that
    was not watched.
    """
    told = place(idle_spells, fleet).with_columns(*map(instant_ms, ("began", "ended")))
    resting = told.filter(pl.col("idle") > 0).select(ID).unique().sort(ID).with_row_index("line")
    numbers = resting.with_columns(pl.col("line").cast(pl.Int64))
    spells = disjoint(told.join(numbers, on=ID).drop("day"))
    installed = (
        fleet.join(numbers, on=ID)
        .select(
            *("line", "gpus", "place", instant_ms("valid_from").alias("began")),
            ended=instant_ms("valid_to").fill_null(FOREVER),
        )
        .sort("line", "began")
    )
    row = pl.Series(latest_before(installed, spells["line"], spells["began"]), dtype=pl.Int64)
    known = row.set(row < 0, None)
    told_of = pl.DataFrame([installed[name].gather(known) for name in ("gpus", "ended", "place")])
    is_there = told_of["ended"] > spells["began"]
    has = pl.max_horizontal(
        pl.col("gpus"), told_of["gpus"].set(~is_there.fill_null(False), None).alias("installed")
    ).cast(pl.Int64)
    return spells.select(
        *BOUNDS,
        *ID,
        told_of["place"],
        working=has - pl.col("idle"),
        is_watched=pl.col("watched") >= has,
    )


def _under(spans: pl.DataFrame, spells: pl.DataFrame) -> pl.DataFrame:
    """The parts of `spells` within each of `spans` (line, node_line, started, stopped, wants).

    Adds `idle`, those of the line's GPUs that must be idle, and `is_told`: the node was watched as a
    whole, for at least one whole hour of the allocation.
    """
    node = spans["node_line"]
    first = np.searchsorted(
        pack(spells["line"], spells["ended"]), pack(node, spans["started"]), side="right"
    )
    last = np.searchsorted(pack(spells["line"], spells["began"]), pack(node, spans["stopped"]))
    row, nth = ranges(np.maximum(last - first, 0))
    found = spans[row].hstack(spells[first[row] + nth].drop("line", *ID))
    return found.select(
        *("line", "node_line", "place"),
        pl.max_horizontal("began", "started").alias("began"),
        pl.min_horizontal("ended", "stopped").alias("ended"),
        (pl.col("wants") - pl.col("working")).clip(0).alias("idle"),
        is_told=pl.col("is_watched") & (pl.col("ended") > -(-pl.col("started") // HOUR_MS) * HOUR_MS),
    )  # fmt: skip


def _with_spare(pieces: pl.DataFrame) -> pl.DataFrame:
    """Add how many of a node's idle GPUs were idle all along, as far as the reach goes (spare)."""
    pair = ["line", "node_line"]
    resting = pieces.filter(pl.col("idle") > 0).select(pair).unique()
    seen = pieces.join(resting, on=pair, how="semi").sort(*pair, "began")
    before = pl.col("seen").rolling_min_by(
        pl.from_epoch("began", "ms"), window_size=f"{REACH_DAYS}d", closed="both"
    )
    return (
        seen.with_columns(seen=pl.when("is_told").then("idle"))
        .with_columns(before.over(pair).alias("least"))
        .with_columns(spare=pl.min_horizontal("idle", "least"))
    )


def idle_apart(slices: pl.DataFrame, told: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """Split slices of allocations (SLICE) into the GPUs that may work and those seen idle.

    `told` is what `idle_over_time` gives, `lost` who took which of its GPUs (struck.missing); the
    idle GPUs are the last in the numbering of a line's.
    The parts of a slice sum to it; what telemetry does not tell of, and a line without any, stays
    as it is.
    """
    if told.is_empty() or slices.is_empty():
        return slices
    pieces = cut(slices, pack(told["line"], told["began"]))
    row = pl.Series(latest_before(told, pieces["line"], pieces["began"]), dtype=pl.Int64)
    known = row.set(row < 0, None)
    leaf, end = pl.col("leaf").cast(pl.String), pl.col("from_gpu") + pl.col("gpus")
    trains, works = leaf.is_in(TRAINING), pl.col("use")
    speaks = (trains & (works > 0)) | leaf.is_in(list(UNTOLD))
    pieces = (
        pieces.with_columns(
            row=known, use=told["use"].gather(known), most=told["most"].gather(known), end=end
        )
        .with_columns(low=pl.when(speaks).then("use").fill_null(pl.col("end")))
        .with_columns(low=pl.col("low").clip("from_gpu", "end"))
        .with_columns(high=pl.when(trains).then(pl.col("most").clip("low", "end")).otherwise("end"))
    )
    seen = pl.lit("telemetry", EVIDENCE_TYPE)
    apart = {
        "owner": pl.when(trains).then(pl.lit(NOBODY, pl.Int64)).otherwise("owner"),
        "fallback": pl.when(trains).then(pl.lit(NOBODY, pl.Int64)).otherwise("fallback"),
        "provisional": pl.lit(False),
        "evidence": seen,
    }
    resting = leaf.replace_strict(UNTOLD, default="repair_wait").cast(LEAF)
    taken = lost.select("row", taken="low", taken_to="high", by="owner")
    dead = (
        pieces.filter(trains)
        .join(taken, on="row")
        .with_columns(
            low=pl.col("taken").clip("low", "high"), high=pl.col("taken_to").clip("low", "high")
        )
    )
    spare = {"leaf": pl.lit("spare", LEAF)}
    parts: tuple[tuple[pl.DataFrame, str, str, dict[str, pl.Expr]], ...] = (
        (pieces, "from_gpu", "low", {}),
        (pieces.filter(~trains), "low", "high", apart | {"leaf": resting}),
        (dead, "low", "high", apart | {"leaf": resting, "owner": pl.col("by")}),
        (pieces, "high", "end", apart | spare),
    )
    return pl.concat(
        [
            part.with_columns(
                from_gpu=pl.col(first), gpus=pl.col(last) - pl.col(first), **about
            ).select(slices.columns)
            for part, first, last, about in parts
        ]
    ).filter(pl.col("gpus") > 0)
