"""What a source is: bytes in, rows of observed tables and refused records out.

A parser never raises on bad input: a record is accepted, rejected with a reason, or ignored
because it is none of the source's business, and the three add up to the records found.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import polars as pl

from transforms.contract import Table

REJECT_SCHEMA = pl.Schema({"line_no": pl.UInt32, "reason": pl.String, "text": pl.String})
UNKNOWN_SCHEMA = pl.Schema({"metric": pl.String, "samples": pl.Int64})
TEXT_LIMIT = 2_000
Text = bytes | bytearray
"""Of readers of many: a file's bytes may lie in memory that the next file is read into."""


@dataclass(frozen=True)
class Origin:
    """Where bytes came from, and what the caller knows that they do not say."""

    file: str
    modified: datetime  # aware, UTC: gives stamps their missing year, or their whole date
    cluster: str = ""
    node: str = ""
    zone: str = "UTC"  # of local times without an offset
    booted: datetime | None = None


@dataclass(frozen=True)
class Parsed:
    """What one file said. `frames` conform to their tables; counts are records, not rows."""

    frames: Mapping[str, pl.DataFrame]
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECT_SCHEMA))
    unknown: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UNKNOWN_SCHEMA))
    records: int = 0
    accepted: int = 0
    rejected: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Bulk:
    """What many parts said together: files, or pieces of files that end where a record ends.

    frames  rows of all parts by their table; columns that hold nothing may be missing
    parts   counts, refusals and unknown metrics of each part; its rows are not told apart
    rows    of each part, by table
    """

    frames: Sequence[tuple[str, pl.DataFrame]]
    parts: Sequence[Parsed]
    rows: Sequence[Mapping[str, int]]


class Skimmed(Protocol):
    """What a reader of many keeps of a part whose bytes it was shown, and needs no more as a rule."""

    @property
    def origin(self) -> Origin: ...


class Window(Protocol):
    """The bytes of a part, some at a time, in memory that is used again and again.

    size  of the whole part, as far as it is known
    more  gives the last `kept` bytes once more and those behind them; no others where there are none
    """

    @property
    def size(self) -> int: ...

    def more(self, kept: int) -> memoryview: ...


class BulkReader(Protocol):
    """Reads batch after batch, and may remember what it has seen.

    cut    says after how many bytes of what is left of a file a part may end, 0 for not yet
    learn  is shown how texts begin that will be read: only worth it for what is cheaper learnt at once
    skim   takes the values out of a part while its bytes pass by, which are given by `again` if it
           turns out that they must be looked at once more; None where it must have them all at hand
    read   gives the same as `parse` of each part by itself; what `again` raises it passes on
    """

    def cut(self, block: Text) -> int: ...

    def learn(self, heads: Sequence[tuple[Text, Origin]]) -> None: ...

    def skim(self, window: Window, origin: Origin, again: Callable[[], Text]) -> Skimmed | None: ...

    def read(self, parts: Sequence[tuple[Text, Origin] | Skimmed]) -> Bulk: ...


class Reading(Protocol):
    """One file read piece by piece, in order, to the rows, rejects and counts of it in one go.

    survey  is shown the blocks of the file, cut at line feeds, before the first piece is read;
            says whether it wants to see more of them
    cut     says after how many bytes of what is left of the file a piece may end, 0 for not yet
    """

    def survey(self, block: bytes) -> bool: ...

    def cut(self, block: bytes) -> int: ...

    def parse(self, piece: bytes) -> Parsed: ...


def as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


@dataclass(frozen=True)
class Source:
    """One file format.

    sniff  looks at the first 64 KiB (decoded, bad bytes replaced) and the file name; says how sure
           it is: 0 not mine, 1 could be, 2 surely. Two sources equally sure is an error to the user.
    pieces  begins a Reading of a file that is too large to hold, given how it starts
    begins  what a first line that is of this format, and of no other, begins with
    settle  makes the rows of all pieces, in the order of the file, what they are in one go; asked
            for all rows of one file and partition of a table
    bulk   begins a reader of very many files of this format
    """

    name: str
    title: str
    example: str  # one real line, shown by `faultledger sources`
    makes: tuple[Table, ...]
    sniff: Callable[[str, str], int]
    parse: Callable[[bytes, Origin], Parsed]
    pieces: Callable[[bytes, Origin], Reading] | None = None
    settle: Callable[[pl.DataFrame], pl.DataFrame] = as_they_are
    bulk: Callable[[], BulkReader] | None = None
    begins: tuple[str, ...] = ()
    is_bulk: bool = False  # bulk samples keep their arrival record, not their landed bytes


def rejects(rows: list[tuple[int, str, str]]) -> pl.DataFrame:
    """Build the rejects frame from (line_no, reason, text)."""
    cut = [(line, reason, text[:TEXT_LIMIT]) for line, reason, text in rows]
    return pl.DataFrame(cut, schema=REJECT_SCHEMA, orient="row")


def refuse_broken(
    table: Table, frame: pl.DataFrame, texts: Callable[[int], str]
) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
    """Split a conforming frame into rows that keep `table`'s row rules and reject tuples.

    A repeated key is not a fault here: the same record twice folds when the lake merges, and a
    broken record never hides a sound one with the same key.
    `texts` gives the raw text of a line number.
    """
    _, failures = table.schema.filter(frame)
    rules = [rule for rule in failures.counts() if rule != "primary_key"]
    if not rules:
        return table.fold(frame), []
    told = failures.details()
    broken = told.filter(pl.any_horizontal(pl.col(rules) == "invalid"))
    bad: list[tuple[int, str, str]] = []
    # Only these columns: a broken row may hold an instant that Python has no date for.
    for row in broken.select("line_no", *rules).iter_rows(named=True):
        named = ", ".join(rule for rule in rules if row[rule] == "invalid")
        line = int(row["line_no"] or 0)
        bad.append((line, f"{table.name} breaks {named}", texts(line)))
    same = [name for name in (*table.key, "line_no") if name in frame.columns]
    sound = frame.join(broken.select(same).unique(), on=same, how="anti", nulls_equal=True)
    return table.fold(sound), bad


def refuse_faulty(
    table: Table, read: pl.DataFrame, texts: Callable[[int], str]
) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
    """As `refuse_broken`, for rows whose `fault` says what could not be read of them."""
    faulty = read.filter(pl.col("fault").is_not_null()).select("line_no", "fault")
    refused = [(line_no, fault, texts(line_no)) for line_no, fault in faulty.iter_rows()]
    sound = table.conform(read.filter(pl.col("fault").is_null()).drop("fault"))
    good, broken = refuse_broken(table, sound, texts)
    return good, refused + broken
