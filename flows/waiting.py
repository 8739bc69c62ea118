"""Files of one source that has a reader of many, until there are many of them.

What a large file says is taken out of it while its bytes lie in the processor's own memory, and the
next file is read into the same place: to bring each byte there once costs less than twice.
"""

from pathlib import Path

from flows import bulk, known
from flows.buffers import Buffers
from flows.bulk import Waiting
from flows.holding import Held
from flows.pieces import PIECE
from flows.reading import Options, Taken
from flows.settings import Settings


class Many:
    """Files that wait, and the memory that they were read into."""

    def __init__(self, options: Options, said: Settings, staging: Path | None) -> None:
        self._options, self._said, self._staging = options, said, staging
        self._waiting: list[Waiting] = []
        self._room = 0
        self._is_over = False
        self.buffers = Buffers()
        self.source = ""

    def add(self, held: Held, source: str) -> None:
        """Let a file wait; of the same source as those before it."""
        self.source = source
        one = bulk.skim(held, known.named(source, self._options), self._options, self._said)
        if one.held.data is None:
            self.buffers.give_back(held.data)
        self._waiting.append(one)
        self._room += one.room
        self._is_over |= one.held.data is None and one.skimmed is None

    @property
    def is_full(self) -> bool:
        """Whether more of them would be read in two goes, or one does not lie in memory."""
        return self._is_over or self._room >= bulk.TOGETHER - PIECE

    def read(self) -> list[Taken]:
        """Read all that wait."""
        some, self._waiting, self._room, self._is_over = self._waiting, [], 0, False
        if not some:
            return []
        source = known.named(self.source, self._options)
        try:
            taken = bulk.take_all(some, source, self._options, self._said, self._staging)
        except BaseException:
            for one in some:
                one.held.close()
            raise
        for one, now in zip(some, taken, strict=True):
            if not now.held.data:  # its bytes are not needed any more
                self.buffers.give_back(one.held.data)
        return taken

    def close(self) -> None:
        for one in self._waiting:
            one.held.close()
