"""Reading JSON a piece at a time, so that a file cut short keeps what stands before the cut.

    cursor = Cursor('{"items": [{"kind": "Node"}, {"kind": "Po')
    cursor.need("{"), cursor.value(), cursor.need(":"), cursor.need("["), cursor.value()
    # "items", then {"kind": "Node"}; the next value() raises: see `where_broken`

The caller steps over the outer structure; `value` reads one whole value of any kind.
"""

import json
import re
from typing import Any

from transforms.sources.base import TEXT_LIMIT

_DECODER = json.JSONDecoder(strict=False)
_BLANK = re.compile(r"[ \t\r\n]*")


class Cursor:
    """A place in JSON text, always at the next thing that is not blank."""

    def __init__(self, said: str) -> None:
        self.said, self.at = said, 0
        self._move(0)

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self.said)

    def took(self, mark: str) -> bool:
        """Step over `mark` if it is here."""
        if is_here := self.said.startswith(mark, self.at):
            self._move(self.at + len(mark))
        return is_here

    def need(self, mark: str) -> None:
        """Step over `mark`; raises JSONDecodeError where something else stands."""
        if not self.took(mark):
            raise json.JSONDecodeError(f"Expecting {mark!r}", self.said, self.at)

    def value(self) -> Any:
        """The value that begins here; raises ValueError or RecursionError where none can be read."""
        found, end = _DECODER.raw_decode(self.said, self.at)
        self._move(end)
        return found

    def _move(self, at: int) -> None:
        blank = _BLANK.match(self.said, at)
        self.at = blank.end() if blank else at


def where_broken(error: Exception, cursor: Cursor) -> tuple[str, str]:
    """Reason and text of where the JSON ends or stops to be JSON."""
    why = error.msg if isinstance(error, json.JSONDecodeError) else "nested or long beyond reason"
    at = error.pos if isinstance(error, json.JSONDecodeError) else cursor.at
    line = cursor.said.count("\n", 0, at) + 1
    column = at - cursor.said.rfind("\n", 0, at)
    reason = f"JSON broken off at line {line}, column {column}: {why}"
    return reason, cursor.said[cursor.at : cursor.at + TEXT_LIMIT]


def clean(word: str) -> str:
    """JSON can spell half a character (a lone surrogate), which no table can hold."""
    return word if word.isascii() else word.encode("utf-8", "replace").decode()
