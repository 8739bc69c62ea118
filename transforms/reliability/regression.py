"""Rates that differ by model, driver, hall and age, told apart from one another (R-14).

A raw comparison of two vendors compares their halls and ages too. Counts are regressed on all of
it at once, with the logarithm of exposure as offset; limits come from errors that allow the
counts of one cluster (a node over months) to hang together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats
from scipy.special import digamma, gammaln

STEPS = 100
SAME = 1e-12
NEAR = 1e-6


@dataclass(frozen=True)
class Regression:
    """Coefficients on the log scale with cluster-robust errors; `ratio*` are rate ratios.

    `alpha` is the negative binomial's extra variance (mean + alpha mean^2); 0 for Poisson.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    std_errors: np.ndarray
    ratio: np.ndarray
    ratio_lo: np.ndarray
    ratio_hi: np.ndarray
    p: np.ndarray
    alpha: float
    log_likelihood: float
    clusters: int


def poisson(
    counts: ArrayLike,
    exposure: ArrayLike,
    columns: ArrayLike,
    names: tuple[str, ...],
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    kind: ArrayLike | None = None,
) -> Regression:
    """Poisson regression; `columns` (rows x names) holds the intercept where one is wanted.

    Where many counts share a row of `columns`, it need be there once: `kind` says which row each
    count has. Raises ValueError where columns are linearly dependent or exposure is not positive.
    """
    given = _Given.of(counts, exposure, columns, kind)
    return _told(given, _iterate(given, 0.0), 0.0, names, cluster, level)


def pearson_phi(
    y: ArrayLike,
    e: ArrayLike,
    x: ArrayLike,
    found: Regression,
    kind: ArrayLike | None = None,
) -> float:
    """Variation about the fitted means per freedom left: 1 where counts are Poisson (R-5).

    y, e, x, kind  the counts, exposure and columns that `found` was fitted to
    """
    given = _Given.of(y, e, x, kind)
    mean = given.mean(found.coefficients)
    freedom = max(len(given.y) - len(found.coefficients), 1)
    return float(((given.y - mean) ** 2 / mean).sum() / freedom)


def negative_binomial(
    counts: ArrayLike,
    exposure: ArrayLike,
    columns: ArrayLike,
    names: tuple[str, ...],
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    kind: ArrayLike | None = None,
) -> Regression:
    """Negative binomial (NB2) by maximum likelihood over coefficients and alpha together.

    Falls back to Poisson (alpha 0) where the counts vary no more than Poisson's. `kind` as in
    `poisson`.
    """
    given = _Given.of(counts, exposure, columns, kind)
    beta = _iterate(given, 0.0)

    def fitted(log_alpha: float) -> tuple[float, np.ndarray]:
        alpha = float(np.exp(log_alpha))
        return alpha, _iterate(given, alpha, beta)

    def profile(log_alpha: float) -> float:
        alpha, mine = fitted(log_alpha)
        return -_likelihood(given.y, given.mean(mine), alpha)

    def slope(log_alpha: float) -> float:
        alpha, mine = fitted(log_alpha)
        return dispersion_slope(given.y, given.mean(mine), alpha)

    found = optimize.minimize_scalar(
        profile, bounds=(-16, 6), method="bounded", options={"xatol": NEAR}
    )
    if -found.fun <= _likelihood(given.y, given.mean(beta), 0.0) + 1e-9:
        return _told(given, beta, 0.0, names, cluster, level)
    # A likelihood is flat at its top: where its slope is nothing is known more exactly.
    low, high = found.x - 100 * NEAR, found.x + 100 * NEAR
    is_between = slope(low) > 0 > slope(high)
    best = optimize.brentq(slope, low, high, xtol=SAME) if is_between else found.x
    alpha, beta = fitted(best)
    return _told(given, beta, alpha, names, cluster, level)


@dataclass(frozen=True)
class _Given:
    """Counts with their exposure; `x` the distinct rows of columns, `kind` which of them each has."""

    y: np.ndarray
    e: np.ndarray
    x: np.ndarray
    kind: np.ndarray

    @staticmethod
    def of(
        counts: ArrayLike, exposure: ArrayLike, columns: ArrayLike, kind: ArrayLike | None
    ) -> "_Given":
        y, e, x = (np.asarray(v, np.float64) for v in (counts, exposure, columns))
        if not (e > 0).all():
            raise ValueError("every row needs exposure above 0")
        if np.linalg.matrix_rank(x) < x.shape[1]:
            raise ValueError("columns depend on one another: leave one level of each factor out")
        return _Given(y, e, x, np.arange(len(y)) if kind is None else np.asarray(kind))

    def mean(self, beta: np.ndarray) -> np.ndarray:
        return self.e * np.exp(np.clip(self.x @ beta, -500, 500))[self.kind]

    def by_kind(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.kind, values, len(self.x))

    def weighted(self, weight: np.ndarray) -> np.ndarray:
        """Columns by columns, summed over rows with their weights."""
        return self.x.T @ (self.by_kind(weight)[:, None] * self.x)


def _iterate(given: _Given, alpha: float, start: np.ndarray | None = None) -> np.ndarray:
    """Fisher scoring; starts from the crude rate."""
    y, x = given.y, given.x
    beta = start
    if beta is None:
        crude = np.log(max(y.sum(), 0.5) / given.e.sum())
        beta = np.linalg.lstsq(x, np.full(len(x), crude), rcond=None)[0]
    for _ in range(STEPS):
        mean = given.mean(beta)
        damped = 1 + alpha * mean
        score = x.T @ given.by_kind((y - mean) / damped)
        step = np.linalg.solve(given.weighted(mean / damped), score)
        beta = beta + np.clip(step, -5, 5)
        if np.max(np.abs(step)) < SAME:
            break
    return beta


def _likelihood(y: np.ndarray, mean: np.ndarray, alpha: float) -> float:
    if alpha == 0:
        return float(stats.poisson.logpmf(y, mean).sum())
    size = 1 / alpha
    terms = gammaln(y + size) - gammaln(size) - gammaln(y + 1)
    terms += size * np.log(size / (size + mean)) + y * np.log(mean / (size + mean))
    return float(terms.sum())


def _told(
    given: _Given,
    beta: np.ndarray,
    alpha: float,
    names: tuple[str, ...],
    cluster: ArrayLike | None,
    level: float,
) -> Regression:
    y, x, mean = given.y, given.x, given.mean(beta)
    bread = np.linalg.inv(given.weighted(mean / (1 + alpha * mean)))
    group = np.arange(len(y)) if cluster is None else np.unique(cluster, return_inverse=True)[1]
    clusters = int(group.max()) + 1
    scores = x[given.kind] * ((y - mean) / (1 + alpha * mean))[:, None]
    summed = np.zeros((clusters, x.shape[1]))
    np.add.at(summed, group, scores)
    meat = summed.T @ summed
    if cluster is not None and clusters > 1:  # small-sample factor, as is usual for clusters
        meat *= clusters / (clusters - 1) * (len(y) - 1) / (len(y) - x.shape[1])
    errors = np.sqrt(np.diag(bread @ meat @ bread))
    z = stats.norm.ppf((1 + level) / 2)
    return Regression(
        names=names,
        coefficients=beta,
        std_errors=errors,
        ratio=np.exp(beta),
        ratio_lo=np.exp(beta - z * errors),
        ratio_hi=np.exp(beta + z * errors),
        p=2 * stats.norm.sf(np.abs(beta / errors)),
        alpha=alpha,
        log_likelihood=_likelihood(y, mean, alpha),
        clusters=clusters,
    )


def dispersion_slope(y: np.ndarray, mean: np.ndarray, alpha: float) -> float:
    """Derivative of the NB log-likelihood by alpha: zero at its maximum."""
    size = 1 / alpha
    by_size = digamma(y + size) - digamma(size) + np.log(size / (size + mean)) + 1
    by_size -= (y + size) / (size + mean)
    return float(-(by_size * size**2).sum())
