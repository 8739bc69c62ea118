"""What is known of a scrape's target before it is read: its things, and where its values go.

A target adds its own label texts to a shape. What a line means is never worked out here: the
exact reader is asked once for many targets, with a zero for every value. Targets that it answers
alike, as all nodes of one kind do, share a layout.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.metrics import BY_NAME, claims
from transforms.sources.base import Origin
from transforms.sources.scrape_shapes import Shape
from transforms.tables.samples import ALL as TABLES

if TYPE_CHECKING:
    from transforms.sources.prometheus_text import Scrape

STAND_IN = b"# scraped_at: 2000-01-01T00:00:00Z\n"
UNKNOWN, NAMES = -1, -2  # answers that are no metric's cell
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


Reader = Callable[[bytes, Origin], "Scrape"]
"""The exact reader."""


@dataclass(frozen=True, eq=False)
class Filling:
    """Which slot fills which cell of one table: slots[column, row], -1 for none."""

    table: str
    metrics: tuple[str, ...]
    slots: Ints


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the values of a scrape go. Targets alike share it.

    times, over, low, high, blanks  of each slot: the value is raw * times / over, within bounds
    crowds   slots that share their cell with others: slot_no, metric, table, row, series
    unknown  metric names that nobody here knows, to samples in a scrape
    accepted samples of a scrape that are known
    """

    fillings: tuple[Filling, ...]
    crowds: pl.DataFrame
    times: Floats
    over: Floats
    low: Floats
    high: Floats
    blanks: Floats
    unknown: dict[str, int]
    accepted: int


Layouts = dict[tuple[Shape, bytes], Layout]
"""By shape and by what the exact reader says of its lines: known ones are not made again."""


@dataclass(frozen=True, eq=False)
class Target:
    """One exporter on one node: its label texts and what they stand for.

    devices  of each table the things that its rows are about, in the order of their first lines
    ranks    of each table which of its things, in the order of their keys, each of these is
    least    bytes of its shortest scrape
    layout   is None where its scrapes can only be read the slow way
    """

    shape: Shape
    labels: npt.NDArray[np.uint8]
    label_cuts: Ints
    layout: Layout | None
    devices: dict[str, pl.DataFrame]
    ranks: dict[str, Ints]
    may_repeat: bool
    least: int


@dataclass(frozen=True)
class Answers:
    """What the exact reader says of the lines asked of many scrapes.

    told     of each line asked: its metric's number << 32 | its row in the metric's table,
             UNKNOWN or NAMES
    begins   where the lines of each scrape begin in `told`, and after the last where they end
    is_bad   scrapes with a line that cannot be read
    things   of each table: the things of all scrapes, where those of each scrape begin, and which
             one each is in the order of the keys of its scrape's things
    """

    told: Ints
    begins: Ints
    is_bad: npt.NDArray[np.bool_]
    things: dict[str, tuple[pl.DataFrame, Ints, Ints]]


METRICS = tuple(BY_NAME)
NUMBER = {name: number for number, name in enumerate(METRICS)}
TABLE_OF = {name: metric.table for name, metric in BY_NAME.items()}


def targets(
    wanted: Sequence[tuple[Shape, tuple[bytes, ...]]],
    cluster: str,
    node: str,
    read: Reader,
    known: Layouts,
) -> list[Target]:
    """What the exact reader makes of scrapes with these shapes and label texts.

    Layouts that are the same as one of `known` are that one; new ones are added to it.
    """
    answers = _asked(wanted, cluster, node, read)
    found = []
    for number, (shape, labels) in enumerate(wanted):
        told = answers.told[answers.begins[number] : answers.begins[number + 1]]
        layout: Layout | None = None
        devices: dict[str, pl.DataFrame] = {}
        ranks: dict[str, Ints] = {}
        # Label texts that differ only in bytes that are no UTF-8 are one to the exact reader.
        if not answers.is_bad[number] and all(map(_is_text, labels)):
            alike = shape, told.tobytes()
            if (layout := known.get(alike)) is None:
                layout = known[alike] = _layout(shape, told)
            for filling in layout.fillings:
                things, begins, rank = answers.things[filling.table]
                begin, end = begins[number : number + 2].tolist()
                devices[filling.table] = things[begin:end]
                ranks[filling.table] = rank[begin:end]
        cuts = np.cumsum([0, *(len(text) + 2 for text in labels)])
        used = np.diff(cuts)[shape.label_of[shape.label_of >= 0]]
        found.append(
            Target(
                shape,
                np.frombuffer(b"".join(text + b"} " for text in labels), np.uint8),
                cuts,
                layout,
                devices,
                ranks,
                shape.is_stamped and not (told == NAMES).any(),
                max(1, len(shape.fixed) + int(used.sum())),
            )
        )
    return found


def _is_text(label: bytes) -> bool:
    try:
        return bool(label.isascii() or label.decode())
    except UnicodeDecodeError:
        return False


def _asked(
    wanted: Sequence[tuple[Shape, tuple[bytes, ...]]], cluster: str, node: str, read: Reader
) -> Answers:
    """Ask the exact reader for the lines of each shape that stand for the others."""
    text = b"".join(STAND_IN + _with_zeros(shape, labels) for shape, labels in wanted)
    counts = np.array([len(shape.asked) for shape, _ in wanted])
    begins = np.cumsum([0, *counts])
    scrape_of = np.repeat(np.arange(len(wanted)), counts)
    origin = Origin("", datetime(2000, 1, 1, tzinfo=UTC), cluster, node)
    said = read(text, origin)

    def asked(rows: pl.DataFrame) -> Ints:
        """Which of the lines asked these are: a mark stands before those of each scrape."""
        line = rows["line_no"].to_numpy().astype(np.int64) - 2
        scrape = np.searchsorted(begins[:-1] + np.arange(len(wanted)), line, side="right") - 1
        return line - scrape

    told = np.full(len(scrape_of), UNKNOWN)
    told[asked(said.names)] = NAMES
    is_bad = np.zeros(len(wanted), np.bool_)
    is_bad[scrape_of[asked(said.bad)]] = True
    at = asked(said.known)
    cells = said.known.with_columns(
        pl.col("metric").replace_strict(TABLE_OF, return_dtype=pl.String).alias("table"),
        pl.col("metric").replace_strict(NUMBER, return_dtype=pl.Int64).alias("number"),
        pl.Series("scrape", scrape_of[at], pl.Int64),
        pl.Series("at", at, pl.Int64),
    )
    things = {}
    for table in TABLES:
        rows = cells.filter(pl.col("table") == table.name)
        if rows.is_empty():
            continue
        key = ["scrape", *(name for name in table.key if name != table.day)]
        first = rows.group_by(key).agg(pl.col("slot").min(), pl.col("at").min().alias("first"))
        first = first.sort("first")
        starts = np.searchsorted(first["scrape"].to_numpy(), np.arange(len(wanted) + 1))
        row = np.arange(first.height) - starts[first["scrape"].to_numpy()]
        placed = rows.select(*key, "number", "at").join(
            first.select(*key, pl.Series("row", row, pl.Int64)), on=key, how="left"
        )
        told[placed["at"].to_numpy()] = placed["number"].to_numpy() << 32 | placed["row"].to_numpy()
        columns = [*key[1:], *(["slot"] if "slot" in table.dtypes else [])]
        things[table.name] = first.select(columns), starts, _ranks(first, key, starts)
    return Answers(told, begins, is_bad, things)


def _ranks(things: pl.DataFrame, key: list[str], starts: Ints) -> Ints:
    """Which of its scrape's things each is, when these are sorted by their keys."""
    order = things.select(pl.arg_sort_by(key)).to_series().to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place - starts[things["scrape"].to_numpy()]


def _with_zeros(shape: Shape, labels: tuple[bytes, ...]) -> bytes:
    """The sample lines asked, one below the other, each with the value 0."""
    lines = []
    for slot in shape.asked:
        name, label = shape.names[slot].encode(), shape.label_of[slot]
        lines.append(name + (b"{" + labels[label] + b"} 0\n" if label >= 0 else b" 0\n"))
    return b"".join(lines)


def _layout(shape: Shape, told: Ints) -> Layout:
    """Where each slot's value goes, given what was told of the slots that stand for the others."""
    from transforms.sources.prometheus_text import DCGM_BLANKS

    slots = len(shape.names)
    times, over = np.ones(slots), np.ones(slots)
    low, high = np.full(slots, -np.inf), np.full(slots, np.inf)
    blank_of: list[tuple[float, ...]] = [()] * slots
    places: dict[tuple[str, int], list[int]] = {}  # metric and row to the slots of the cell
    unknown: dict[str, int] = {}
    for slot, (name, answer) in enumerate(zip(shape.names, told[shape.like].tolist(), strict=True)):
        if answer == UNKNOWN:
            unknown[name] = unknown.get(name, 0) + 1
        if answer < 0:
            continue
        metric, row = METRICS[answer >> 32], answer & 0xFFFFFFFF
        asked = claims(shape.names[shape.asked[shape.like[slot]]])
        claim = claims(name)[[claim.metric.name for claim in asked].index(metric)]
        times[slot], over[slot] = claim.times, claim.over
        low[slot], high[slot] = claim.metric.low, claim.metric.high
        blank_of[slot] = claim.metric.blanks + (DCGM_BLANKS if name.startswith("DCGM_") else ())
        places.setdefault((claim.metric.name, row), []).append(slot)
    blanks = np.full((slots, max(map(len, blank_of))), np.nan)
    for slot, raw in enumerate(blank_of):
        blanks[slot, : len(raw)] = raw
    fillings = tuple(
        filling for table in TABLES if (filling := _filling(table.name, places)).metrics
    )
    accepted = slots - sum(unknown.values())
    crowds = _crowds(shape, places)
    return Layout(fillings, crowds, times, over, low, high, blanks, unknown, accepted)


def _filling(table: str, places: dict[tuple[str, int], list[int]]) -> Filling:
    mine = {place: slots for place, slots in places.items() if TABLE_OF[place[0]] == table}
    metrics = tuple(sorted({metric for metric, _ in mine}))
    filled = np.full((len(metrics), max((row for _, row in mine), default=-1) + 1), -1, np.int64)
    for (metric, row), slots in mine.items():
        if len(slots) == 1:
            filled[metrics.index(metric), row] = slots[0]
    return Filling(table, metrics, filled)


def _crowds(shape: Shape, places: dict[tuple[str, int], list[int]]) -> pl.DataFrame:
    """Slots that share a cell; lines with the same name and labels are of one series."""
    series: dict[tuple[str, int], int] = {}
    rows = [
        (
            slot,
            metric,
            TABLE_OF[metric],
            row,
            series.setdefault((shape.names[slot], int(shape.label_of[slot])), len(series)),
        )
        for (metric, row), slots in places.items()
        for slot in (slots if len(slots) > 1 else ())
    ]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "slot_no": pl.Int64,
        "metric": pl.String,
        "table": pl.String,
        "row": pl.UInt32,
        "series": pl.UInt32,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
