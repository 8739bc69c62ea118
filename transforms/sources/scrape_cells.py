"""Values that were read fast as rows: all scrapes of one layout together, one column at a time.

The rows of a thing lie together, things in the order of their keys, as the lake keeps them: hours
of files that come in the order of their nodes need no sorting any more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms import contract
from transforms.cells import CELLS, RULES, settle_crowds
from transforms.sources import scrape_columns
from transforms.sources.scrape_targets import Filling, Layout, Target

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass
class Walked:
    """Scrapes of one target in one part: their values, and where they are.

    places  instant (us), begin and end of each scrape
    is_bad  scrapes that must be read the slow way
    """

    target: Target
    places: Ints
    values: Floats
    is_bad: Flags


@dataclass(frozen=True)
class Drawn:
    """The cells of all scrapes of one layout, by table, laid out as `scrape_columns.columns` says."""

    layout: Layout
    walked: list[Walked]
    begins: Ints
    cells: dict[str, Floats]
    gaps: dict[str, Flags]

    def ranks(self, table: str) -> Ints:
        return _ranks(self.walked, table)


def drawn_of(layout: Layout, walked: list[Walked]) -> Drawn:
    """All cells of these scrapes in the tables' units; scrapes with an impossible one are bad."""
    values = np.concatenate([one.values for one in walked])
    is_bad = np.concatenate([one.is_bad for one in walked])
    begins = np.cumsum([0, *(len(one.values) for one in walked)])
    cells, gaps = {}, {}
    for filling in layout.fillings:
        count, rows = filling.slots.shape
        into = np.empty((count, len(values) * rows))
        has_gap = np.zeros(count, np.bool_)
        scrape_columns.columns(
            values,
            begins,
            _ranks(walked, filling.table),
            filling.slots,
            *(layout.times, layout.over, layout.low, layout.high, layout.blanks),
            into,
            is_bad,
            has_gap,
        )
        cells[filling.table], gaps[filling.table] = into, has_gap
    drawn = Drawn(layout, walked, begins, cells, gaps)
    if layout.crowds.height:
        _settle(drawn, values, is_bad)
    start = 0
    for one in walked:
        one.is_bad |= is_bad[start : start + len(one.is_bad)]
        start += len(one.is_bad)
    return drawn


def _ranks(walked: list[Walked], table: str) -> Ints:
    return np.stack([one.target.ranks[table] for one in walked])


def _settle(drawn: Drawn, values: Floats, is_bad: Flags) -> None:
    """Bring the samples that share a cell down to one, as the exact reader does."""
    layout = drawn.layout
    crowds = layout.crowds.with_row_index("crowd")
    slots = crowds["slot_no"].to_numpy()
    into = np.empty((len(slots), len(values)))
    bounds = (layout.times, layout.over, layout.low, layout.high, layout.blanks)
    gap = np.zeros(len(slots), np.bool_)
    whole, alone = np.array([0, len(values)]), np.zeros((1, 1), np.int64)
    scrape_columns.columns(values, whole, alone, slots[:, None], *bounds, into, is_bad, gap)
    long = pl.DataFrame(
        {
            "crowd": np.repeat(np.arange(len(slots), dtype=np.uint32), len(values)),
            "line_no": np.tile(np.arange(len(values), dtype=np.uint32), len(slots)),
            "value": into.reshape(-1),
        }
    ).join(crowds.select("crowd", "metric", "row", "series", "table"), on="crowd")
    told = long.with_columns(
        pl.col("value").fill_nan(None),
        pl.col("table").alias("cluster"),
        pl.col("row").cast(pl.String).alias("node"),
        pl.col("line_no").cast(pl.String).alias("gpu"),
        *(pl.lit("").alias(name) for name in ("source_name", "gpu_instance", "link")),
        pl.lit(0, pl.UInt16).alias("slot"),
        pl.lit(0).cast(contract.UTC).alias("observed_at"),
    ).select(CELLS.names())
    settled, refused = settle_crowds(
        told.join(RULES, on="metric", how="left", maintain_order="left")
    )
    is_bad[refused["line_no"].to_numpy()] = True
    for filling in layout.fillings:
        mine = settled.filter(pl.col("cluster") == filling.table)
        if not mine.height:
            continue
        column = np.array([filling.metrics.index(name) for name in mine["metric"]])
        row = mine["node"].cast(pl.Int64).to_numpy()
        scrape = mine["gpu"].cast(pl.Int64).to_numpy()
        filled = mine["value"].fill_null(float("nan")).to_numpy()
        walk = np.searchsorted(drawn.begins, scrape, side="right") - 1
        first, count = drawn.begins[walk], np.diff(drawn.begins)[walk]
        cell = first * filling.slots.shape[1] + drawn.ranks(filling.table)[walk, row] * count
        drawn.cells[filling.table][column, cell + scrape - first] = filled


def frames_of(drawn: Drawn) -> list[tuple[str, pl.DataFrame]]:
    """The rows of the scrapes that are not bad."""
    keep = np.concatenate([~one.is_bad for one in drawn.walked])
    if not keep.any():
        return []
    at = np.concatenate([one.places[:, 0] for one in drawn.walked])
    return [(filling.table, _frame(filling, drawn, at, keep)) for filling in drawn.layout.fillings]


def _frame(filling: Filling, drawn: Drawn, at: Ints, keep: Flags) -> pl.DataFrame:
    cells, gaps = drawn.cells[filling.table], drawn.gaps[filling.table]
    thing, scrape = np.empty(cells.shape[1], np.int64), np.empty(cells.shape[1], np.int64)
    scrape_columns.laid_out(drawn.begins, drawn.ranks(filling.table), thing, scrape)
    found = pl.concat([one.target.devices[filling.table] for one in drawn.walked])[thing]
    found = found.with_columns(
        pl.Series("observed_at", at[scrape]).cast(contract.UTC),
        *(
            (series.fill_nan(None) if gap or drawn.layout.crowds.height else series)
            for series, gap in (
                (pl.Series(name, cells[c]), gaps[c]) for c, name in enumerate(filling.metrics)
            )
        ),
    )
    return found if keep.all() else found.filter(keep[scrape])
