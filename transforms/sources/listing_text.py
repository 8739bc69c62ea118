"""Tables that Slurm prints for people (`sinfo`, `squeue`): a header in capitals, a row a line.

    Mon Mar  2 10:00:00 2026
    NODELIST   NODES PARTITION       STATE CPUS    S:C:T REASON
    gpu007         1     train    drained*  128   2:64:1 XID 79 off the bus

Columns are parted by a sign, or by blanks in as many words as the header has; free text may fill
the last column with more words, and an empty column shows where the others stand under their
names. A row that fits in none of these ways is refused: use `-o` with `|`. Several snapshots may
follow one another, each under its time; `-M` names the cluster above each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from transforms.sources.base import Origin
from transforms.sources.snapshots import Stamp, read_stamp

_SEPARATORS = ("|#", "|", "\t", ";", ",")
_CLUSTER = re.compile(r"CLUSTER: (\S+)\s*")


@dataclass(frozen=True)
class Form:
    """What is known of one tool's table.

    names  words of its headers, and the column each stands for
    needs  columns without which a line is no header
    last   columns that may hold blanks where they come last
    bare   words of the header that one collector leaves out, and `fits` a line of it
    """

    names: Mapping[str, str]
    needs: frozenset[str]
    last: frozenset[str]
    bare: tuple[str, ...] = ()
    fits: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Header:
    """The columns of a table in order ('' for those nobody asked for), and how they are parted."""

    columns: tuple[str, ...]
    separator: str | None
    starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row's values by column, and the time and cluster under which it stands."""

    line_no: int
    text: str
    stamp: Stamp
    cluster: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Listing:
    """A file's rows, its refused lines, and how many lines only arrange the others."""

    rows: list[Row]
    refused: list[tuple[int, str, str]]
    ignored: int
    columns: frozenset[str]


def find_header(line: str, form: Form) -> Header | None:
    """The line as a header; None for any other line."""
    if line != line.upper():
        return None
    for separator in _SEPARATORS:
        words = [word.strip() for word in line.split(separator)]
        columns = tuple(form.names.get(word, "") for word in words)
        if len(words) > 1 and form.needs <= set(columns):
            return Header(columns, separator)
    found = list(re.finditer(r"\S+", line))
    columns = tuple(form.names.get(word[0], "") for word in found)
    if form.needs <= set(columns):
        return Header(columns, None, tuple(word.start() for word in found))
    return None


def bare_header(line: str, form: Form) -> Header | None:
    """The layout of a table without a header, if the line shows the one that is known."""
    if not form.fits or not form.fits.match(line):
        return None
    columns = tuple(form.names.get(word, "") for word in form.bare)
    fitting = (s for s in _SEPARATORS if len(line.split(s)) in (len(columns), len(columns) + 1))
    separator = next(fitting, None)
    return Header(columns, separator) if separator else None


def listing(said: str, form: Form, origin: Origin) -> Listing:
    """Cut a file into rows; a row of an unreadable time is refused."""
    rows, refused, ignored = [], [], 0
    header: Header | None = None
    stamp, cluster, columns = Stamp(origin.modified), origin.cluster, set()
    for line_no, raw in enumerate(said.split("\n"), 1):
        line = raw.rstrip("\r")
        if not line.strip():
            continue
        if found := read_stamp(line.strip(), origin.zone):
            stamp, ignored = found, ignored + 1
        elif named := _CLUSTER.fullmatch(line):
            cluster, ignored = named[1], ignored + 1
        elif again := find_header(line, form):
            header, ignored = again, ignored + 1
            columns |= set(again.columns)
        elif (header := header or bare_header(line, form)) is None:
            refused.append((line_no, "stands under no header", line))
        elif (values := _cells(line, header, form)) is None:
            refused.append((line_no, _misfit(line, header), line))
        elif stamp.fault:
            refused.append((line_no, stamp.fault, line))
        else:
            columns |= set(header.columns)
            told = dict(reversed(list(zip(header.columns, values, strict=True))))
            rows.append(Row(line_no, line, stamp, cluster, told))
    return Listing(rows, refused, ignored, frozenset(columns))


def _cells(line: str, header: Header, form: Form) -> list[str] | None:
    width = len(header.columns)
    if header.separator:
        cells = line.split(header.separator)
        if len(cells) == width + 1 and not cells[-1].strip():
            cells.pop()
        return [cell.strip() for cell in cells] if len(cells) == width else None
    words = line.split()
    if len(words) == width:
        return words
    if len(words) > width and header.columns[-1] in form.last:
        return line.split(None, width - 1)
    return _by_position(line, header)


def _by_position(line: str, header: Header) -> list[str] | None:
    """Values under the first letters of their names; None where one crosses into another's place."""
    starts = (0, *header.starts[1:])
    if any(start <= len(line) and line[start - 1] != " " for start in starts[1:]):
        return None
    ends = (*starts[1:], max(len(line), starts[-1]))
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _misfit(line: str, header: Header) -> str:
    found = len(line.split(header.separator))
    return f"wrong number of fields ({found} found, {len(header.columns)} promised)"
