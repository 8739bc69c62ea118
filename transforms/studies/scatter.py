"""How the failures of many units scatter, all units at once (R-5).

Each unit's failures are counted by day and by node, and the larger dispersion tells. Pearson's
sum needs only cells with a failure, since sum (y - m)^2 / m = sum y^2 / m - sum y: so a million
node-days without one cost nothing. Where cells are too sparse for chi-square, and only where the
answer hangs on it, chance draws decide.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

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
ABREAST = 50
MANY_UNITS = 30
"""Units that are judged by draws, from which on it pays to load the compiled loop."""
CELLS = (("day",), ("cluster", "node"))


def scatter(
    rows: pl.DataFrame,
    hits: pl.DataFrame,
    hours: pl.DataFrame,
    units: Sequence[str],
    kinds: Sequence[str],
    seed: int,
) -> pl.DataFrame:
    """`rows` with `phi` and `is_poisson`, null where there are too few failures to tell.

    rows   units, kinds, failures, node_days; one a unit and kind
    hits   units, kinds, day, cluster, node, failures
    hours  units, day, cluster, node, ms (Int64) at risk
    """
    keys = [*units, *kinds]
    asked = asked_of(rows, keys)
    hits = hits.join(asked, on=keys, how="semi", nulls_equal=True)
    enough_units = asked.select(units).unique()
    found = [
        _by_cells(hits, hours, enough_units, units, kinds, cells, seed)
        for cells in CELLS
        if not set(cells) <= set(units)
    ]
    return with_larger(rows, keys, found)


def asked_of(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The keys of those with enough failures to tell how they scatter."""
    enough = (pl.col("failures") >= FEWEST_FOR_PHI) & (pl.col("node_days") > 0)
    return rows.filter(enough).select(keys)


def with_larger(
    rows: pl.DataFrame, keys: Sequence[str], found: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """`rows` with what was found of their keys: a dispersion beyond chance tells before a larger
    one that chance explains."""
    every = pl.concat([_nothing(rows.select(keys)), *found])
    every = every.sort(["is_poisson", "phi"], descending=[False, True])
    largest = every.unique(keys, keep="first", maintain_order=True)
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
        .sort(keys)
    )

    def cells_of(open_ones: pl.DataFrame) -> Iterator[np.ndarray]:
        drawn_for = open_ones.select(units).unique()
        at_risk = risk.join(drawn_for, on=units, how="semi", nulls_equal=True).sort(by)
        parts = at_risk.partition_by(units, as_dict=True)
        yield from (parts[unit]["ms"].to_numpy() for unit in open_ones.select(units).iter_rows())

    return judged(told, keys, cells_of, seed)


def judged(
    told: pl.DataFrame,
    keys: Sequence[str],
    cells_of: Callable[[pl.DataFrame], Iterable[np.ndarray]],
    seed: int,
) -> pl.DataFrame:
    """keys, phi, is_poisson of all with two cells at risk and a failure in one.

    told      keys; total failures and sum of their squares over ms by cell; number of cells at
              risk, `whole` sum of their ms and `inverse` sum of 1 / ms
    cells_of  the ms of the cells at risk of each of some rows of `told`
    """
    told = told.filter((pl.col("cells") > 1) & (pl.col("total") > 0))
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
    strew = strewn
    if len(open_ones) >= MANY_UNITS:
        from transforms.studies.strewing import strewn as strew
    for i, exposed in zip(open_ones, cells_of(told[open_ones]), strict=True):
        p[i] = chance_of(square[i], int(total[i]), exposed, np.random.default_rng(seed), strew)
    is_poisson = ~((phi > TOO_MUCH) & (p < TOO_UNLIKELY))
    return told.select(keys).with_columns(
        phi=pl.Series(phi, dtype=pl.Float64), is_poisson=pl.Series(is_poisson, dtype=pl.Boolean)
    )


def chance_of(
    square: float,
    failures: int,
    exposure: np.ndarray,
    rng: np.random.Generator,
    strew: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> float:
    """How often `failures` strewn by chance over cells of `exposure` scatter as much or more.

    From up to DRAWS draws; they stop once it is clear that chance explains it.
    """
    reach = np.cumsum(exposure / exposure.sum())
    expected = failures * exposure / exposure.sum()
    beyond = made = 0
    for _ in range(DRAWS // ABREAST):
        at = rng.random((ABREAST, failures))
        sums = (strew or strewn)(at, reach, expected)
        beyond += int((sums - failures >= square * (1 - 1e-12)).sum())
        made += ABREAST
        if (1 + beyond) / (DRAWS + 1) >= TOO_UNLIKELY:
            break
    return (1 + beyond) / (made + 1)


def strewn(at: np.ndarray, reach: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Sum over cells of squared counts over their expectation, of each draw.

    at     where failures fell, uniform in [0, 1): draws by failures
    reach  where each cell ends
    """
    cell = np.minimum(np.searchsorted(reach, at.reshape(-1), "right"), len(reach) - 1)
    draw = np.repeat(np.arange(len(at)), at.shape[1])
    place, count = np.unique(draw * len(reach) + cell, return_counts=True)
    return np.bincount(place // len(reach), count**2 / expected[place % len(reach)], len(at))
