"""What a rate means for a job of another size, and for the weeks to come (methods S-1, S-2)."""

from dataclasses import dataclass

from scipy import stats

from transforms.mtbf import rate

EXTRAPOLATION_LIMIT = 10
"""Times the largest job observed, beyond which a projection must be called extrapolated."""


@dataclass(frozen=True)
class JobMttf:
    """Mean time to failure of a job (h) with the interval of the rate it came from."""

    hours: float
    lo: float
    hi: float
    is_extrapolated: bool


def job_mttf_hours(per_1000_node_days: float, gpus: int, gpus_per_node: int = 8) -> float:
    """Mean time to failure (h) of a job that stops when any of its nodes fails."""
    return 1000 * 24 * gpus_per_node / (gpus * per_1000_node_days)


def implied_rate(mttf_hours: float, gpus: int, gpus_per_node: int = 8) -> float:
    """Failures per 1000 node-days behind a published job MTTF: the same law, turned round."""
    return 1000 * 24 * gpus_per_node / (gpus * mttf_hours)


def project(
    failures: int,
    node_days: float,
    gpus: int,
    largest_seen_gpus: int,
    gpus_per_node: int = 8,
) -> JobMttf:
    """Job MTTF at `gpus`, from failures in node-days; only for classes that scale with nodes."""
    seen = rate(failures, node_days)
    low, high = (job_mttf_hours(edge, gpus, gpus_per_node) for edge in (seen.hi, seen.lo))
    return JobMttf(
        hours=job_mttf_hours(seen.per_1000_node_days, gpus, gpus_per_node),
        lo=low,
        hi=high,
        is_extrapolated=gpus > EXTRAPOLATION_LIMIT * largest_seen_gpus,
    )


@dataclass(frozen=True)
class NextCount:
    """Failures to expect: mean, and the 95 % predictive limits with the median between them."""

    mean: float
    lo: float
    median: float
    hi: float


def next_count(failures: int, node_days: float, next_node_days: float) -> NextCount:
    """Failures in the next `next_node_days`, by the negative binomial of a Gamma(r + 1/2, T) rate."""
    shape = failures + 0.5
    law = stats.nbinom(shape, node_days / (node_days + next_node_days))
    low, middle, high = (float(law.ppf(share)) for share in (0.025, 0.5, 0.975))
    return NextCount(shape * next_node_days / node_days, low, middle, high)
