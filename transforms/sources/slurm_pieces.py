"""Listings of Slurm's tools that are too large to hold: read piece by piece.

What a record is depends on its neighbours only where it is broken: between two lines that are
clean records by themselves nothing is carried over, and a piece may end there.
"""

import re
from collections.abc import Callable
from functools import cached_property

from transforms.sources import text
from transforms.sources.base import Origin, Parsed
from transforms.sources.slurm_text import Layout, Listing, Records, find_layout, split_records

HEAD_LINES = 200


class ListingReading:
    """A `Reading`: the layout is found once; line numbers go on from piece to piece."""

    def __init__(
        self,
        head: bytes,
        listing: Listing,
        names: tuple[str, ...],
        wanted: tuple[str, ...],
        tell: Callable[[Records, Callable[[int], str], Origin], Parsed],
        origin: Origin,
    ) -> None:
        first_lines = text.numbered_lines(_beginning(head))["line"].to_list()[:HEAD_LINES]
        layout = find_layout(first_lines, listing)
        self._layout = layout or Layout(listing, "|", names)
        self._header_line = 0
        if self._layout.header is not None:
            self._header_line = first_lines.index(self._layout.header) + 1
        self._wanted, self._tell, self._origin = wanted, tell, origin
        self._next_line = 1

    def survey(self, block: bytes) -> bool:
        """Nothing of the whole file is needed."""
        return False

    def cut(self, block: bytes) -> int:
        end, is_later_clean = block.rfind(b"\n"), False
        while end >= 0:
            start = block.rfind(b"\n", 0, end)
            is_clean = self._is_clean(block[start + 1 : end])
            if is_clean and is_later_clean:
                return end + 1
            end, is_later_clean = start, is_clean
        return 0

    def parse(self, piece: bytes) -> Parsed:
        lines = text.numbered_lines(piece, self._next_line)
        self._next_line += lines.height
        records = split_records(lines, self._layout, self._wanted, self._header_line)
        return self._tell(records, lambda line_no: records.text(line_no, lines), self._origin)

    def _is_clean(self, line: bytes) -> bool:
        said = line.decode("utf-8", "replace").removesuffix("\r")
        values = said.split(self._layout.separator)
        return (
            said != self._layout.header
            and len(values) == self._layout.width
            and all(form.fullmatch(values[at]) for at, form in self._key_forms)
        )

    @cached_property
    def _key_forms(self) -> list[tuple[int, re.Pattern[str]]]:
        listing = self._layout.listing
        places = {name: self._layout.position(name) for name in listing.keys}
        return [
            (at, re.compile(listing.forms[name])) for name, at in places.items() if at is not None
        ]


def _beginning(head: bytes) -> bytes:
    """The first HEAD_LINES lines of `head`."""
    end = -1
    for _ in range(HEAD_LINES):
        if (end := head.find(b"\n", end + 1)) < 0:
            return head
    return head[: end + 1]
