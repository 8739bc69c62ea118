"""One leaf for every millisecond: claims on timelines, and the sweep that settles them (G-1, G-2).

A line is the timeline of one thing (an attempt, a run, a node), known by a whole number. A claim
is a frame row with `line`, `began` and `ended` (integer ms since 1970, half-open). A line and an
instant pack into one 64-bit key, so that one sorted array holds every line's marks and a binary
search finds the claim that covers any of them: millions of claims cost a few sorts, and no loop
meets a row.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

# 42 bits of milliseconds reach the year 2109 and leave room for two million lines.
_BITS = 42
DAY_MS = 86_400_000
FOREVER = (1 << _BITS) - 1
"""The end of what has none yet."""

BOUNDS = ("line", "began", "ended")


def instant_ms(column: str) -> pl.Expr:
    """An instant as whole milliseconds since 1970, cut down, never rounded."""
    return pl.col(column).dt.epoch("us") // 1000


def ms(at: datetime) -> int:
    """The same of one instant."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def pack(line: pl.Series | np.ndarray, at: pl.Series | np.ndarray) -> np.ndarray:
    """Sortable keys of (line, instant)."""
    return (np.asarray(line, np.int64) << _BITS) | np.asarray(at, np.int64)


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lines and the instants of packed keys."""
    return keys >> _BITS, keys & ((1 << _BITS) - 1)


def midnights(keys: np.ndarray) -> np.ndarray:
    """Keys of UTC midnights of each line of sorted keys: from its first day to the end of its last."""
    if not len(keys):
        return keys
    lines = np.arange(keys[0] >> _BITS, (keys[-1] >> _BITS) + 1)
    starts = np.searchsorted(keys, lines << _BITS)
    ends = np.append(starts[1:], len(keys))
    lines, starts, ends = (found[ends > starts] for found in (lines, starts, ends))
    first, last = (unpack(keys[at])[1] // DAY_MS for at in (starts, ends - 1))
    row, nth = ranges(last - first + 2)
    return pack(lines[row], (first[row] + nth) * DAY_MS)


def instants(keys: np.ndarray) -> pl.Series:
    """The instants of packed keys."""
    return pl.Series(keys & ((1 << _BITS) - 1))


def disjoint(claims: pl.DataFrame) -> pl.DataFrame:
    """Let no two claims of a line overlap: the one that began first keeps the shared time.

    Of claims that begin together the longer goes first, then the smaller row in plain order. The
    time covered stays the same; claims left without any are dropped.
    """
    if claims.is_empty():
        return claims
    rest = [n for n, t in claims.schema.items() if n not in BOUNDS and not t.is_nested()]
    ordered = claims.filter(pl.col("began") < pl.col("ended")).sort(
        "line", "began", "ended", *rest, descending=[False, False, True] + [False] * len(rest)
    )
    if ordered.is_empty():
        return ordered
    # Keys of later lines are larger, so one running maximum serves all lines.
    reached = np.maximum.accumulate(pack(ordered["line"], ordered["ended"]))
    began = pack(ordered["line"], ordered["began"])
    began[1:] = np.maximum(began[1:], reached[:-1])
    return ordered.with_columns(began=instants(began)).filter(pl.col("began") < pl.col("ended"))


def sweep(levels: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Give every covered stretch to one claim: the first level that covers it wins.

    Levels share their columns; the slices keep them, with `claim` numbering the claims. Slices
    of one line are disjoint and sorted, and together cover exactly what the claims cover.
    """
    settled = [disjoint(level) for level in levels]
    claims = pl.concat(settled).with_row_index("claim")
    if claims.is_empty():
        return claims
    began = pack(claims["line"], claims["began"])
    ended = pack(claims["line"], claims["ended"])
    marks = np.sort(np.concatenate([began, ended]))
    marks = marks[np.diff(marks, prepend=-1) != 0]
    winner = np.full(len(marks), -1, np.int64)
    first = 0
    for level in settled:
        span = slice(first, first + len(level))
        if len(level):
            latest = np.searchsorted(began[span], marks, side="right") - 1
            covers = (latest >= 0) & (ended[span][latest] > marks)
            winner = np.where((winner < 0) & covers, latest + first, winner)
        first += len(level)
    won = np.flatnonzero(winner >= 0)
    return claims[winner[won]].with_columns(
        began=instants(marks[won]), ended=instants(marks[won + 1])
    )


def cut(slices: pl.DataFrame, cuts: np.ndarray, *, per_line: bool = True) -> pl.DataFrame:
    """Split slices at the sorted `cuts`: keys of (line, instant), or instants for all lines."""
    if slices.is_empty() or not len(cuts):
        return slices
    line = slices["line"].to_numpy() if per_line else np.zeros(len(slices), np.int64)
    began, ended = pack(line, slices["began"]), pack(line, slices["ended"])
    first = np.searchsorted(cuts, began, side="right")
    inside = np.maximum(np.searchsorted(cuts, ended, side="left") - first, 0)
    row, nth = ranges(inside + 1)
    padded = np.append(cuts, 0)
    starts = np.where(nth == 0, began[row], padded[first[row] + nth - 1])
    stops = np.where(nth == inside[row], ended[row], padded[first[row] + nth])
    return slices[row].with_columns(began=instants(starts), ended=instants(stops))


def cut_days(slices: pl.DataFrame) -> pl.DataFrame:
    """Split slices at UTC midnights and name their `day`."""
    if slices.is_empty():
        return slices.with_columns(day=pl.lit(None, pl.Date))
    days = pl.concat([slices["began"], slices["ended"]]).to_numpy() // DAY_MS
    midnights = np.arange(days.min(), days.max() + 1) * DAY_MS
    return cut(slices, midnights, per_line=False).with_columns(
        day=(pl.col("began") // DAY_MS).cast(pl.Int32).cast(pl.Date)
    )


def ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts 2, 0, 3: rows 0 0 2 2 2 and, within each row, 0 1 0 1 2."""
    row = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return row, np.arange(len(row)) - starts[row]


def starts_of(*values: np.ndarray) -> np.ndarray:
    """Rows that differ in any of the arrays from the row before, and the first one."""
    if not len(values[0]):
        return np.empty(0, np.int64)
    differs = np.logical_or.reduce([told[1:] != told[:-1] for told in values])
    return np.append(0, np.flatnonzero(differs) + 1)


def latest_before(claims: pl.DataFrame, line: pl.Series, at: pl.Series) -> np.ndarray:
    """Row of the claim of each line that began last at or before an instant; -1 if none.

    `claims` must be sorted by line and began.
    """
    keys = pack(claims["line"], claims["began"])
    row = np.searchsorted(keys, pack(line, at), side="right") - 1
    same = (row >= 0) & (claims["line"].to_numpy()[row] == line.to_numpy()) if len(keys) else False
    return np.where(same, row, -1)


def sum_before(amounts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Running sum of `amounts` ahead of each row, afresh where `groups` changes."""
    ahead = np.cumsum(amounts) - amounts
    opens = np.flatnonzero(np.diff(groups, prepend=-1))
    return ahead - np.repeat(ahead[opens], np.diff(opens, append=len(groups)))
