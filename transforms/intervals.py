"""Half-open intervals [began, ended) of time, many at once, each belonging to a key.

An interval frame has the key columns `by`, an instant column `began` and an instant column
`ended`; no instant is null once `clip` has closed what is still open. Intervals that touch do
not overlap, but a union joins them. An empty interval (began = ended) is an event without
duration: a union keeps it, and no measure feels it.

Everything rests on one sweep (`layers`): add +1 where an interval begins and -1 where it ends,
sort, and the running sum says how many cover each stretch. No row meets another row in a loop,
so a fleet-month costs one sort.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

BEGAN, ENDED = pl.col("began"), pl.col("ended")


def clip(frame: pl.DataFrame, since: datetime, until: datetime) -> pl.DataFrame:
    """Keep what lies in [since, until); a null `ended` lasts until `until`.

    Instants are cut to whole milliseconds first, so that the parts of a whole, measured in
    integer milliseconds, add up to it. An empty interval inside the stretch stays.
    """
    bounds = (pl.lit(at).cast(frame.schema["began"]).dt.truncate("1ms") for at in (since, until))
    low, high = bounds
    began, ended = BEGAN.dt.truncate("1ms"), ENDED.dt.truncate("1ms").fill_null(high)
    is_event = (began == ended) & (began >= low) & (began < high)
    return (
        frame.with_columns(
            began=pl.max_horizontal(began, low),
            ended=pl.min_horizontal(ended, high),
            is_event=is_event,
        )
        .filter((BEGAN < ENDED) | pl.col("is_event"))
        .drop("is_event")
    )


def layers(
    frames: Mapping[str, pl.DataFrame],
    by: Sequence[str],
    weights: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Cut each key's time wherever any interval begins or ends, and say what covers each piece.

    Gives by, began, ended and one Int64 column per name of `frames`: how many of its intervals
    cover the piece or, where `weights` names a column of that frame, the sum of that column
    over them. Pieces that nothing covers are left out; pieces are sorted, disjoint, not empty.
    """
    names = list(frames)
    weights = weights or {}
    covered = "covering intervals"
    ends = []
    for name, frame in frames.items():
        amount = pl.col(weights[name]).cast(pl.Int64) if name in weights else pl.lit(1, pl.Int64)
        solid = frame.filter(BEGAN < ENDED)
        for at, sign in ((BEGAN, 1), (ENDED, -1)):
            ends.append(
                solid.select(
                    *by,
                    at.alias("began"),
                    *((amount * sign if other == name else pl.lit(0, pl.Int64)).alias(other)
                      for other in names),
                    pl.lit(sign, pl.Int64).alias(covered),
                )
            )  # fmt: skip
    counts = [*names, covered]
    steps = (
        pl.concat(ends)
        .group_by(*by, "began")
        .agg(pl.col(counts).sum())
        .sort(*by, "began")
        # Every key's steps add up to nothing, so the running sum starts afresh at each key.
        .with_columns(pl.col(counts).cum_sum(), BEGAN.shift(-1).alias("ended"))
    )
    return steps.filter(pl.col(covered) > 0).select(*by, "began", "ended", *names)


def union(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Join intervals of one key that overlap or touch; give by, began, ended, sorted.

    An empty interval apart from all others stays as it is.
    """
    return spells(frame, by).group_by(*by, "spell").agg(BEGAN.min(), ENDED.max()).sort(
        *by, "began"
    ).drop("spell")  # fmt: skip


def spells(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Number the intervals by the joined stretch they belong to, in a new column `spell`.

    Sorted by key, began and ended; numbers rise within a key and say nothing across keys.
    """
    ordered = frame.sort(*by, "began", "ended")
    over: list[str | pl.Expr] = list(by) or [pl.lit(0)]
    reached = ENDED.cum_max().over(over).shift(1).over(over)
    starts = (reached < BEGAN).fill_null(True)
    return ordered.with_columns(starts.cum_sum().over(over).cast(pl.UInt32).alias("spell"))


def intersect(one: pl.DataFrame, other: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Time covered by both: by, began, ended, joined and sorted."""
    pieces = layers({"one": one, "other": other}, by)
    both = (pl.col("one") > 0) & (pl.col("other") > 0)
    return union(pieces.filter(both).select(*by, "began", "ended"), by)


def subtract(one: pl.DataFrame, other: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Time covered by `one` and not by `other`: by, began, ended, joined and sorted.

    Each instant goes once, however many intervals of `other` cover it.
    """
    pieces = layers({"one": one, "other": other}, by)
    rest = (pl.col("one") > 0) & (pl.col("other") == 0)
    return union(pieces.filter(rest).select(*by, "began", "ended"), by)


def by_day(frame: pl.DataFrame) -> pl.DataFrame:
    """Split every interval at UTC midnights and name its `day`; an empty one has one day."""
    last = pl.max_horizontal(BEGAN, ENDED - pl.duration(microseconds=1))
    midnight = pl.col("day").cast(frame.schema["began"])
    return (
        frame.with_columns(day=pl.date_ranges(BEGAN.dt.date(), last.dt.date()))
        .explode("day")
        .with_columns(
            began=pl.max_horizontal(BEGAN, midnight),
            ended=pl.min_horizontal(ENDED, midnight.dt.offset_by("1d")),
        )
    )


def length_ms() -> pl.Expr:
    """Length of each interval in integer milliseconds (exact after `clip`)."""
    return (ENDED - BEGAN).dt.total_milliseconds()


def total_ms(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Time covered per key in integer `ms`, each instant once."""
    return union(frame, by).group_by(*by).agg(length_ms().sum().alias("ms")).sort(*by)
