"""Records of `scontrol show nodes` and `scontrol show jobs`: `Key=Value`, over lines or on one.

    NodeName=gpu007 Arch=x86_64 CoresPerSocket=64
       State=IDLE+DRAIN ThreadsPerCore=2
       Reason=XID 79 off the bus [root@2026-03-02T06:49:53]

Values hold blanks and equals signs, so only known keys end a value; free text ends with its line,
where there are several. Of a repeated key the first counts.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from transforms.sources.base import Origin
from transforms.sources.snapshots import Stamp, read_stamp

_START = re.compile(r"\s*(NodeName|JobId|PartitionName)=")
PARTITION = "PartitionName"


@dataclass(frozen=True)
class Record:
    """One thing that was shown: its first key, its values, where and when it stood."""

    kind: str
    line_no: int
    text: str
    stamp: Stamp
    values: Mapping[str, str]

    @property
    def seen(self) -> datetime | None:
        return self.stamp.at

    def word(self, key: str) -> str:
        """The value up to its first blank; '' where it is not told."""
        value = re.split(r"\s", self.values.get(key, ""), maxsplit=1)[0]
        return "" if value == "(null)" else value


@dataclass(frozen=True)
class Shown:
    """A file's records of one kind, its refused records, and how many were none of its business."""

    records: list[Record]
    refused: list[tuple[int, str, str]]
    ignored: int


@dataclass(frozen=True)
class Keys:
    """The keys that can stand in a record, and those of them whose value is free text."""

    pattern: re.Pattern[str]
    free: frozenset[str]


def keys_of(*names: str, free: tuple[str, ...]) -> Keys:
    """These keys, `free` ones among them, wherever one can start."""
    longest_first = sorted(map(re.escape, (*names, *free)), key=len, reverse=True)
    pattern = re.compile(rf"(?:^|[ \t\n])({'|'.join(longest_first)})=")
    return Keys(pattern, frozenset(free))


def show(said: str, kind: str, keys: Keys, origin: Origin) -> Shown:
    """Sort out a file: what was shown of `kind`, under the time line above it.

    Partitions and time lines are ignored; another kind of record has a source of its own.
    """
    shown, refused, ignored = [], [], 0
    stamp = Stamp(origin.modified)
    for line_no, lines in _blocks(said):
        raw = "\n".join(lines)
        start = _START.match(raw)
        if start is None and (found := read_stamp(raw.strip(), origin.zone)):
            stamp, ignored = found, ignored + 1
        elif start is None:
            refused.append((line_no, "belongs to no record", raw))
        elif start[1] == PARTITION:
            ignored += 1
        elif start[1] != kind:
            refused.append((line_no, f"a record of {start[1]} in a file of {kind}", raw))
        elif stamp.fault:
            refused.append((line_no, stamp.fault, raw))
        else:
            shown.append(Record(kind, line_no, raw, stamp, _values(raw, keys)))
    return Shown(shown, refused, ignored)


def sniff_kind(head: str, kind: str, telling: str) -> int:
    """2 where the first record is of `kind` and holds a key that configuration files lack."""
    starts = [found for line in head.split("\n") if (found := _START.match(line))]
    return 2 if starts and starts[0][1] == kind and re.search(telling, head) else 0


def _blocks(said: str) -> Iterator[tuple[int, list[str]]]:
    """Records with their first line's number; every line outside of a record by itself."""
    begun: list[str] = []
    first = 0
    for line_no, raw in enumerate(said.split("\n"), 1):
        line = raw.rstrip("\r \t")
        if begun and line[:1] in (" ", "\t") and not _START.match(line):
            begun.append(line)
            continue
        if begun:
            yield first, begun
        begun = [line] if _START.match(line) else []
        first = line_no
        if line.strip() and not begun:
            yield line_no, [line]
    if begun:
        yield first, begun


def _values(shown: str, keys: Keys) -> dict[str, str]:
    values: dict[str, str] = {}
    found = keys.pattern.search(shown)
    while found:
        begin, end_of_line = found.end(), shown.find("\n", found.end())
        is_line = found[1] in keys.free and "\n" in shown
        behind = begin if not is_line else end_of_line if end_of_line >= 0 else len(shown)
        following = keys.pattern.search(shown, behind)
        end = following.start() if following else len(shown)
        values.setdefault(found[1], shown[begin : behind if is_line else end])
        found = following
    return values
