"""Rates of single units, drawn towards their fleet (methods R-11): who is really worse?

A unit's raw rate over a few weeks is mostly luck. The fleet's rates are taken to be spread like
a Gamma(a, b), fitted to all units; each unit's posterior then weighs its own data against that.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from scipy.special import digamma, gammaincc, gammaincinv, gammaln, polygamma


@dataclass(frozen=True)
class Prior:
    """Gamma(shape, exposure) of failures per node-day over the units of a fleet."""

    shape: float
    exposure: float

    @property
    def mean(self) -> float:
        """Failures per node-day of the ordinary unit."""
        return self.shape / self.exposure


@dataclass(frozen=True)
class Posterior:
    """What is known of one unit, per 1000 node-days; `surely` is the 5 % quantile."""

    mean: float
    surely: float
    p_above: float  # probability that its rate is above `times` the fleet's
    weight: float  # of its own data against the fleet's


@dataclass(frozen=True)
class Posteriors:
    """The same of many units at once, with limits, and what is expected of those far above."""

    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    surely: np.ndarray
    p_above: np.ndarray
    weight: np.ndarray
    above: np.ndarray
    """Rate per 1000 node-days times the chance that it is above: E[rate; rate > times x fleet]."""


def posteriors(
    prior: Prior,
    failures: np.ndarray,
    node_days: np.ndarray,
    times: float = 3.0,
    level: float = 0.95,
) -> Posteriors:
    """Draw every unit towards its fleet; arrays by unit, rates per 1000 node-days."""
    shape, exposure = prior.shape + failures, prior.exposure + node_days
    far = times * prior.mean * exposure

    def quantile(share: float) -> np.ndarray:
        return 1000 * gammaincinv(shape, share) / exposure

    mean = 1000 * shape / exposure
    return Posteriors(
        mean=mean,
        lo=quantile((1 - level) / 2),
        hi=quantile((1 + level) / 2),
        surely=quantile(0.05),
        p_above=gammaincc(shape, far),
        weight=node_days / exposure,
        above=mean * gammaincc(shape + 1, far),
    )


def posterior(prior: Prior, failures: int, node_days: float, times: float = 3.0) -> Posterior:
    """Draw one unit towards its fleet."""
    one = posteriors(prior, np.array([failures]), np.array([node_days]), times)
    return Posterior(
        float(one.mean[0]), float(one.surely[0]), float(one.p_above[0]), float(one.weight[0])
    )


def moments(failures: np.ndarray, node_days: float) -> Prior | None:
    """Method of moments for units of equal exposure; None where nothing is spread beyond chance."""
    mean, spread = float(np.mean(failures)), float(np.var(failures, ddof=1))
    if spread <= mean:
        return None
    shape = mean**2 / (spread - mean)
    return Prior(shape, shape / mean * node_days)


def log_likelihood(prior: Prior, failures: np.ndarray, node_days: np.ndarray) -> float:
    """Negative-binomial log-likelihood of all units' counts under `prior`."""
    a, b, x, t = prior.shape, prior.exposure, failures, node_days
    terms = gammaln(a + x) - gammaln(a) - gammaln(x + 1) + a * np.log(b / (b + t))
    return float(np.sum(terms + x * np.log(t / (b + t))))


def poisson_log_likelihood(failures: np.ndarray, node_days: np.ndarray) -> float:
    """The same counts if every unit had the fleet's rate."""
    expected = node_days * failures.sum() / node_days.sum()
    return float(np.sum(stats.poisson.logpmf(failures, expected)))


def fit(failures: np.ndarray, node_days: np.ndarray) -> Prior | None:
    """Prior of greatest likelihood; None where the units differ by no more than chance.

    Units with no exposure say nothing. The likelihood grows on leaving the Poisson law exactly
    where the squares of the residuals sum to more than the failures, whatever the exposures. Steps
    on the logarithms of both parameters end in Newton's method, so that the answer does not hang
    on where an optimiser got tired.
    """
    seen = node_days > 0
    x, t = failures[seen].astype(float), node_days[seen].astype(float)
    if len(x) < 2 or not x.sum():
        return None
    rate = x.sum() / t.sum()
    excess = float(np.sum((x - rate * t) ** 2) - x.sum())
    if excess <= 0:
        return None
    shape = rate**2 * float(np.sum(t**2)) / excess
    start = Prior(shape, shape / rate)
    place = np.log([start.shape, start.exposure])
    rough = optimize.minimize(
        lambda p: -log_likelihood(Prior(*np.exp(p)), x, t), place, jac=lambda p: -_slope(p, x, t)
    )
    root = optimize.root(_slope, rough.x, args=(x, t), jac=_curvature, tol=1e-13)
    shape, exposure = np.exp(root.x if np.all(np.isfinite(root.x)) else rough.x)
    return Prior(float(shape), float(exposure))


def _slope(place: np.ndarray, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gradient of the log-likelihood by log shape and log exposure."""
    a, b = np.exp(place)
    by_a = digamma(a + x) - digamma(a) + np.log(b / (b + t))
    by_b = a / b - (a + x) / (b + t)
    return np.array([a * by_a.sum(), b * by_b.sum()])


def _curvature(place: np.ndarray, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    a, b = np.exp(place)
    slope = _slope(place, x, t)
    by_aa = np.sum(polygamma(1, a + x) - polygamma(1, a))
    by_ab = np.sum(1 / b - 1 / (b + t))
    by_bb = np.sum(-a / b**2 + (a + x) / (b + t) ** 2)
    return np.array(
        [[a * a * by_aa + slope[0], a * b * by_ab], [a * b * by_ab, b * b * by_bb + slope[1]]]
    )
