"""Signs of one unit folded into bursts (methods 2.9, stage 2, and Q-3 for flapping nodes).

Signs join while the unit is not silent for longer than the gap. Beyond that

* the scheduler notices late (SlurmdTimeout is 300 s by default, plus polling and retries), so a
  sign joins the next loss of its node within ten minutes;
* a node that is down has not gone silent: what it says while down, during the first day, belongs
  to what took it down;
* downs with less than ten minutes up between them are one (a flapping node), and so are recorded
  outages of which the next begins within the gap after the end of the one before.

A node that was given work again had been returned to service: no burst reaches across the first
job start after a spell, and what comes later is new.
"""

import numpy as np
import polars as pl

from transforms import intervals
from transforms.coalesce import DAY_MS, Bools, Ints, chains, latest_before
from transforms.emptiness import empty_from
from transforms.signs import is_instant

GAP_MS = 180_000
LAG_MS = 600_000
FLAP_MS = 600_000
GAPS_S = (5, 60, 180, 600, 3600)
"""Gaps at which the number of incidents is shown, to tell how much it hangs on the choice."""

UNIT = ["unit_kind", "cluster", "unit"]


def bursts(signs: pl.DataFrame, started: pl.DataFrame, gap_ms: int = GAP_MS) -> Ints:
    """Number the burst of every sign, from 0.

    `started` has cluster, node and at: every instant at which a job got the node.
    """
    if signs.is_empty():
        return np.empty(0, np.int64)
    unit, at, until = _keys(signs)
    unit = _spans_of_service(signs, unit, at, started)
    is_spell = signs.select(~is_instant()).to_series().to_numpy()
    hold = np.full(len(at), np.iinfo(np.int64).min // 4)
    _hold_until_the_loss(hold, unit, at, is_spell)
    _hold_while_out(hold, signs, unit, at, until, is_spell, gap_ms)
    return chains(unit, at, gap_ms, hold)


@empty_from("signs")
def sensitivity(signs: pl.DataFrame, started: pl.DataFrame) -> pl.DataFrame:
    """How many bursts begin on each day under each gap: day, gap_s, incidents."""
    rows = []
    for gap_s in GAPS_S:
        burst = pl.Series("burst", bursts(signs, started, gap_s * 1000))
        rows.append(
            signs.select("at", "kind", burst)
            .group_by("burst")
            .agg(only_recovers(), pl.col("at").min())
            .filter(~pl.col("kind"))
            .select(pl.col("at").dt.date().alias("day"))
            .group_by("day")
            .agg(pl.len().cast(pl.UInt32).alias("incidents"))
            .select("day", pl.lit(gap_s, pl.Int32).alias("gap_s"), "incidents")
        )
    return pl.concat(rows).sort("day", "gap_s")


def only_recovers() -> pl.Expr:
    """True for a burst in which links came back and nothing else was said: no sign of trouble."""
    return (pl.col("kind") == "link_up").all()


def already_out(signs: pl.DataFrame, at: pl.DataFrame) -> Bools:
    """For rows of `at` (UNIT, at): was the unit out of service, by a spell that began before?"""
    spells = signs.filter(pl.col("evidence").is_in(["down", "outage"])).sort(*UNIT, "at")
    spells = spells.with_columns(reached=pl.col("until").cum_max().over(UNIT))
    units = _unit_ids(pl.concat([spells.select(UNIT), at.select(UNIT)]))
    began, asked, reached = (
        frame[name].dt.epoch("ms").to_numpy()
        for frame, name in ((spells, "at"), (at, "at"), (spells, "reached"))
    )
    last = latest_before(units[len(spells) :], asked - 1, units[: len(spells)], began)
    if len(spells) == 0:
        return last >= 0
    return (last >= 0) & (reached[np.maximum(last, 0)] > asked)


def _keys(signs: pl.DataFrame) -> tuple[Ints, Ints, Ints]:
    at, until = (signs[name].dt.epoch("ms").to_numpy() for name in ("at", "until"))
    return _unit_ids(signs.select(UNIT)), at, until


def _unit_ids(units: pl.DataFrame) -> Ints:
    known = units.unique().sort(UNIT).with_row_index("id")
    ids = units.join(known, on=UNIT, how="left", maintain_order="left")["id"]
    return ids.cast(pl.Int64).to_numpy()


def _spans_of_service(signs: pl.DataFrame, unit: Ints, at: Ints, started: pl.DataFrame) -> Ints:
    """Tell a unit before its return to service from the same unit after it."""
    numbered = signs.with_columns(pl.Series("id", unit))
    spells = numbered.filter(~is_instant() & (pl.col("unit_kind") == "node"))
    nodes = spells.select("cluster", "node", "id").unique()
    out = intervals.union(
        spells.select("id", pl.col("at").alias("began"), pl.col("until").alias("ended")), ["id"]
    )
    jobs = started.join(nodes, on=["cluster", "node"]).select("id", "at").unique().sort("at")
    # Of the jobs in each stretch up, the first one that came within a day.
    last_out = out.sort("began").with_columns(began_out=pl.col("began"))
    returns = (
        jobs.join_asof(last_out, left_on="at", right_on="began", by="id", check_sortedness=False)
        .filter(pl.col("ended").is_not_null() & (pl.col("at") >= pl.col("ended")))
        .filter(pl.col("at") - pl.col("ended") <= pl.duration(days=1))
        .group_by("id", "began_out")
        .agg(pl.col("at").min())
        .sort("id", "at")
    )
    if returns.is_empty():
        return unit
    position = latest_before(
        unit, at, returns["id"].to_numpy(), returns["at"].dt.epoch("ms").to_numpy()
    )
    return unit * (len(returns) + 1) + position + 1


def _hold_until_the_loss(hold: Ints, unit: Ints, at: Ints, is_spell: Bools) -> None:
    """A sign holds its burst open until the node's next loss, if that comes within the lag."""
    signs, spells = np.flatnonzero(~is_spell), np.flatnonzero(is_spell)
    if len(signs) == 0 or len(spells) == 0:
        return
    # The next one is the latest before on a clock that runs backwards.
    following = latest_before(unit[signs], -at[signs], unit[spells], -at[spells])
    found = following >= 0
    next_at = at[spells[np.maximum(following, 0)]]
    near = found & (next_at - at[signs] <= LAG_MS)
    hold[signs[near]] = next_at[near]


def _hold_while_out(
    hold: Ints, signs: pl.DataFrame, unit: Ints, at: Ints, until: Ints, is_spell: Bools, gap_ms: int
) -> None:
    """A spell holds until its end (for a day), and until the next spell of the same cause."""
    rows = np.flatnonzero(is_spell)
    if len(rows) == 0:
        return
    rows = rows[np.lexsort((until[rows], at[rows], unit[rows]))]
    evidence = signs["evidence"].gather(rows)
    is_down = evidence.is_in(["down", "outage"]).to_numpy()
    is_state = (signs["source_table"].gather(rows) == "node_states").to_numpy()
    lasts = np.minimum(until[rows], at[rows] + DAY_MS) + gap_ms
    held = np.where(is_down, lasts, hold[rows])
    same = unit[rows][1:] == unit[rows][:-1]
    reached = _running_maximum(unit[rows], until[rows], np.ones(len(rows), bool))
    state_reached = _running_maximum(unit[rows], until[rows], is_state)
    following = at[rows][1:]
    linked = same & (
        (following <= reached[:-1] + gap_ms)
        | (is_state[1:] & (following < state_reached[:-1] + FLAP_MS))
    )
    held[:-1] = np.where(linked, np.maximum(held[:-1], following), held[:-1])
    hold[rows] = held


def _running_maximum(unit: Ints, value: Ints, counts: Bools) -> Ints:
    """Largest counted value so far within each run of equal units; the far past if none."""
    frame = pl.DataFrame({"unit": unit, "value": np.where(counts, value, -(2**61))})
    return frame.select(pl.col("value").cum_max().over("unit"))["value"].to_numpy()
