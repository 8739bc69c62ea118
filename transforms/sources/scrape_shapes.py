"""What is known of a scrape before it is read: its shape, its target, and where its values go.

Scrapes of one exporter have the same shape on every node: the same lines in the same order, with
label texts that differ. A shape is kept once, a target adds its own label texts. What each line
means is never worked out here: the exact reader is asked once, with every value a zero.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.cells import CELLS
from transforms.metrics import BY_NAME, claims
from transforms.sources.base import Origin
from transforms.tables.samples import ALL as TABLES

if TYPE_CHECKING:
    from transforms.sources.prometheus_text import Scrape

LINE = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    rb'(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? ([^\s#]\S*?)(?: ([0-9]+))?\r?'
)
MARK = re.compile(rb"^[ \t]*#[ \t]*scraped_at:", re.M)
LONGEST = 8 * 1024**2  # bytes of a scrape that is worth a shape
STAND_IN = b"# scraped_at: 2000-01-01T00:00:00Z\n"
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


Reader = Callable[[bytes, Origin], "Scrape"]
"""The exact reader."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The bytes that do not change, cut where label texts and values stand between them.

    fixed, cuts  literal bytes before slot i are fixed[cuts[i]:cuts[i + 1]], then those at the end
    label_of     which label text slot i has, -1 for none
    lines        the line of the scrape that slot i stands on, from 0
    """

    fixed: npt.NDArray[np.uint8]
    cuts: Ints
    label_of: Ints
    names: tuple[str, ...]
    lines: Ints
    height: int
    is_stamped: bool
    labels: int


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
    crowds   slots that share their cell with others: slot, metric, table, row, series
    unknown  metric names that nobody here knows, to samples in a scrape
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


@dataclass(frozen=True, eq=False)
class Target:
    """One exporter on one node: its label texts and what they stand for.

    devices  of each table the things that its rows are about, in their order
    least    bytes of its shortest scrape
    layout   is None where its scrapes can only be read the slow way
    """

    shape: Shape
    labels: npt.NDArray[np.uint8]
    label_cuts: Ints
    layout: Layout | None
    devices: dict[str, pl.DataFrame]
    may_repeat: bool
    least: int


def shape_of(scrape: bytes) -> Shape | None:
    """The shape of one scrape (without its mark), or None where it is written in no plain way."""
    if len(scrape) > LONGEST or not scrape.endswith(b"\n") or MARK.search(scrape):
        return None
    fixed: list[bytes] = []
    label_of: list[int] = []
    names: list[str] = []
    lines: list[int] = []
    texts: dict[bytes, int] = {}
    stamps = set()
    at = begin = 0
    rows = scrape[:-1].split(b"\n")
    for number, line in enumerate(rows):
        if line and not line.startswith((b"#", b"\r")):
            if not (found := LINE.fullmatch(line)):
                return None
            name, label, _, stamp = found.groups()
            fixed.append(scrape[at : begin + found.start(2 if label is not None else 3)])
            label_of.append(-1 if label is None else texts.setdefault(label, len(texts)))
            names.append(name.decode())
            lines.append(number)
            stamps.add(stamp is not None)
            at = begin + found.end(3 if stamp is None else 4)
        elif line.startswith(b"\r") and line != b"\r":
            return None
        begin += len(line) + 1
    if not names or len(stamps) > 1:
        return None
    fixed.append(scrape[at:])
    return Shape(
        fixed=np.frombuffer(b"".join(fixed), np.uint8),
        cuts=np.cumsum([0, *map(len, fixed)]),
        label_of=np.array(label_of, np.int64),
        names=tuple(names),
        lines=np.array(lines, np.int64),
        height=len(rows),
        is_stamped=stamps.pop(),
        labels=len(texts),
    )


def targets(
    wanted: Sequence[tuple[Shape, tuple[bytes, ...]]],
    cluster: str,
    node: str,
    read: Reader,
    known: dict[tuple[object, ...], Layout],
) -> list[Target]:
    """What the exact reader makes of scrapes with these shapes and label texts.

    Layouts that are the same as one of `known` are that one; new ones are added to it.
    """
    texts, first, starts = [], 0, []
    for shape, labels in wanted:
        texts.append(STAND_IN + _with_zeros(shape, labels))
        starts.append(first + 2)  # line numbers begin with 1, and the mark has the first
        first += 1 + len(shape.names)
    origin = Origin("", datetime(2000, 1, 1, tzinfo=UTC), cluster, node)
    told = read(b"".join(texts), origin)
    found = []
    cells = _by_scrape(told.known, starts)
    named = _by_scrape(told.names, starts)
    faults = _by_scrape(told.bad, starts)
    for number, (shape, labels) in enumerate(wanted):
        mine, names = cells.get(number), named.get(number)
        layout: Layout | None = None
        devices: dict[str, pl.DataFrame] = {}
        if number not in faults:
            mine = told.known.clear().with_columns(slot_no=pl.lit(0)) if mine is None else mine
            devices, fillings, crowds = _placed(mine)
            layout = _layout(shape, mine, fillings, crowds, names)
            layout = known.setdefault(_signature(layout), layout)
        cuts = np.cumsum([0, *(len(text) + 2 for text in labels)])
        used = np.diff(cuts)[shape.label_of[shape.label_of >= 0]]
        found.append(
            Target(
                shape,
                np.frombuffer(b"".join(text + b"} " for text in labels), np.uint8),
                cuts,
                layout,
                devices,
                shape.is_stamped and names is None,
                max(1, len(shape.fixed) + int(used.sum())),
            )
        )
    return found


def _with_zeros(shape: Shape, labels: tuple[bytes, ...]) -> bytes:
    """The scrape's sample lines, one below the other, each with the value 0."""
    lines = []
    for name, k in zip(shape.names, shape.label_of.tolist(), strict=True):
        lines.append(name.encode() + (b"{" + labels[k] + b"} 0\n" if k >= 0 else b" 0\n"))
    return b"".join(lines)


def _by_scrape(rows: pl.DataFrame, starts: list[int]) -> dict[int, pl.DataFrame]:
    """Rows of each scrape, with the slot that they tell of."""
    if rows.is_empty():
        return {}
    line = rows["line_no"].to_numpy().astype(np.int64)
    scrape = np.searchsorted(np.array(starts), line, side="right") - 1
    slot = line - np.array(starts)[scrape]
    placed = rows.with_columns(
        pl.Series("scrape_no", scrape, pl.Int64), pl.Series("slot_no", slot, pl.Int64)
    )
    parts = placed.partition_by("scrape_no", as_dict=True, include_key=False)
    return {int(str(number)): part for (number,), part in parts.items()}


def _placed(
    cells: pl.DataFrame,
) -> tuple[dict[str, pl.DataFrame], list[Filling], pl.DataFrame]:
    """Devices of each table, the slots that fill a cell alone, and those that share one."""
    of_table = {name: metric.table for name, metric in BY_NAME.items()}
    cells = cells.with_columns(
        pl.col("metric").replace_strict(of_table, return_dtype=pl.String).alias("table")
    )
    devices: dict[str, pl.DataFrame] = {}
    fillings: list[Filling] = []
    crowds = []
    for table in TABLES:
        rows = cells.filter(pl.col("table") == table.name)
        if rows.is_empty():
            continue
        key = [name for name in table.key if name != table.day]
        things = rows.group_by(key).agg(pl.col("slot").min()).sort(key).with_row_index("row")
        rows = rows.drop("slot").join(things, on=key, how="left", maintain_order="left")
        shared = pl.struct("metric", "row").is_duplicated()
        lone = rows.filter(~shared)
        metrics = tuple(sorted(set(rows["metric"])))
        slots = np.full((len(metrics), things.height), -1, np.int64)
        column = [metrics.index(name) for name in lone["metric"]]
        slots[column, lone["row"].to_numpy()] = lone["slot_no"].to_numpy()
        devices[table.name] = things.select(*key, *(["slot"] if "slot" in table.dtypes else []))
        fillings.append(Filling(table.name, metrics, slots))
        crowds.append(rows.filter(shared).select("slot_no", "metric", "table", "row", "series"))
    nobody = pl.DataFrame(
        schema={
            "slot_no": pl.Int64,
            "metric": pl.String,
            "table": pl.String,
            "row": pl.UInt32,
            "series": CELLS["series"],
        }
    )
    return devices, fillings, pl.concat([nobody, *crowds])


def _layout(
    shape: Shape,
    cells: pl.DataFrame,
    fillings: list[Filling],
    crowds: pl.DataFrame,
    names: pl.DataFrame | None,
) -> Layout:
    from transforms.sources.prometheus_text import DCGM_BLANKS

    slots = len(shape.names)
    times, over = np.ones(slots), np.ones(slots)
    low, high = np.full(slots, -np.inf), np.full(slots, np.inf)
    blank_of: list[tuple[float, ...]] = [()] * slots
    for slot, metric_name in cells.select("slot_no", "metric").iter_rows():
        name = shape.names[slot]
        claim = next(c for c in claims(name) if c.metric.name == metric_name)
        times[slot], over[slot] = claim.times, claim.over
        low[slot], high[slot] = claim.metric.low, claim.metric.high
        blank_of[slot] = claim.metric.blanks + (DCGM_BLANKS if name.startswith("DCGM_") else ())
    blanks = np.full((slots, max(map(len, blank_of))), np.nan)
    for slot, raw in enumerate(blank_of):
        blanks[slot, : len(raw)] = raw
    known = set(cells["slot_no"]) | (set() if names is None else set(names["slot_no"]))
    unknown: dict[str, int] = {}
    for slot, name in enumerate(shape.names):
        if slot not in known:
            unknown[name] = unknown.get(name, 0) + 1
    crowds = crowds.with_columns(pl.col("series").rank("dense").cast(pl.UInt32))
    return Layout(tuple(fillings), crowds, times, over, low, high, blanks, unknown, len(known))


def _signature(layout: Layout) -> tuple[object, ...]:
    arrays = (layout.times, layout.over, layout.low, layout.high, layout.blanks)
    return (
        *((f.table, f.metrics, f.slots.tobytes(), f.slots.shape) for f in layout.fillings),
        *(array.tobytes() for array in arrays),
        layout.crowds.rows().__repr__(),
        tuple(layout.unknown.items()),
        layout.accepted,
    )
