"""Instants and randomness of the simulator: integer milliseconds since 1970, named random streams.

Every part of the history draws from its own stream, so that changing one part (more research
jobs, say) leaves the failures of all others where they were.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(ms: int) -> datetime:
    """The instant as an aware datetime."""
    return _EPOCH + timedelta(milliseconds=int(ms))


def instant(text: str) -> int:
    """Milliseconds of an ISO instant with an offset."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def iso(ms: int | None) -> str:
    """2026-03-02T10:15:04.120Z; '' for an instant that has not come."""
    if ms is None:
        return ""
    return at(ms).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % SECOND:03d}Z"


def iso_many(ms: np.ndarray) -> list[str]:
    """`iso` of an array."""
    texts = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="ms")
    return [f"{text}Z" for text in texts.tolist()]


def slurm(ms: int | None) -> str:
    """Slurm's own form, in UTC: 2026-03-02T10:15:04, or Unknown."""
    return "Unknown" if ms is None else at(ms).strftime("%Y-%m-%dT%H:%M:%S")


def whole_second(ms: float) -> int:
    """The first whole second not before `ms`: schedulers keep no finer time."""
    return -(-round(ms) // SECOND) * SECOND


def day_of(ms: int) -> str:
    return at(ms).strftime("%Y-%m-%d")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Random numbers that depend on the seed and the names alone."""
    words = [seed, *"/".join(str(name) for name in names).encode()]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def between(rng: np.random.Generator, low: float, high: float) -> int:
    """A whole number of milliseconds, uniform between two bounds."""
    return round(rng.uniform(low, high))
