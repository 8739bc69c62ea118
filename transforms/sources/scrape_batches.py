"""Many scrapes of many targets in one go: what is known of a target is read fast, the rest exactly.

A batch is parts: files, or pieces of them that end where a scrape ends. The rows of all parts come
together, counts and refusals part by part, and every number is what `prometheus_text.parse` says
of the part by itself. Whatever is out of the ordinary - a new line, a torn one, an impossible
value, one device twice at an instant - sends that scrape, or the whole part, to that parser.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from transforms.sources import scrape_loops
from transforms.sources.base import Bulk, Origin, Skimmed, Text, Window
from transforms.sources.prometheus_text import read_scrape
from transforms.sources.scrape_rows import Part, gathered
from transforms.sources.scrape_shapes import Shape, shape_of
from transforms.sources.scrape_targets import Layouts, Target, targets
from transforms.sources.scrape_walk import Walk, most_at_once

MARK = b"# scraped_at:"
HEAD = 256 * 1024
"""Bytes within which the first scrape of a part must end to be skimmed."""
MOST_SHAPES = 64
MOST_BYTES = 256 * 1024**2  # of label texts and shapes that are remembered
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


Key = tuple[Shape, tuple[bytes, ...], str, str]


class Scrapes:
    """Reads batch after batch and remembers the targets, as far as their memory is bounded."""

    def __init__(self) -> None:
        self._shapes: list[Shape] = []
        self._targets: dict[Key, Target] = {}
        self._guesses: dict[tuple[bytes, str, str], Target] = {}
        self._layouts: Layouts = {}
        self._bytes = 0

    def cut(self, block: Text) -> int:
        """Before the last mark or, without marks, before the last scrape that begins like the first."""
        begin = block[: block.find(b"\n") + 1]
        first = MARK if block.startswith(MARK) or b"\n" + MARK in block else begin
        return block.rfind(b"\n" + first) + 1 if first else 0

    def learn(self, heads: Sequence[tuple[Text, Origin]]) -> None:
        """Learn in one go the targets that texts beginning so will tell of first.

        It costs little more for many than for one. A head that holds no whole scrape is passed over.
        """
        self._forget()
        parts = [Part(head[: self.cut(head)], origin) for head, origin in heads]
        wanted: dict[Key, None] = {}
        for part in parts:
            if part.data and self._guess(part) not in self._guesses:
                key = self._fitting(part, _array(part.data))
                if key and key not in self._targets:
                    wanted[key] = None
        self._learn(list(wanted))

    def _forget(self) -> None:
        if self._bytes > MOST_BYTES:
            self.__init__()  # type: ignore[misc]

    def skim(self, window: Window, origin: Origin, again: Callable[[], Text]) -> Part | None:
        """The numbers of marked scrapes of one target that is known, all as expected; else None."""
        data = window.more(0)
        target = self._known(Part(bytes(data[:HEAD]), origin))
        if target is None:
            return None
        walk = Walk.begun(target, window.size // target.least + 1)
        if walk is None:
            return None
        while bytes(data[: len(MARK)]) == MARK:
            done, end = walk.go_on(_array(data))
            rest = len(data) - end
            data = window.more(rest)
            if len(data) == rest == 0:
                return Part(b"", origin, again, walked=[walk.walked()])
            if not done or len(data) == rest:
                break
        return None

    def _known(self, part: Part) -> Target | None:
        """The target of the first scrape, if it has been learnt."""
        guess = self._guess(part)
        target = self._guesses.get(guess)
        if target is None and (key := self._fitting(part, _array(part.data))):
            target = self._targets.get(key)
        if target is None or target.layout is None:
            return None
        self._guesses[guess] = target
        return target

    def read(self, parts: Sequence[tuple[Text, Origin] | Skimmed]) -> Bulk:
        """The rows of all parts, and of each part what is counted and refused."""
        self._forget()
        held = [_part(one) for one in parts]
        waiting = [part for part in held if part.data]
        while waiting:
            wanted: dict[Key, None] = {}
            waiting = [part for part in waiting if self._advance(part, wanted)]
            self._learn(list(wanted))
        return gathered(held)

    def _advance(self, part: Part, wanted: dict[Key, None]) -> bool:
        """Read on to the end of the part: False; or to a target that must be learnt first: True."""
        data = _array(part.data)
        while part.at < len(data) and not part.is_slow:
            guess = self._guess(part)
            target = self._guesses.get(guess)
            if target and target.layout and self._walk(part, data, target):
                continue
            key = self._fitting(part, data)
            if key and key not in self._targets:
                wanted[key] = None
                return True
            target = self._targets[key] if key else None
            if target and target.layout and self._walk(part, data, target):
                self._guesses[guess] = target
                continue
            part.is_slow |= part.at > 0 and not part.data.startswith(MARK, part.at)
            end = _end(part.data, part.at)
            part.slow.append((part.at, end))
            part.at = end
        return False

    def _guess(self, part: Part) -> tuple[bytes, str, str]:
        """The first label text from here on tells most targets apart."""
        begin = part.data.find(b"{", part.at, part.at + 4096)
        end = part.data.find(b"}", begin, begin + 1024)
        text = bytes(part.data[begin:end]) if 0 <= begin < end else b""
        return text, part.origin.cluster, part.origin.node

    def _fitting(self, part: Part, data: npt.NDArray[np.uint8]) -> Key | None:
        """The shape and the label texts of the scrape that begins here."""
        _, at = scrape_loops.marked(data, part.at)
        for shape in reversed(self._shapes):
            if labels := _labels(part.data, data, at, shape):
                return self._key(shape, labels, part)
        new = shape_of(bytes(part.data[at : _repeats(part.data, at, _end(part.data, part.at))]))
        if new and (labels := _labels(part.data, data, at, new)):
            self._shapes = [*self._shapes[1 - MOST_SHAPES :], new]
            self._bytes += len(new.fixed)
            return self._key(new, labels, part)
        return None

    def _key(self, shape: Shape, labels: tuple[bytes, ...], part: Part) -> Key:
        return shape, labels[1:], part.origin.cluster, part.origin.node

    def _learn(self, wanted: list[Key]) -> None:
        for place in {key[2:] for key in wanted}:
            mine = [key for key in wanted if key[2:] == place]
            for some in (mine[i : i + 256] for i in range(0, len(mine), 256)):
                told = targets([key[:2] for key in some], *place, read_scrape, self._layouts)
                for key, target in zip(some, told, strict=True):
                    self._targets[key] = target
                    self._bytes += 3 * len(target.labels) + 4096

    def _walk(self, part: Part, data: npt.NDArray[np.uint8], target: Target) -> bool:
        """Take the scrapes of `target` that begin here; False where there is none."""
        most = min((len(data) - part.at) // target.least + 1, most_at_once(target))
        walk = Walk(target, most)
        done, at = walk.go_on(data, part.at)
        if not done:
            return False
        if not (walk.is_full or at == len(data) or part.data.startswith(MARK, at)):
            part.is_slow = True  # a chain of scrapes below one mark goes one way
        part.walked.append(walk.walked())
        part.at = at
        return True


def _part(one: tuple[Text, Origin] | Skimmed) -> Part:
    if isinstance(one, tuple):
        return Part(*one)
    assert isinstance(one, Part)
    return one


def _array(data: Text | memoryview) -> npt.NDArray[np.uint8]:
    """The bytes as an array that nobody writes to: each loop is compiled for one kind of array."""
    found = np.frombuffer(data, np.uint8)
    found.flags.writeable = False
    return found


def _labels(
    text: Text, data: npt.NDArray[np.uint8], at: int, shape: Shape
) -> tuple[bytes, ...] | None:
    """A blank and the label texts of a scrape of this shape that begins at `at`, if one does."""
    spans = np.empty((shape.labels, 2), np.int64)
    if not scrape_loops.fit(
        data, at, shape.fixed, shape.cuts, shape.label_of, shape.is_stamped, spans
    ):
        return None
    return (b"", *(bytes(text[begin:end]) for begin, end in spans.tolist()))


def _end(data: Text, at: int) -> int:
    """Where the next mark begins after `at`."""
    found = data.find(b"\n" + MARK, at)
    return len(data) if found < 0 else found + 1


def _repeats(data: Text, at: int, end: int) -> int:
    """Where the first line of the scrape that begins at `at` comes again before `end`."""
    line = data[at : data.find(b"\n", at, end) + 1]
    found = data.find(b"\n" + line, at, end) if line else -1
    return end if found < 0 else found + 1
