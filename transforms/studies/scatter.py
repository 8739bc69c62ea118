"""How the failures of many units scatter, all units at once (R-5).

Each unit's failures are counted by day and by node, and the larger dispersion tells. Pearson's
sum needs only cells with a failure, since sum (y - m)^2 / m = sum y^2 / m - sum y: so a million
node-days without one cost nothing. Where cells are too sparse for chi-square, and only where the
answer hangs on it, chance draws decide.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from transforms.reliability.dispersion import TOO_MUCH, TOO_UNLIKELY

FEWEST_FOR_PHI = 10
"""Failures below which nothing can be said of how they scatter."""
CELLS_NEED = 1.0
"""Expected failures a cell, below which cells are judged by chance draws, not by chi-square."""
MANY = 100_000
"""Failures from which chi-square is believed whatever the cells."""
DRAWS = 400
CELLS = (("day",), ("cluster", "node"))


def scatter(
    rows: pl.DataFrame,
    hits: pl.DataFrame,
    hours: pl.DataFrame,
    units: Sequence[str],
    kinds: Sequence[str],
    seed: int,
    by_day: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """`rows` with `phi` and `is_poisson`, null where there are too few failures to tell.

    rows   units, kinds, failures, node_days; one a unit and kind
    hits   units, kinds, day, cluster, node, failures
    hours  units, day, cluster, node, ms (Int64) at risk
    by_day the same summed by units and day, where somebody has that already
    """
    keys = [*units, *kinds]
    enough = (pl.col("failures") >= FEWEST_FOR_PHI) & (pl.col("node_days") > 0)
    asked = rows.filter(enough).select(keys)
    hits = hits.join(asked, on=keys, how="semi", nulls_equal=True)
    enough_units = asked.select(units).unique()
    found = pl.concat(
        [
            _by_cells(
                hits,
                hours if by_day is None or cells != CELLS[0] else by_day,
                enough_units,
                units,
                kinds,
                cells,
                seed,
            )
            for cells in CELLS
            if not set(cells) <= set(units)
        ]
        or [_nothing(asked)]
    )
    # A dispersion beyond chance tells before a larger one that chance explains.
    found = found.sort(["is_poisson", "phi"], descending=[False, True])
    largest = found.unique(keys, keep="first", maintain_order=True)
    return rows.join(largest, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _nothing(asked: pl.DataFrame) -> pl.DataFrame:
    return asked.clear().with_columns(phi=pl.lit(0.0), is_poisson=pl.lit(True))


def _by_cells(
    hits: pl.DataFrame,
    hours: pl.DataFrame,
    asked: pl.DataFrame,
    units: Sequence[str],
    kinds: Sequence[str],
    cells: Sequence[str],
    seed: int,
) -> pl.DataFrame:
    """units, kinds, phi, is_poisson of all with two cells at risk and a failure in one."""
    by, keys = list(dict.fromkeys([*units, *cells])), [*units, *kinds]
    y, e = pl.col("failures"), pl.col("ms")
    risk = hours.group_by(by).agg(e.sum()).filter(e > 0)
    risk = risk.join(asked, on=units, how="semi", nulls_equal=True)
    of_unit = risk.group_by(units).agg(
        pl.len().alias("cells"), e.sum().alias("whole"), (1 / e).sum().alias("inverse")
    )
    seen = hits.group_by(list(dict.fromkeys([*by, *kinds]))).agg(y.cast(pl.Int64).sum())
    told = (
        seen.join(risk, on=by, nulls_equal=True)
        .group_by(keys)
        .agg(y.sum().alias("total"), (y.cast(pl.Float64) ** 2 / e).sum().alias("squares"))
        .join(of_unit, on=units, nulls_equal=True)
        .filter((pl.col("cells") > 1) & (pl.col("total") > 0))
        .sort(keys)
    )
    total, whole, cell_count = (
        told[n].to_numpy().astype(float) for n in ("total", "whole", "cells")
    )
    square = whole / total * told["squares"].to_numpy() - total
    free = cell_count - 1
    phi = square / free
    p = stats.chi2.sf(square, free)
    # Few failures a cell: by chance the sum is `free` with this variance, and what lies far
    # beyond it is refused by Cantelli's inequality, which needs no law.
    sparse = (total / cell_count < CELLS_NEED) & (total <= MANY) & (phi > TOO_MUCH)
    inverse = whole * told["inverse"].to_numpy()
    variance = 2 * free + (inverse - cell_count**2 - 2 * cell_count + 2) / total
    bound = np.where(square > free, variance / (variance + (square - free) ** 2), 1.0)
    p = np.where(sparse, bound, p)
    open_ones = np.flatnonzero(sparse & (bound >= TOO_UNLIKELY))
    drawn_for = told[open_ones].select(units).unique()
    at_risk = risk.join(drawn_for, on=units, how="semi", nulls_equal=True).sort(by)
    exposed = {
        key: part["ms"].to_numpy()
        for key, part in at_risk.partition_by(units, as_dict=True).items()
    }
    for i, unit in zip(open_ones, told[open_ones].select(units).iter_rows(), strict=True):
        rng = np.random.default_rng(seed)
        p[i] = chance_of(square[i], int(total[i]), exposed[unit], rng)
    is_poisson = ~((phi > TOO_MUCH) & (p < TOO_UNLIKELY))
    return told.select(keys).with_columns(
        phi=pl.Series(phi, dtype=pl.Float64), is_poisson=pl.Series(is_poisson, dtype=pl.Boolean)
    )


def chance_of(
    square: float, failures: int, exposure: np.ndarray, rng: np.random.Generator
) -> float:
    """How often `failures` strewn by chance over cells of `exposure` scatter as much or more.

    From up to DRAWS draws; they stop once it is clear that chance explains it.
    """
    reach = np.cumsum(exposure / exposure.sum())
    expected = failures * exposure / exposure.sum()
    beyond = made = 0
    for _ in range(DRAWS // 50):
        draw = np.repeat(np.arange(50), failures)
        cell = np.minimum(np.searchsorted(reach, rng.random(len(draw)), "right"), len(reach) - 1)
        place, count = np.unique(draw * len(reach) + cell, return_counts=True)
        sums = np.bincount(place // len(reach), count**2 / expected[place % len(reach)], 50)
        beyond += int((sums - failures >= square * (1 - 1e-12)).sum())
        made += 50
        if (1 + beyond) / (DRAWS + 1) >= TOO_UNLIKELY:
            break
    return (1 + beyond) / (made + 1)
