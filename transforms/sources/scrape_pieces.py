"""A file of scrapes that is too large to hold, read piece by piece.

A piece ends where a scrape ends. A scrape that is too large itself is cut between two families of
metrics, and within one whose samples never share a cell; each fills what the others leave empty.
Pieces are to each other what files are: samples of one thing at one instant that are in two of
them do not contradict each other, the first stands.
"""

import re
from dataclasses import replace

import polars as pl

from transforms.metrics import claims
from transforms.series import NODE_NAMER, SLOT_NAMER
from transforms.sources.base import Origin, Parsed
from transforms.sources.scrape_batches import Scrapes
from transforms.tables.samples import ALL as TABLES

MARK = re.compile(rb"^[ \t]*#[ \t]*scraped_at:.*\n", re.M)
NAMER = re.compile(rb"^[ \t]*(%b|%b)\b" % (NODE_NAMER.encode(), SLOT_NAMER.encode()), re.M)
NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")


class ScrapePieces:
    """Reads the pieces of one file in order."""

    def __init__(self, start: bytes, origin: Origin) -> None:
        self._origin = origin
        self._scrapes = Scrapes()
        self._lines = 0  # before the piece
        self._mark = b""  # that the piece goes on below
        self._is_named = False  # by a line that holds for its whole scrape
        self._wants_all = not MARK.search(start)

    def survey(self, block: bytes) -> bool:
        """Below marks nothing of the whole file is needed; else whether lines name the others."""
        if self._wants_all and NAMER.search(block):
            self._is_named, self._wants_all = True, False
        return self._wants_all

    def cut(self, block: bytes) -> int:
        return self._scrapes.cut(block) or (0 if self._is_named else _between_families(block))

    def parse(self, piece: bytes) -> Parsed:
        is_marked = bool(MARK.match(piece))
        text = piece if is_marked else self._mark + piece
        told = self._scrapes.read([(text, self._origin)])
        shift = self._lines - (0 if is_marked or not self._mark else 1)
        self._lines += piece.count(b"\n")
        marks = MARK.findall(piece)
        self._mark = marks[-1] if marks else self._mark
        part = told.parts[0]
        frames: dict[str, pl.DataFrame] = {}
        for table in TABLES:
            rows = [frame for name, frame in told.frames if name == table.name and frame.height]
            if rows:
                frames[table.name] = table.widen(pl.concat(rows, how="diagonal"))
        moved = (pl.col("line_no") + shift).cast(pl.UInt32)
        return replace(part, frames=frames, rejects=part.rejects.with_columns(moved))


def settle(rows: pl.DataFrame) -> pl.DataFrame:
    """One row of each thing and instant: of what several pieces say of it the first that is told."""
    keys = [t.key for t in TABLES if set(t.key) <= set(rows.columns)]
    key = sorted(keys, key=len)[-1]  # a node's is part of what tells its GPUs apart
    is_repeated = rows.select(key).is_duplicated()
    if not is_repeated.any():
        return rows
    others = [name for name in rows.columns if name not in key]
    joined = rows.filter(is_repeated).group_by(key, maintain_order=True)
    filled = joined.agg(pl.col(others).drop_nulls().first()).select(rows.columns)
    return pl.concat([rows.filter(~is_repeated), filled])


def _between_families(block: bytes) -> int:
    """Where the last family of metrics of `block` begins, or its last line ends; 0 for nowhere."""
    end = block.rfind(b"\n") + 1
    line = block[block.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end]
    if line.startswith(b"#"):
        return end - len(line)
    if not (found := NAME.match(line)):
        return end
    name = found[0]
    for comment in (b"\n# HELP %b " % name, b"\n# TYPE %b " % name):
        if (at := block.rfind(comment)) > 0:
            return at + 1
    return 0 if any(claim.metric.reduce for claim in claims(name.decode())) else end
