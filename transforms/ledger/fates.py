"""What became of every training step: kept or lost, by whose doing, ideal or slow (G-3, G-4, G-7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms import checkpoints
from transforms.ledger import lineage
from transforms.ledger import steps as training
from transforms.ledger.blocks import blocks
from transforms.ledger.logs import Logs, Span
from transforms.ledger.owners import ROLLBACK
from transforms.ledger.paces import Paces
from transforms.ledger.struck import EARLY_MS, Strikes, slowed_by
from transforms.ledger.timeline import FOREVER, pack

Rows = np.ndarray | slice


@dataclass(frozen=True)
class Fates:
    """The steps of `logs` that bear on a span.

    began, ended   of every step, cut to the span; they do not rise where it has no part in it
    lost, kept     rows of the steps that have; owner: who answers for each of the lost
    """

    steps: pl.DataFrame
    began: np.ndarray
    ended: np.ndarray
    lost: np.ndarray
    owner: np.ndarray
    kept: Rows


def fates_of(
    lines: pl.DataFrame, logs: Logs, stops: pl.DataFrame, strikes: Strikes, span: Span
) -> Fates:
    """Tell the kept steps from the lost ones, as far as they lie in the span."""
    number, stretches = training.stretches(logs.steps, lines)
    restores = logs.checkpoints.filter(~checkpoints.IS_SAVE)
    stretches = lineage.from_checkpoints(stretches, restores)
    saves = logs.checkpoints.filter(checkpoints.IS_SAVE, pl.col("ok"))
    dead = lineage.dead_ends(stretches, logs.steps, saves, lines)
    line, step, began, ended = (logs.steps[name].to_numpy() for name in training.COLUMNS)
    from_, to = span.cut(line, began, ended)
    near = _rows(from_ < to)
    by = lineage.discarded_by(step[near], began[near], number[near], stretches, dead)
    is_lost = np.zeros(len(line), bool)
    is_lost[near] = by >= 0
    owner = _blamed(stretches, stops, strikes).to_numpy()[by[by >= 0]]
    lost, kept = np.flatnonzero(is_lost), _rows((from_ < to) & ~is_lost)
    return Fates(logs.steps, from_, to, lost, owner, kept)


def claims_of(
    fates: Fates,
    paces: Paces,
    strikes: Strikes,
    lines: pl.DataFrame,
    logs: Logs,
    horizon: int,
    marks: Sequence[np.ndarray],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lost steps and the kept ones as claims; those that no mark touches as one.

    Both have line, began, ended and owner; the kept also ideal_ms, pace_ms where any step is behind
    the pace of its size, and provisional. The owner of kept steps is that of their slow part.
    """
    line, _, began, ended = (fates.steps[name].to_numpy() for name in training.COLUMNS)
    lost, from_, to = fates.lost, fates.began, fates.ended
    discarded = blocks(line[lost], from_[lost], to[lost], np.concatenate(marks), fates.owner)
    # Where all steps are in the span the lost ones stay among the kept, which spares a copy of
    # everything that is known of them; they are claims of their own, and go in the end.
    is_whole = not isinstance(fates.kept, slice) and len(fates.kept) + len(lost) == len(line)
    rows = slice(None) if is_whole else fates.kept
    ideal, pace = paces.of(fates.steps, lines)
    slowed = slowed_by(fates.steps, rows, ideal if pace is None else pace, strikes)
    line, began, ended = line[rows], began[rows], ended[rows]
    amounts = {
        name: _unless_unknown(amount[rows], began, ended)
        for name, amount in (("ideal_ms", ideal), ("pace_ms", pace))
        if amount is not None
    }
    safe = checkpoints.durable(logs.checkpoints, horizon)
    provisional = training.is_provisional(line, began, ended, lines, safe)
    same = 2 * slowed + provisional
    if is_whole:
        same[lost] = -1
    edged = np.concatenate([*marks, edges(discarded)])
    lasting = blocks(line, from_[rows], to[rows], edged, same, amounts)
    if is_whole:
        lasting = lasting.filter(pl.Series(same[lasting["row"].to_numpy()] >= 0))
    first = lasting["row"].to_numpy()
    return (
        discarded.with_columns(owner=pl.Series(fates.owner[discarded["row"].to_numpy()])),
        lasting.with_columns(
            provisional=pl.Series(provisional[first]), owner=pl.Series(slowed[first])
        ),
    )


def _unless_unknown(amount: np.ndarray, began: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """The ideal time of each step; where none is known what the step took."""
    if not len(amount) or amount.max() < FOREVER:
        return amount
    return np.where(amount == FOREVER, ended - began, amount)


def edges(claims: pl.DataFrame) -> np.ndarray:
    """Keys of where claims begin and end."""
    return np.concatenate([pack(claims["line"], claims[end]) for end in ("began", "ended")])


def _rows(wanted: np.ndarray) -> np.ndarray | slice:
    """Where rows are wanted; all of them without being listed, so that no copy is made."""
    return slice(None) if wanted.all() else np.flatnonzero(wanted)


def _blamed(stretches: pl.DataFrame, stops: pl.DataFrame, strikes: Strikes) -> pl.Series:
    """Who answers for the steps that each stretch discarded by starting below them.

    The interruption that ended the attempt which trained before it; inside one attempt the
    interruption since then, or the incident that struck its nodes; else somebody rolled the run
    back by hand.
    """
    last = stops.select(pl.col("line").alias("before"), "owner").unique(
        "before", keep="last", maintain_order=True
    )
    inside = stops.sort("failed_at").select("line", pl.col("owner").alias("inner"), "failed_at")
    trained = pl.col("line").shift(1).over("run_line")
    began = pl.col("began").shift(1).over("run_line")
    named = (
        stretches.with_columns(before=trained, before_began=began)
        .join(last, on="before", how="left", maintain_order="left")
        .sort("began")
        .join_asof(inside, left_on="began", right_on="failed_at", by="line", check_sortedness=False)
        .sort("stretch")
    )
    asked = named.select("line", since=pl.col("left_at") - EARLY_MS, until="began")
    struck = strikes.latest(asked)["owner"].alias("struck")
    inner = pl.when(pl.col("failed_at") > pl.col("before_began")).then("inner")
    same = pl.col("before") == pl.col("line")
    return named.with_columns(struck).select(
        pl.when(same)
        .then(pl.coalesce(inner, "struck"))
        .otherwise("owner")
        .fill_null(ROLLBACK)
        .alias("owner")
    )["owner"]
