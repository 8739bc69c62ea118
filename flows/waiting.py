"""Files of one source that has a reader of many, until there are many of them.

What a large file says is taken out of it while its bytes pass by; others are held until then.
"""

from pathlib import Path

from flows import bulk, known
from flows.buffers import Buffers
from flows.bulk import Waiting
from flows.holding import Held, hold_in
from flows.landing import Found
from flows.pieces import PIECE
from flows.reading import Options, Taken
from flows.settings import Settings
from flows.windows import ROOM


class Many:
    """Files that wait, and the memory that they were read into."""

    def __init__(self, options: Options, said: Settings, staging: Path | None) -> None:
        self._options, self._said, self._staging = options, said, staging
        self._waiting: list[Waiting] = []
        self._room = 0
        self._is_over = False
        self.buffers = Buffers()
        self.source = ""
        self._memory = bytearray(ROOM)
        self._skimmed: Waiting | None = None

    def hold(self, found: Found, source: str) -> Held:
        """Take hold of a file of bulk samples; a large one is read on the way."""
        self._skimmed = None
        reader = known.named(source, self._options)
        if reader.bulk and not self._options.is_again:
            self._skimmed = bulk.skim_file(found, self._memory, reader, self._options, self._said)
        return self._skimmed.held if self._skimmed else hold_in(self.buffers, found)

    def add(self, held: Held, source: str) -> None:
        """Let a file wait; of the same source as those before it."""
        self.source = source
        if self._skimmed and self._skimmed.held is held:
            one = self._skimmed
        else:
            one = bulk.skim(held, known.named(source, self._options), self._options, self._said)
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
