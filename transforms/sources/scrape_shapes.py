"""The shape of a scrape: what stays the same from scrape to scrape and from node to node.

Scrapes of one exporter have the same lines in the same order on every node, with label texts that
differ. Most lines of a shape are alike in what they say of where they belong: a line of each kind
below each label text stands for the others when the exact reader is asked.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.metrics import claims
from transforms.series import NODE_NAMER, SLOT_NAMER

LINE = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    rb'(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? ([^\s#]\S*?)(?: ([0-9]+))?\r?'
)
MARK = re.compile(rb"^[ \t]*#[ \t]*scraped_at:", re.M)
LONGEST = 4 * 1024**2  # bytes of a scrape that is worth a shape: learning costs more than reading
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shape:
    """The bytes that do not change, cut where label texts and values stand between them.

    fixed, cuts  literal bytes before slot i are fixed[cuts[i]:cuts[i + 1]], then those at the end
    label_of     which label text slot i has, -1 for none
    names        the metric's name of slot i
    asked        slots whose lines stand for all others
    like         which of `asked` stands for slot i
    labels       how many label texts there are
    """

    fixed: npt.NDArray[np.uint8]
    cuts: Ints
    label_of: Ints
    names: tuple[str, ...]
    asked: tuple[int, ...]
    like: Ints
    is_stamped: bool
    labels: int


def shape_of(scrape: bytes) -> Shape | None:
    """The shape of one scrape (without its mark), or None where it is written in no plain way."""
    if len(scrape) > LONGEST or not scrape.endswith(b"\n") or MARK.search(scrape):
        return None
    fixed: list[bytes] = []
    label_of: list[int] = []
    names: list[str] = []
    texts: dict[bytes, int] = {}
    stamps = set()
    at = begin = 0
    for line in scrape[:-1].split(b"\n"):
        if line and not line.startswith((b"#", b"\r")):
            if not (found := LINE.fullmatch(line)):
                return None
            name, label, _, stamp = found.groups()
            fixed.append(scrape[at : begin + found.start(2 if label is not None else 3)])
            label_of.append(-1 if label is None else texts.setdefault(label, len(texts)))
            names.append(name.decode())
            stamps.add(stamp is not None)
            at = begin + found.end(3 if stamp is None else 4)
        elif line.startswith(b"\r") and line != b"\r":
            return None
        begin += len(line) + 1
    if not names or len(stamps) > 1:
        return None
    fixed.append(scrape[at:])
    asked, like = _stand_ins(names, label_of)
    return Shape(
        fixed=np.frombuffer(b"".join(fixed), np.uint8),
        cuts=np.cumsum([0, *map(len, fixed)]),
        label_of=np.array(label_of, np.int64),
        names=tuple(names),
        asked=asked,
        like=like,
        is_stamped=stamps.pop(),
        labels=len(texts),
    )


def _stand_ins(names: list[str], label_of: list[int]) -> tuple[tuple[int, ...], Ints]:
    """The slots that stand for the others, and which of them stands for each slot."""
    asked: dict[tuple[object, int], int] = {}
    slots: list[int] = []
    like = []
    for slot, (name, label) in enumerate(zip(names, label_of, strict=True)):
        known = asked.setdefault((_kind(name), label), len(asked))
        if known == len(slots):
            slots.append(slot)
        like.append(known)
    return tuple(slots), np.array(like, np.int64)


def _kind(name: str) -> object:
    """Names of one kind, below the same labels, are of the same thing or faulty alike."""
    if name in (NODE_NAMER, SLOT_NAMER):
        return name
    return tuple((claim.metric.table, claim.metric.where) for claim in claims(name))
