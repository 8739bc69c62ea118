"""The accounts of GPU time: the fleet's (`gpu_time`), each run's own (`run_time` and what goes with it)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from transforms.catalogue import classify_reasons
from transforms.exposure import out_of_service
from transforms.fleet import place
from transforms.ledger.claims import LEAF, attempt_claims
from transforms.ledger.fates import fates_of
from transforms.ledger.hours import run_hours
from transforms.ledger.in_use import on_attempts
from transforms.ledger.lines import REACH_DAYS, attempt_lines
from transforms.ledger.logs import Logs, Span
from transforms.ledger.nodes import ID, share_nodes
from transforms.ledger.owners import ELASTIC, NOBODY, START_UP, owners, recovering, settle
from transforms.ledger.paces import Paces
from transforms.ledger.startup import first_of_lines
from transforms.ledger.struck import Strikes, missing
from transforms.ledger.telemetry import (
    dead_ranks,
    idle_apart,
    idle_over_time,
    idle_pieces,
    resting_last,
)
from transforms.ledger.timeline import (
    DAY_MS,
    FOREVER,
    cut,
    cut_days,
    instant_ms,
    latest_before,
    ms,
    pack,
    sum_before,
    sweep,
)
from transforms.ledger.tokens import run_tokens
from transforms.ledger.unused import unused_apart
from transforms.ledger.waits import SLICE, wait_slices
from transforms.repairs import repairs
from transforms.tables.derived import GPU_TIME, RUN_HOURS, RUN_TIME, RUN_TOKENS

if TYPE_CHECKING:
    from transforms.recipes import Window

PLACE = ["provider", "hall"]
"""Where a GPU stands, as far as the fleet's ledger tells apart: a fleet has few of these, so that they
add few rows, and what anything cost can be asked of each. The node itself would add thousands."""
RECOVERING = ("init", "restore", "data_stall", "eval_or_custom", "unknown")
"""Before an attempt's first step these are part of getting the run back (methods G-7)."""


def gpu_accounts(
    window: "Window",
    *,
    fleet: pl.DataFrame,
    run_attempts: pl.DataFrame,
    gpu_use: pl.DataFrame,
    ideal_steps: pl.DataFrame,
    node_states: pl.DataFrame,
    steps: pl.DataFrame,
    checkpoints: pl.DataFrame,
    run_marks: pl.DataFrame,
    incidents: pl.DataFrame,
    interruptions: pl.DataFrame,
    outages: pl.DataFrame,
    idle_spells: pl.DataFrame,
) -> Mapping[str, pl.DataFrame]:
    """The four accounts of the window's days up to the horizon, in GPU-ms (methods G-1).

    A day of gpu_time sums to GPUs installed x time commissioned, of each place by itself; run_time
    to the GPUs of each attempt x its allocation plus the waits of the run.
    """
    horizon = min(window.until, window.horizon)
    since, until = ms(window.since), ms(horizon)
    if since >= until:
        return {t.name: t.empty() for t in (GPU_TIME, RUN_TIME, RUN_HOURS, RUN_TOKENS)}
    places = _places(fleet)
    fleet = fleet.join(places, on=PLACE, how="left", nulls_equal=True, maintain_order="left")
    lines = attempt_lines(run_attempts, window.horizon)
    table, stops, blamed = owners(interruptions, incidents, lines)
    logs = Logs.on(lines, steps, checkpoints, run_marks)
    out = _in_ms(out_of_service(node_states, outages, fleet))
    spells = repairs(
        # What began a spell is known within reach; the spell may have begun before the window.
        replace(window, since=window.since - timedelta(days=REACH_DAYS)),
        fleet=fleet,
        node_states=node_states,
        outages=outages,
        incidents=incidents,
    )["repairs"].join(blamed.drop("eviction"), on="incident", how="left")
    waiting = wait_slices(lines, stops, out, fleet, since, until)
    held, rest = share_nodes(fleet, lines, waiting, out, spells, since, until)
    # Where an attempt comes to hold or use more or fewer GPUs its slices are summed apart.
    used = on_attempts(gpu_use, lines)
    resting = idle_pieces(lines, fleet, idle_spells)
    seen = idle_over_time(resting, lines)
    turns = np.concatenate([pack(rows["line"], rows["began"]) for rows in (held, used, seen)])
    span = Span.of(lines, logs.steps, since, until)
    strikes = Strikes.of(incidents, blamed, lines, fleet)
    fates = fates_of(lines, logs, stops, strikes, span)
    paces = Paces(used, ideal_steps)
    claims = attempt_claims(
        lines, logs, stops, fates, paces, strikes, ms(window.horizon), span, turns
    )
    allocated = _allocated(lines, logs, stops, claims, since)
    in_hand = unused_apart(allocated, used, missing(used, lines, strikes))
    dead = dead_ranks(seen, idle_spells, incidents, lines, fleet, strikes)
    in_hand = idle_apart(in_hand, seen, dead)
    own = pl.concat([in_hand, waiting])
    named = lines.select("line", "cluster", "run", node=pl.col("nodes").list.first())
    # A node's time counts where the node is, also for a job whose records name no cluster.
    physical = _held_by(own, resting_last(held, resting)).join(
        place(named, fleet).drop("node"), on="line"
    )
    of_runs = own.join(named.drop("node"), on="line")
    return {
        "gpu_time": GPU_TIME.conform(
            _account_by_place(pl.concat([physical.select(rest.columns), rest]), table, places)
        ),
        "run_time": RUN_TIME.conform(_account(of_runs, table, list(RUN_TIME.key))),
        "run_hours": run_hours(of_runs),
        "run_tokens": run_tokens(fates, lines, in_hand, fleet, span, since),
    }


def _allocated(
    lines: pl.DataFrame,
    logs: Logs,
    stops: pl.DataFrame,
    claims: Sequence[pl.DataFrame],
    since: int,
) -> pl.DataFrame:
    """What the attempts' allocations were from `since` on, with who answers for it."""
    slices = _slow_apart(sweep(claims))
    lasting = logs.steps.filter(pl.col("began") < pl.col("ended"))
    first_step = first_of_lines(lasting).rename({"began": "first_step"})
    began = pl.col("began")
    recovers = pl.col("leaf").is_in(RECOVERING) & (began < pl.col("first_step")).fill_null(True)
    # Beyond reach nobody can see whether the attempt had made steps before.
    in_reach = began // DAY_MS - pl.col("started") // DAY_MS <= REACH_DAYS
    within = cut_days(slices.with_columns(began=pl.col("began").clip(lower_bound=since)))
    return (
        recovering(within.filter(pl.col("began") < pl.col("ended")), lines, stops)
        .join(lines.select("line", "started", "gpus"), on="line", how="left")
        .join(first_step, on="line", how="left")
        .with_columns(
            from_gpu=pl.lit(0, pl.Int64),
            owner=pl.when(recovers & in_reach).then("recovery").otherwise("owner"),
            fallback=pl.when(recovers & in_reach)
            .then(pl.lit(START_UP, pl.Int64))
            .otherwise(pl.lit(NOBODY, pl.Int64)),
        )
        .select(SLICE)
    )


def _slow_apart(slices: pl.DataFrame) -> pl.DataFrame:
    """Split the kept steps: the time that they ideally take, then `slow` (methods G-4).

    Of that first what going on with fewer GPUs costs, up to the pace of their number (G-8). What was
    cut out of a step for a checkpoint counts for neither.
    """
    is_kept = pl.col("leaf") == "ideal"
    kept = slices.filter(is_kept)
    took = (kept["ended"] - kept["began"]).to_numpy()
    before = sum_before(took, kept["claim"].to_numpy())
    ideal = kept["ideal_ms"].to_numpy()
    turn = kept["began"] + pl.Series(np.clip(ideal - before, 0, took))
    pace = np.maximum(kept["pace_ms"].fill_null(0).to_numpy(), ideal)
    behind = kept["began"] + pl.Series(np.clip(pace - before, 0, took))
    slow = kept.with_columns(leaf=pl.lit("slow", LEAF))
    parts = [
        slices.filter(~is_kept),
        kept.with_columns(ended=turn, owner=pl.lit(NOBODY, pl.Int64)),
        slow.with_columns(began=turn, ended=behind, owner=pl.lit(ELASTIC, pl.Int64)),
        slow.with_columns(began=behind),
    ]
    return pl.concat(parts).filter(pl.col("began") < pl.col("ended"))


def _held_by(own: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Count on each slice the GPUs of the fleet that its line really held then, place by place.

    A slice tells of some of its line's GPUs, numbered; of these each place has those it holds.
    """
    turns = held.select("line", "began").unique(maintain_order=True).with_row_index("turn")
    slices = cut(own, pack(turns["line"], turns["began"]))
    row = pl.Series(latest_before(turns, slices["line"], slices["began"]), dtype=pl.Int64)
    by_place = held.join(turns, on=["line", "began"]).select(
        pl.col("turn").cast(pl.Int64), "place", "low", high=pl.col("low") + pl.col("gpus")
    )
    last = pl.col("from_gpu") + pl.col("gpus")
    there = pl.min_horizontal(last, "high") - pl.max_horizontal("from_gpu", "low")
    return (
        slices.with_columns(turn=row)
        .join(by_place, on="turn")
        .with_columns(gpus=there)
        .filter(pl.col("gpus") > 0)
        .select(*own.columns, "place")
    )


def _places(fleet: pl.DataFrame) -> pl.DataFrame:
    """Every provider and hall of the fleet, numbered: provider, hall, place."""
    places = fleet.select(PLACE).unique().sort(PLACE).with_row_index("place")
    return places.with_columns(pl.col("place").cast(pl.Int64))


def _account_by_place(
    slices: pl.DataFrame, table: pl.DataFrame, places: pl.DataFrame
) -> pl.DataFrame:
    """`_account` by provider and hall beside the rest; '' where the fleet does not tell them."""
    keys = [name for name in GPU_TIME.key if name not in PLACE]
    named = places.with_columns(pl.col(PLACE).fill_null(""))
    return (
        _account(slices, table, [*keys, "place"])
        .join(named, on="place")
        .group_by(GPU_TIME.key)  # a place with '' and one with null go by one name
        .agg(pl.col("gpu_ms").sum())
        .sort(GPU_TIME.key)
    )


def _account(slices: pl.DataFrame, table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Sum GPU-milliseconds by `keys`: day, run, leaf, cause, incident, evidence and the like."""
    length = pl.col("ended") - pl.col("began")
    return (
        settle(cut_days(slices), table)
        .group_by(keys)
        .agg((length * pl.col("gpus")).sum().cast(pl.Int64).alias("gpu_ms"))
        .filter(pl.col("gpu_ms") > 0)
        .sort(keys)
        .select(*keys, "gpu_ms")
    )


def _in_ms(out: pl.DataFrame) -> pl.DataFrame:
    """Spells out of service with instants in ms, and the class that their words tell."""
    return classify_reasons(out).select(
        *ID,
        began=instant_ms("began"),
        ended=instant_ms("ended").fill_null(FOREVER),
        service="service",
        klass="class",
    )
