"""Memory that files are read into, one after another: given back, it is lent again.

Fresh memory costs a page fault for every four kilobytes, which is as much as copying them. Python's
own buffers of a file are fresh each time; these are kept for as long as somebody reads files.
"""

from typing import BinaryIO

from flows.identity import Digest

BLOCK = 512 * 1024
"""Bytes read and hashed in turn: they are still in the processor's own memory."""


class Buffers:
    """Buffers that were given back and wait for the next file."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def read(self, file: BinaryIO, size: int, digest: Digest) -> bytearray:
        """Up to `size` bytes of an unbuffered file, which `digest` is shown as well."""
        data = self._lend(size)
        done = 0
        with memoryview(data) as view:
            while count := file.readinto(view[done : done + BLOCK]):  # type: ignore[attr-defined]
                digest.update(view[done : done + count])
                done += count
        del data[done:]
        return data

    def give_back(self, data: bytes | bytearray | None) -> None:
        """Let the next file have this memory; nobody may look at these bytes any more."""
        if isinstance(data, bytearray) and data:
            self._free.append(data)

    def _lend(self, size: int) -> bytearray:
        while self._free:
            data = self._free.pop()
            try:
                del data[size:]
                data.extend(bytes(size - len(data)))
            except BufferError:  # somebody looks at it still
                continue
            return data
        return bytearray(size)
