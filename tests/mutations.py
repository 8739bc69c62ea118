"""Damage as it happens to files: cut, torn, doubled, overwritten, spliced, with wild numbers."""

import random
import re
from collections.abc import Callable, Sequence

WILD = (b"-1", b"0", b"4294967296", b"9223372036854775808", b"1e309", b"NaN", b"", b"99999-99-99")
_NUMBER = re.compile(rb"\d+")


def _stretch(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 3, 20, 200)))


def _overwritten(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def _cut_out(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng)
    return data[:start] + data[end:]


def _torn(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _doubled(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _one_bit(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _lines_shuffled(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _spliced(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    start, end = _stretch(other, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start:end] + data[place:]


def _wild_number(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    if not (found := list(_NUMBER.finditer(data))):
        return data
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(WILD) + data[number.end() :]


def _other_digit(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    if not (found := list(_NUMBER.finditer(data))):
        return data
    place = rng.choice(found).start()
    return data[:place] + b"%d" % rng.randrange(10) + data[place + 1 :]


DAMAGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    *(_overwritten, _cut_out, _torn, _doubled, _one_bit, _lines_shuffled, _spliced),
    *(_wild_number, _other_digit),
)


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of `seeds` with one to three damages."""
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(DAMAGES)(data, rng, seeds)
    return data
