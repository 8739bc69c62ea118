"""Files too large to hold, cut into pieces that are read one after the other."""

from collections.abc import Iterator
from typing import Protocol

from flows.errors import RefusedError
from transforms.sources.base import Reading

PIECE = 16 * 1024**2  # larger ones cost more to parse, by the page faults of their columns
LONGEST_PIECE = 8 * PIECE
MOST_REJECTS = 1_000_000
MOST_UNKNOWN = 1_000_000
"""Names of one file that nobody knows: exporters have some thousands."""


class Readable(Protocol):
    def read(self, count: int) -> bytes: ...

    def check(self) -> None: ...


def blocks(stream: Readable, size: int = PIECE) -> Iterator[bytes]:
    """The stream in blocks of about `size`, each but the last ending with a line feed."""
    rest = b""
    while more := stream.read(size):
        end = more.rfind(b"\n") + 1
        if end:
            yield rest + more[:end]
            rest = more[end:]
        else:
            rest += more
            _not_longer_than(LONGEST_PIECE, rest)
    stream.check()
    if rest:
        yield rest


def cut_up(
    stream: Readable, reading: Reading, size: int = PIECE, longest: int = LONGEST_PIECE
) -> Iterator[bytes]:
    """The stream in pieces of about `size`, cut where `reading` allows."""
    rest = b""
    while more := stream.read(size):
        rest += more
        if cut := reading.cut(rest):
            yield rest[:cut]
            rest = rest[cut:]
        else:
            _not_longer_than(longest, rest)
    stream.check()
    if rest:
        yield rest


def _not_longer_than(most: int, rest: bytes) -> None:
    if len(rest) > most:
        raise RefusedError(
            f"no sound record ends within {most:,} bytes: wrong source or broken file"
        )
