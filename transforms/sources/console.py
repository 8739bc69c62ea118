"""What console logs of training share: clean lines, stamps before a message, names of files.

A console holds what many processes print: colours, progress bars that overwrite themselves with
carriage returns, prefixes of ranks and launchers, lines of every library. Each piece that a bar
overwrote is a record of its line.
"""

import re
from datetime import UTC, datetime, timedelta

import polars as pl

from transforms.sources.base import Origin
from transforms.sources.text import instants, numbered_lines
from transforms.sources.train_rows import EARLIEST_US, LATEST_US, Attempt

_ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])"
STAMP = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
_GLOG = r"(?:^|[\s:\]])[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?)\b"

_SLURM = re.compile(r"^slurm-(\d+(?:[_+]\d+)?)$")
_NAMED = re.compile(r"^(.*?[^\W\d_].*?)[-_.](\d{4,9}(?:_\d+)?)$")
_ENDINGS = re.compile(r"\.(?:out|log|txt|err|gz|zst|xz|bz2|json|jsonl|o|e)$", re.IGNORECASE)

NO_STAMP = "no time stamp: have the launcher or the logger write one before each line"


def colourless(text: str) -> str:
    """The text without terminal escapes, as sniffing wants it."""
    return re.sub(_ESCAPE, "", text)


def console_lines(data: bytes) -> pl.DataFrame:
    """The pieces of all lines that hold anything: line_no, line; without colours."""
    lines = numbered_lines(data)
    pieces = lines.with_columns(pl.col("line").str.split("\r")).explode("line")
    has_escape = pl.col("line").str.contains("\x1b", literal=True)
    bare = pl.when(has_escape).then(pl.col("line").str.replace_all(_ESCAPE, "")).otherwise("line")
    return pieces.with_columns(bare.alias("line")).filter(pl.col("line").str.contains(r"\S"))


def holding(lines: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """The lines that match any of our words, with the text before the first as `head`.

    Adds `at` (microseconds, null if none) and `fault` (why a stamp could not be read).
    """
    found = lines.filter(pl.col("line").str.contains(pattern))
    head = pl.col("line").str.extract(rf"^(.*?)(?:{pattern})", 1).fill_null("")
    return found.with_columns(head.alias("head"))


def stamped(lines: pl.DataFrame, origin: Origin, *, column: str = "head") -> pl.DataFrame:
    """Add the instant of the last stamp in `column`: `at` (microseconds, or null) and `fault`.

    ISO 8601 with a blank or a T, with or without an offset (then in the origin's zone); glog's
    `I0302 10:15:04.120000`, whose year is that in which the file was not yet written to.
    """
    text = lines.get_column(column)
    iso = text.str.extract(rf"^.*{STAMP}", 1).str.replace(",", ".", literal=True)
    glog = text.str.extract_groups(_GLOG).struct.unnest()
    stamps = pl.select(pl.coalesce(iso, _with_year(glog, origin.modified))).to_series()
    read = instants(stamps, origin.zone)
    at = read["at"].dt.epoch("us")
    is_sane = at.is_between(EARLIEST_US, LATEST_US).fill_null(False)
    fault = (
        pl.when(stamps.is_null())
        .then(pl.lit(NO_STAMP))
        .when(read["fault"].is_not_null())
        .then(pl.lit("time is ") + read["fault"])
        .when(~is_sane)
        .then(pl.lit("time is not between 1980 and 2100"))
    )
    return lines.with_columns(
        pl.select(pl.when(is_sane).then(at)).to_series().alias("at"),
        pl.select(fault).to_series().cast(pl.String).alias("fault"),
    )


def attempt_of(origin: Origin, restart: int = 0) -> Attempt:
    """The run, and the job where the file's name tells one.

    `slurm-4711.out` is job 4711; `llm-70b_4711.log` is job 4711 of the run llm-70b; any other file
    is named after its run.
    """
    stem = origin.file.replace("\\", "/").rsplit("/", 1)[-1]
    while (shorter := _ENDINGS.sub("", stem)) != stem and shorter:
        stem = shorter
    if found := _SLURM.match(stem):
        return Attempt(stem, found[1], restart)
    named = _NAMED.match(stem)
    if named and not _is_date(named[2]):
        return Attempt(named[1], named[2], restart)
    return Attempt(stem or "log", restart=restart)


def _is_date(digits: str) -> bool:
    return len(digits) == 8 and digits[:2] in ("19", "20") and digits[4:6] <= "12"


def _with_year(glog: pl.DataFrame, modified: datetime) -> pl.Series:
    """Month, day and time with the last year in which they were not after the file's own time."""
    month, day, clock = (glog.get_column(name) for name in glog.columns)
    limit = (modified.astimezone(UTC) + timedelta(days=1)).strftime("%m-%d")
    dates = pl.select(pl.concat_str(pl.lit(month), pl.lit("-"), pl.lit(day))).to_series()
    year = (
        pl.when(dates <= limit)
        .then(pl.lit(str(modified.year)))
        .otherwise(pl.lit(str(modified.year - 1)))
    )
    return pl.select(
        pl.concat_str(year, pl.lit("-"), pl.lit(dates), pl.lit("T"), pl.lit(clock))
    ).to_series()
