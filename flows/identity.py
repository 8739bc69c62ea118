"""By what the lake knows a file: a digest of its bytes as they came.

Files whose bytes are kept are known by their SHA-256, which names what is kept as well. Samples come
in a thousand times more bytes, of which none are kept, and SHA-256 would cost as much as all the rest
of reading them. They are known by 128 bits of XXH3: no two files are alike by chance, and who wants
two to be alike on purpose must be able to write scrapes anyway, and could as well write wrong ones.
"""

import hashlib
from typing import Protocol

import xxhash

XXH3 = "xxh3:"
"""What the digests of bulk samples begin with; a bare one is SHA-256."""


class Readable(Protocol):
    def read(self, count: int) -> bytes: ...


class Digest:
    """A digest that grows with the bytes it is shown."""

    def __init__(self, is_bulk: bool) -> None:
        self._begins = XXH3 if is_bulk else ""
        self._hash = xxhash.xxh3_128() if is_bulk else hashlib.sha256()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._hash.update(data)

    def __str__(self) -> str:
        return self._begins + self._hash.hexdigest()


def of_bytes(data: bytes | bytearray, is_bulk: bool) -> str:
    digest = Digest(is_bulk)
    digest.update(data)
    return str(digest)


def of_stream(stream: Readable, is_bulk: bool, block: int = 1 << 20) -> str:
    digest = Digest(is_bulk)
    while data := stream.read(block):
        digest.update(data)
    return str(digest)


def is_of_bulk(digest: str) -> bool:
    return digest.startswith(XXH3)


def short(digest: str) -> int:
    """64 bits by which a digest can be looked up among many; few others share them."""
    return xxhash.xxh3_64_intdigest(digest.encode())
