"""Errors of links per bit carried (D-8)."""

from dataclasses import dataclass

from transforms.poisson import count_limits, no_failure_bound


@dataclass(frozen=True)
class BitErrors:
    """Errors per bit with exact limits; without an error `ratio` is 0 and `hi` one-sided."""

    ratio: float
    lo: float
    hi: float


def bit_error_ratio(errors: int, bits: float, level: float = 0.95) -> BitErrors:
    """Bit error ratio of `errors` in `bits` > 0: raw before correction, effective after it."""
    if bits <= 0:
        raise ValueError(f"an error ratio needs bits, got {bits:g}")
    if not errors:
        return BitErrors(0.0, 0.0, no_failure_bound(bits, level) / 1000)
    low, high = (float(edge) / bits for edge in count_limits(errors, level))
    return BitErrors(errors / bits, low, high)


def seconds_to_show(ratio: float, bits_per_second: float, level: float = 0.95) -> float:
    """Time without an error after which the true ratio is below `ratio`."""
    return no_failure_bound(ratio * bits_per_second, level) / 1000
