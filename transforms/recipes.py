"""How each derived table is made: the whole derivation on one page, in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from transforms.contract import Table


@dataclass(frozen=True)
class Window:
    """Whole UTC days [since, until) to derive, and the last instant anything was observed."""

    since: datetime
    until: datetime
    horizon: datetime


@dataclass(frozen=True)
class Recipe:
    """`by(window, **tables)` gives every table of `makes` by name, for the window's days.

    It reads `before` days ahead of the window and `after` days behind it; interval tables give
    every row that overlaps that stretch. The rows of one day never depend on which other days
    are in the window. Reading a derived table needs its recipe to stand earlier in RECIPES.
    """

    makes: tuple[Table, ...]
    reads: tuple[Table, ...]
    by: Callable[..., Mapping[str, pl.DataFrame]]
    before: int = 0
    after: int = 0


RECIPES: tuple[Recipe, ...] = ()
