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
) -> Regression:
    """Poisson regression; `columns` (rows x names) holds the intercept where one is wanted.

    Raises ValueError where columns are linearly dependent or exposure is not positive.
    """
    y, e, x = _checked(counts, exposure, columns)
    beta = _iterate(y, e, x, 0.0)
    return _told(y, e, x, beta, 0.0, names, cluster, level)


def pearson_phi(y: np.ndarray, e: np.ndarray, x: np.ndarray, found: Regression) -> float:
    """Variation about the fitted means per freedom left: 1 where counts are Poisson (R-5).

    y, e, x  the counts, exposure and columns that `found` was fitted to
    """
    mean = e * np.exp(x @ found.coefficients)
    return float(((y - mean) ** 2 / mean).sum() / max(len(y) - x.shape[1], 1))


def negative_binomial(
    counts: ArrayLike,
    exposure: ArrayLike,
    columns: ArrayLike,
    names: tuple[str, ...],
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Regression:
    """Negative binomial (NB2) by maximum likelihood over coefficients and alpha together.

    Falls back to Poisson (alpha 0) where the counts vary no more than Poisson's.
    """
    y, e, x = _checked(counts, exposure, columns)
    beta = _iterate(y, e, x, 0.0)

    def profile(log_alpha: float) -> float:
        alpha = float(np.exp(log_alpha))
        return -_likelihood(y, _mean(e, x, _iterate(y, e, x, alpha, beta)), alpha)

    found = optimize.minimize_scalar(
        profile, bounds=(-16, 6), method="bounded", options={"xatol": 1e-11}
    )
    alpha = float(np.exp(found.x))
    if -found.fun <= _likelihood(y, _mean(e, x, beta), 0.0) + 1e-9:
        return _told(y, e, x, beta, 0.0, names, cluster, level)
    return _told(y, e, x, _iterate(y, e, x, alpha, beta), alpha, names, cluster, level)


def _checked(
    counts: ArrayLike, exposure: ArrayLike, columns: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, e, x = (np.asarray(v, np.float64) for v in (counts, exposure, columns))
    if not (e > 0).all():
        raise ValueError("every row needs exposure above 0")
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("columns depend on one another: leave one level of each factor out")
    return y, e, x


def _mean(e: np.ndarray, x: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return e * np.exp(np.clip(x @ beta, -500, 500))


def _iterate(
    y: np.ndarray, e: np.ndarray, x: np.ndarray, alpha: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Fisher scoring; starts from the crude rate."""
    beta = start
    if beta is None:
        crude = np.log(max(y.sum(), 0.5) / e.sum())
        beta = np.linalg.lstsq(x, np.full(len(y), crude), rcond=None)[0]
    for _ in range(STEPS):
        mean = _mean(e, x, beta)
        weight = mean / (1 + alpha * mean)
        score = x.T @ ((y - mean) / (1 + alpha * mean))
        step = np.linalg.solve(x.T @ (weight[:, None] * x), score)
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
    y: np.ndarray,
    e: np.ndarray,
    x: np.ndarray,
    beta: np.ndarray,
    alpha: float,
    names: tuple[str, ...],
    cluster: ArrayLike | None,
    level: float,
) -> Regression:
    mean = _mean(e, x, beta)
    weight = mean / (1 + alpha * mean)
    bread = np.linalg.inv(x.T @ (weight[:, None] * x))
    group = np.arange(len(y)) if cluster is None else np.unique(cluster, return_inverse=True)[1]
    clusters = int(group.max()) + 1
    scores = x * ((y - mean) / (1 + alpha * mean))[:, None]
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
    """Derivative of the NB log-likelihood by alpha: zero at its maximum (for tests)."""
    size = 1 / alpha
    by_size = digamma(y + size) - digamma(size) + np.log(size / (size + mean)) + 1
    by_size -= (y + size) / (size + mean)
    return float(-(by_size * size**2).sum())
