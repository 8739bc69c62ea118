"""What a count of failures says of the number that was to be expected: exact Poisson limits (R-2).

Only here because building the warehouse needs the table of limits and nothing else of statistics:
`scipy.stats` takes longer to load than an hour of a small fleet takes to read.
"""

import math
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

EXACT_UP_TO = 20_000
"""Counts whose limits SQL looks up; above, Wilson-Hilferty is within 6e-9 of them (measured)."""


def count_limits(
    failures: ArrayLike, level: float = 0.95, stopped_by: Literal["time", "failure"] = "time"
) -> tuple[np.ndarray, np.ndarray]:
    """Exact (Garwood) limits of the expected number of failures, given those seen (R-2).

    stopped_by  time: the window was fixed, our normal case; failure: it ended at the last one
    """
    seen = np.asarray(failures, dtype=np.float64)
    tail = (1 - level) / 2
    beyond = 1.0 if stopped_by == "time" else 0.0
    some = seen > 0
    # Half a chi-square quantile of 2 n degrees is a gamma quantile of shape n.
    lower = np.where(some, gammaincinv(np.where(some, seen, 0.5), tail), 0.0)
    upper = gammaincinv(np.maximum(seen + beyond, 0.5), 1 - tail)
    return lower, upper if stopped_by == "time" else np.where(some, upper, np.nan)


def poisson_limits(up_to: int = EXACT_UP_TO) -> pl.DataFrame:
    """The limits for every count 0..up_to: failures, lo, hi. SQL has no chi-square quantile."""
    lower, upper = count_limits(np.arange(up_to + 1))
    return pl.DataFrame(
        {
            "failures": pl.int_range(0, up_to + 1, dtype=pl.UInt64, eager=True),
            "lo": lower,
            "hi": upper,
        }
    )


def no_failure_bound(node_days: float, level: float = 0.95) -> float:
    """One-sided upper limit of the rate per 1000 node-days after no failure in them (R-3)."""
    return -math.log1p(-level) / node_days * 1000
