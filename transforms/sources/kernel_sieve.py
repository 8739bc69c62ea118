"""The few lines of a kernel log that can be our business, found without looking at the others.

A log holds hundreds of lines for one that says a fault. Literals are looked for in the whole text
at once, and only the lines that hold one become rows; the others are counted.
"""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from transforms.sources.kernel_patterns import CONTINUES, SIGNATURES, STARTS
from transforms.sources.text import LINES_SCHEMA

BOOT_MARK = r"^-- Boot ([0-9a-f]{32}) --"
_BOOT_LITERAL = b"-- Boot "
_CONTINUES, _STARTS, _BOOT = (re.compile(form) for form in (CONTINUES, STARTS, BOOT_MARK))
_DRIVER = b"NVRM: "
_NOT_BLANK = np.array([chr(n) > " " and n < 0x80 for n in range(256)])
"""First bytes of a line that cannot be blank."""


@dataclass(frozen=True)
class Sieved:
    """candidates  line_no, line of the lines with a signature
    marks       line_no, boot_id: where the journal says that a boot begins
    continues   numbers of the lines that go on with the record before them
    """

    candidates: pl.DataFrame
    marks: pl.DataFrame
    continues: list[int]
    lines: int
    blank: int


def sieve(data: bytes, first: int = 1) -> Sieved:
    """Sieve a text whose first line has the number `first`; as `numbered_lines` cuts lines."""
    data, text = _sound(data.removeprefix(b"\xef\xbb\xbf") if first == 1 else data)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends

    def line(at: int) -> str:
        return data[starts[at] : ends[at]].decode("utf-8", "replace").removesuffix("\r")

    def holding(offsets: list[int] | np.ndarray) -> list[int]:
        return np.unique(np.searchsorted(ends, np.asarray(offsets, np.int64))).tolist()

    found = pl.Series([text]).str.find_many(list(SIGNATURES), ascii_case_insensitive=True)
    candidates = [(first + at, line(at)) for at in holding(found.explode().drop_nulls().to_numpy())]
    driver = [(at, line(at)) for at in holding(_places(data, _DRIVER))]
    marks = [(at, _BOOT.match(line(at))) for at in holding(_places(data, _BOOT_LITERAL))]
    return Sieved(
        candidates=pl.DataFrame(candidates, schema=LINES_SCHEMA, orient="row"),
        marks=marks_frame([(first + at, mark[1]) for at, mark in marks if mark]),
        continues=[
            first + at for at, said in driver if _CONTINUES.match(said) and not _STARTS.match(said)
        ],
        lines=len(ends),
        blank=_blank(data, starts, ends),
    )


def marks_frame(marks: list[tuple[int, str]]) -> pl.DataFrame:
    schema = {"line_no": pl.UInt32, "boot_id": pl.String}
    return pl.DataFrame(marks, schema=schema, orient="row")


def _sound(data: bytes) -> tuple[bytes, str]:
    """The bytes as UTF-8 and their text; what is no UTF-8 is replaced in both."""
    try:
        return data, data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        return text.encode(), text


def _places(data: bytes, literal: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(literal), data)]


def _blank(data: bytes, starts: np.ndarray, ends: np.ndarray) -> int:
    """Lines of nothing but white space, as Unicode has it."""
    if not len(ends):
        return 0
    opening = np.frombuffer(data + b"\n", np.uint8)[starts]
    unsure = np.flatnonzero(~_NOT_BLANK[opening])
    said = [data[starts[at] : ends[at]].decode("utf-8", "replace") for at in unsure]
    return int(pl.Series(said, dtype=pl.String).str.contains(r"^\s*$").sum())
