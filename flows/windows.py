"""Bytes of a file that pass by in one small piece of memory, or that lie in memory already.

A file that is read whole goes out to the main memory and comes back to be looked at. A piece that
fits beside the processor is looked at where it is, which takes half the time of both.
"""

from typing import BinaryIO

from flows.identity import Digest

BLOCK = 1 << 20
ROOM = 2 * BLOCK
"""So much can be kept of what was looked at, and a block more."""


class FileWindow:
    """The bytes of an unbuffered file, shown to `digest` as they pass; `size` as it was."""

    def __init__(self, file: BinaryIO, size: int, digest: Digest, memory: bytearray) -> None:
        self._file, self._digest = file, digest
        self._memory, self._view = memory, memoryview(memory)
        self._held = 0
        self.size = size
        self.passed = 0

    def more(self, kept: int) -> memoryview:
        """The last `kept` bytes and a block; fewer where there is no room, or no more in the file."""
        view = self._view
        view[:kept] = view[self._held - kept : self._held].tobytes()
        end = min(kept + BLOCK, len(view))
        count: int = self._file.readinto(view[kept:end]) if kept < end else 0  # type: ignore[attr-defined]
        self._digest.update(view[kept : kept + count])
        self._held = kept + count
        self.passed += count
        return view[: self._held]


class TextWindow:
    """A text that is in memory."""

    def __init__(self, text: bytes | bytearray) -> None:
        self._text = memoryview(text)
        self._is_shown = False
        self.size = len(text)

    def more(self, kept: int) -> memoryview:
        if self._is_shown:
            return self._text[self.size - kept :]
        self._is_shown = True
        return self._text
