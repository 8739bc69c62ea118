"""Delimited listings of Slurm's tools (`-P`): lines to records, even where a value broke the line.

    JobID|State|JobName|Submit
    12|COMPLETED|two words|2026-03-02T10:00:00

The tools quote nothing: a job name may hold the separator, a comment may hold a line break. Such
a record is put together again only where exactly one reading fits: free text may stretch over
separators and line breaks, every other column has a form that its value must keep.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

LONGEST_RECORD = 64
"""Lines, and separators beyond the promised ones, after which a broken record is given up."""
_MOST_READINGS = 64
_HEADER_WITHIN = 20
_COMPLAINTS = ("sacct: ", "sacctmgr: ", "slurm_")
_FIRST_NAMES = re.compile(r"\s*[A-Za-z]+([^A-Za-z0-9_ ]+)[A-Za-z]+")


@dataclass(frozen=True)
class Listing:
    """What is known of one tool's columns, by lower-case name.

    header   any of these sets of columns makes a line a header
    forms    what a value of the column looks like (whole value)
    free     columns of free text, which may hold separators and line breaks
    keys     columns whose form tells a record from a line that only counts like one
    keeps    columns whose values must not depend on the reading
    bare     the columns of listings without a header, where users agree on them; first fit wins
    """

    header: tuple[frozenset[str], ...]
    forms: Mapping[str, str]
    free: frozenset[str]
    keys: tuple[str, ...]
    keeps: frozenset[str]
    bare: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Layout:
    """How one file is laid out: separator, columns in order, and where its header stands."""

    listing: Listing
    separator: str
    names: tuple[str, ...]
    header: str | None = None

    @property
    def width(self) -> int:
        return len(self.names)

    def position(self, name: str) -> int | None:
        """Index of the first column of that name; repeated columns say the same thing."""
        return self.names.index(name) if name in self.names else None

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str] | None, ...]:
        """The form of every column; None where free text stands."""
        return tuple(
            None
            if name in self.listing.free
            else re.compile(self.listing.forms.get(name, r"[^\n]*"), re.DOTALL)
            for name in self.names
        )

    @property
    def is_open_ended(self) -> bool:
        """The last column is free text, so a record's end shows only where the next one begins."""
        return self.patterns[-1] is None and self.patterns[0] is not None

    @property
    def has_telling_start(self) -> bool:
        return self.names[0] in self.listing.keys

    def may_begin_record(self, line: str) -> bool:
        """The first value has its form; without a form, any line with a separator may."""
        value, separator, _ = line.partition(self.separator)
        pattern = self.patterns[0]
        return bool(separator) and (pattern is None or pattern.fullmatch(value) is not None)


@dataclass(frozen=True)
class Records:
    """`rows` has line_no and one text column a wanted name; `texts` the lines of joined records."""

    rows: pl.DataFrame
    rejects: list[tuple[int, str, str]]
    texts: Mapping[int, str]
    repeated_headers: int

    def text(self, line_no: int, lines: pl.DataFrame) -> str:
        """The record as it came."""
        return self.texts.get(line_no) or lines["line"][line_no - lines["line_no"][0]]


def find_layout(first_lines: list[str], listing: Listing) -> Layout | None:
    """Read the layout off the header, which may follow a few warnings; None without any."""
    filled = [line for line in first_lines if line.strip()][:_HEADER_WITHIN]
    for line in filled:
        if (found := _FIRST_NAMES.match(line)) and len(found[1]) <= 4:
            names = tuple(name.strip().lower() for name in line.split(found[1]))
            if any(needed <= set(names) for needed in listing.header):
                return Layout(listing, found[1], names, header=line)
    bare = (Layout(listing, "|", columns) for columns in listing.bare)
    return next((one for one in bare if any(_reading(line, one) for line in filled)), None)


def split_records(
    lines: pl.DataFrame, layout: Layout, wanted: tuple[str, ...], header_line: int | None = None
) -> Records:
    """Cut numbered lines into records; `header_line` is where the header stands if not in them."""
    # Whole columns at once, line by line only where broken.
    is_header = pl.lit(False) if layout.header is None else pl.col("line") == layout.header
    seen = lines.with_columns(is_header.alias("is_header"))
    headers = seen.filter("is_header")["line_no"].to_list()
    header_line = (headers[0] if headers else 0) if header_line is None else header_line
    body = seen.filter(~pl.col("is_header"))
    body = body.with_columns(
        pl.col("line").str.split(layout.separator).alias("pieces"),
        (pl.col("line").str.strip_chars() == "").alias("is_blank"),
    ).with_columns(_is_clean(layout).alias("is_clean"))
    if layout.is_open_ended:
        is_continued = ~pl.col("is_clean").shift(-1, fill_value=True)
        body = body.with_columns(is_clean=pl.col("is_clean") & ~is_continued)
    columns = {name: at for name in wanted if (at := layout.position(name)) is not None}
    clean = body.filter(pl.col("is_clean")).select(
        "line_no",
        *(pl.col("pieces").list.get(at, null_on_oob=True).alias(n) for n, at in columns.items()),
    )
    odd = body.filter(~pl.col("is_clean"))
    joined, refused, texts = _mend(odd, layout)
    mended = pl.DataFrame(
        [(line_no, *(values[at] for at in columns.values())) for line_no, values in joined],
        schema=clean.schema,
        orient="row",
    )
    before = "stands before the header"
    return Records(
        rows=pl.concat([clean, mended]).sort("line_no"),
        rejects=[(n, before if n < header_line else why, text) for n, why, text in refused],
        texts=texts,
        repeated_headers=sum(line_no > header_line for line_no in headers),
    )


def _is_clean(layout: Layout) -> pl.Expr:
    clean = pl.col("pieces").list.len() == layout.width
    for name in layout.listing.keys:
        if (at := layout.position(name)) is not None:
            value = pl.col("pieces").list.get(at, null_on_oob=True)
            clean &= value.str.contains(f"^(?:{layout.listing.forms[name]})$")
    return clean.fill_null(False)


def _mend(
    odd: pl.DataFrame, layout: Layout
) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str, str]], dict[int, str]]:
    """Join odd lines into records: (line, values), rejects, and the text of joined records."""
    joined: list[tuple[int, list[str]]] = []
    refused: list[tuple[int, str, str]] = []
    texts: dict[int, str] = {}
    for run in _runs(odd):
        index = 0
        while index < len(run):
            line_no, line = run[index]
            if not line.strip():
                index += 1
                continue
            count, values = _longest_record(run, index, layout)
            if values:
                joined.append((line_no, values))
                texts[line_no] = _text(run, index, index + count - 1)
            elif line.count(layout.separator) + 1 == layout.width:
                # Counts like a record: the columns that are unreadable will say so by name.
                joined.append((line_no, line.split(layout.separator)))
            else:
                found = line.count(layout.separator) + 1
                why = f"wrong number of fields ({found} found, {layout.width} promised)"
                refused.append((line_no, why, line))
            index += count
    return joined, refused, texts


def _runs(odd: pl.DataFrame) -> Iterator[list[tuple[int, str]]]:
    """Stretches of consecutive odd lines."""
    run: list[tuple[int, str]] = []
    for line_no, line in odd.select("line_no", "line").iter_rows():
        if run and line_no != run[-1][0] + 1:
            yield run
            run = []
        run.append((line_no, line))
    if run:
        yield run


def _longest_record(
    run: list[tuple[int, str]], index: int, layout: Layout
) -> tuple[int, list[str] | None]:
    """How many lines the record at `index` takes, and its values; (1, None) when uncertain."""
    if layout.has_telling_start and not layout.may_begin_record(run[index][1]):
        return 1, None
    separators = 0
    for end in range(index, min(len(run), index + LONGEST_RECORD)):
        line = run[end][1]
        if end > index and layout.has_telling_start and layout.may_begin_record(line):
            break
        separators += line.count(layout.separator)
        if separators >= layout.width + LONGEST_RECORD:
            break
        if separators >= layout.width - 1 and (values := _reading(_text(run, index, end), layout)):
            return _with_continuation(run, index, end, values, layout)
    return 1, None


def _with_continuation(
    run: list[tuple[int, str]], index: int, end: int, values: list[str], layout: Layout
) -> tuple[int, list[str]]:
    """Lines after an open-ended record belong to its last value until a record can begin."""
    while layout.is_open_ended and end + 1 < len(run) and end + 1 < index + LONGEST_RECORD:
        line = run[end + 1][1]
        is_whole = line.count(layout.separator) + 1 >= layout.width
        if is_whole or layout.may_begin_record(line) or line.startswith(_COMPLAINTS):
            break
        if not (longer := _reading(_text(run, index, end + 1), layout)):
            break
        values, end = longer, end + 1
    return end - index + 1, values


def _text(run: list[tuple[int, str]], index: int, end: int) -> str:
    return "\n".join(line for _, line in run[index : end + 1])


def _reading(text: str, layout: Layout) -> list[str] | None:
    """Lay the pieces of a text over the columns; None unless all readings keep the same values."""
    pieces = text.split(layout.separator)
    spare = len(pieces) - layout.width
    if not 0 <= spare <= LONGEST_RECORD:
        return None
    if not (can := _fillable(pieces, layout, spare)):
        return None
    first: list[str] | None = None
    kept: set[tuple[str, ...]] = set()
    for number, values in enumerate(_readings(pieces, layout, can)):
        first = first or values
        named = zip(layout.names, values, strict=True)
        kept.add(tuple(value for name, value in named if name in layout.listing.keeps))
        if len(kept) > 1 or number >= _MOST_READINGS:
            return None
    return first


def _fillable(pieces: list[str], layout: Layout, spare: int) -> list[list[bool]] | None:
    """can[column][used]: the columns from here on can be filled once `used` spare pieces are gone."""
    for column, pattern in enumerate(layout.patterns):
        if pattern is None:
            break
        if not pattern.fullmatch(pieces[column]):
            return None
    can = [[False] * (spare + 1) for _ in layout.names] + [[False] * spare + [True]]
    for column in range(layout.width - 1, -1, -1):
        pattern = layout.patterns[column]
        reachable = False
        for used in range(spare, -1, -1):
            after = can[column + 1][used]
            reachable = reachable or after
            if pattern is None:
                can[column][used] = reachable
            elif after:
                can[column][used] = bool(pattern.fullmatch(pieces[column + used]))
        if not any(can[column]):
            return None
    return can if can[0][0] else None


def _readings(pieces: list[str], layout: Layout, can: list[list[bool]]) -> Iterator[list[str]]:
    """Every way to lay the pieces out, shortest free text first."""
    spare = len(pieces) - layout.width
    stack: list[tuple[int, list[str]]] = [(0, [])]
    while stack:
        used, values = stack.pop()
        column = len(values)
        if column == layout.width:
            yield values
            continue
        stretch = range(spare - used, -1, -1) if layout.patterns[column] is None else (0,)
        start = column + used
        for more in stretch:
            if can[column + 1][used + more]:
                value = layout.separator.join(pieces[start : start + more + 1])
                stack.append((used + more, [*values, value]))
