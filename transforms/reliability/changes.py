"""When did a rate change? Change points and control charts over daily counts (D-6).

Counts stand beside their exposure, so a fleet that grows is no change. A point found is a
question to the calendar of drivers, firmware and detectors, not yet an answer.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Split:
    """The best place to cut: after how many cells, how much likelier, and the rates around it."""

    after: int
    log_ratio: float
    before: float
    behind: float
    p: float


def _gain(counts: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Log-likelihood gained by a cut after each cell but the last; rows are series."""
    s, e = np.cumsum(counts, axis=-1), np.cumsum(exposure)
    left, right = s[..., :-1], s[..., -1:] - s[..., :-1]
    e_left, e_right = e[:-1], e[-1] - e[:-1]

    def term(count: np.ndarray, over: np.ndarray | float) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(count > 0, count * np.log(count / over), 0.0)

    return term(left, e_left) + term(right, e_right) - term(s[..., -1:], e[-1])


def split(
    counts: ArrayLike,
    exposure: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    draws: int = 20_000,
    phi: float = 1.0,
    enough: int | None = None,
) -> Split:
    """Cut a series of counts in two where the rates differ most; p by Monte Carlo.

    Under no change the total falls on the cells in proportion to exposure, whatever the rate.
    Counts that vary `phi` times as much as Poisson's are drawn as clumps of `phi`.
    With `enough` the drawing ends once so many draws gained as much: p is then their share of the
    draws made, which is as honest (Besag and Clifford 1991) and spares the dull series.
    Without `rng` no p is drawn (nan). Needs two cells with exposure each side, else ValueError.
    """
    y = np.asarray(counts, np.float64)
    e = np.ones_like(y) if exposure is None else np.asarray(exposure, np.float64)
    if len(y) < 2 or not (e > 0).all():
        raise ValueError("a split needs two cells or more, each with exposure")
    gain = _gain(y, e)
    after = int(np.argmax(gain)) + 1
    p = math.nan
    if rng is not None:
        hits, made, block = 0, 0, 2000 if enough is None else 200
        while made < draws and (enough is None or hits < enough):
            some = min(block, draws - made)
            null = rng.multinomial(round(y.sum() / phi), e / e.sum(), size=some)
            hits += int((phi * _gain(null, e).max(axis=1) >= gain.max() - 1e-12).sum())
            made += some
        p = (1 + hits) / (made + 1)
    return Split(
        after=after,
        log_ratio=float(gain[after - 1]),
        before=float(y[:after].sum() / e[:after].sum()),
        behind=float(y[after:].sum() / e[after:].sum()),
        p=p,
    )


def segments(counts: ArrayLike, exposure: ArrayLike | None = None) -> list[int]:
    """All cells after which the rate changes: optimal partitioning, penalty 3 ln n per cut."""
    y = np.asarray(counts, np.float64)
    e = np.ones_like(y) if exposure is None else np.asarray(exposure, np.float64)
    n = len(y)
    if n < 2:
        return []
    s, t = np.concatenate([[0], np.cumsum(y)]), np.concatenate([[0], np.cumsum(e)])
    penalty = 3 * math.log(n)
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    cut = np.zeros(n + 1, np.int64)
    alive = np.array([0])
    for end in range(1, n + 1):
        inside, over = s[end] - s[alive], t[end] - t[alive]
        with np.errstate(divide="ignore", invalid="ignore"):
            cost = np.where(inside > 0, -inside * np.log(inside / over), 0.0)
        whole = best[alive] + cost + penalty
        chosen = int(np.argmin(whole))
        best[end], cut[end] = whole[chosen], alive[chosen]
        # A start that is already worse by more than a penalty never wins again (PELT).
        alive = np.append(alive[best[alive] + cost <= best[end]], end)
    cuts: list[int] = []
    place = int(cut[n])
    while place > 0:
        cuts.append(place)
        place = int(cut[place])
    return cuts[::-1]


def cusum_reference(usual: float, changed: float) -> float:
    """Allowance of a Poisson CUSUM between two means per cell."""
    return (changed - usual) / math.log(changed / usual)


def cusum(counts: ArrayLike, reference: float) -> np.ndarray:
    """Path of S = max(0, S + y - reference), starting from 0, along the last axis."""
    drift = np.cumsum(np.asarray(counts, np.float64) - reference, axis=-1)
    return drift - np.minimum(np.minimum.accumulate(drift, axis=-1), 0.0)


def cusum_threshold(
    usual: float,
    reference: float,
    cells_between_alarms: float,
    rng: np.random.Generator,
    runs: int = 400,
    seen: float = math.inf,
    phi: float = 1.0,
) -> float:
    """Height that a chart in control crosses once in `cells_between_alarms` on average.

    `usual` may itself be an estimate, from `seen` failures: the paths then have the rates it may
    stand for. With `phi` above 1 their counts vary that much more than Poisson's. Found by bisection on paths drawn once; run lengths are exponential far out, so a path of
    three times the wanted length, crossed or not, gives the mean by its share of survivors.
    """
    length = int(3 * cells_between_alarms)
    means = np.full((runs, 1), usual)
    if not math.isinf(seen):
        means = usual * rng.gamma(seen + 0.5, size=(runs, 1)) / (seen + 0.5)
    cells = np.broadcast_to(means, (runs, length))
    if phi > 1:
        cells = rng.gamma(cells / (phi - 1), phi - 1)
    peaks = np.maximum.accumulate(cusum(rng.poisson(cells), reference), axis=1)
    low, high = 0.0, float(peaks.max()) + 1
    # Peaks only rise: a path has as many cells before it crosses as have a peak below.
    last, earlier = peaks[:, -1].copy(), peaks[:, :-1].copy()
    for _ in range(40):
        middle = (low + high) / 2
        lengths = runs + int(np.count_nonzero(earlier < middle))
        alarms = max(int(np.count_nonzero(last >= middle)), 1)
        low, high = (middle, high) if lengths / alarms < cells_between_alarms else (low, middle)
    return (low + high) / 2
