"""Files to observed tables: every record a row, a reject with its reason, or counted as ignored.

A file is known by the hash of its bytes and its arrival is written last: an ingest that was
killed leaves no arrival, so the file is taken again, and rows that were already there fold away.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from flows import landing, settings, warehouse
from flows.atomic import sweep
from flows.lake import Lake
from flows.landing import Found
from flows.reading import Options, Taken, take
from transforms.sources.base import Source
from transforms.tables import BY_NAME, observed

BATCH_BYTES = 64 * 1024**2
BATCH_FILES = 250
MOST_BATCHES = 150

IS_FINE = {"read", "already here", "skipped"}


@dataclass(frozen=True)
class FileReport:
    """What became of one file. Counts are records; `rows` counts table rows."""

    file: str
    source: str
    status: str
    records: int = 0
    accepted: int = 0
    rejected: int = 0
    ignored: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestReport:
    files: list[FileReport]
    gained: dict[str, int]

    @property
    def is_fine(self) -> bool:
        return all(file.status in IS_FINE for file in self.files)


@dataclass(frozen=True)
class Batch:
    """Files of one source, small enough together to be held in memory."""

    source: str
    files: tuple[Found, ...]


@dataclass(frozen=True)
class Plan:
    batches: tuple[Batch, ...]
    aside: tuple[FileReport, ...]


def ingest(
    paths: Iterable[Path],
    root: Path,
    options: Options,
    now: datetime,
    progress: Callable[[str, int, int], None] = lambda label, done, whole: None,
) -> IngestReport:
    """Take every file of `paths` into the lake at `root`. Doing it again changes nothing."""
    planned = plan(paths, options)
    reports = []
    for done, batch in enumerate(planned.batches):
        progress(batch.source, done, len(planned.batches))
        reports.append(ingest_batch(batch, root, options, now))
    progress("warehouse", len(planned.batches), len(planned.batches))
    if not options.is_dry_run:
        warehouse.refresh(root)
    return together([*reports, IngestReport(list(planned.aside), {})])


def together(reports: Iterable[IngestReport]) -> IngestReport:
    files: list[FileReport] = []
    gained: Counter[str] = Counter()
    for report in reports:
        files += report.files
        gained.update(report.gained)
    return IngestReport(sorted(files, key=lambda f: f.file), dict(sorted(gained.items())))


def plan(paths: Iterable[Path], options: Options) -> Plan:
    """Say which source reads which file, and set aside what none of them can."""
    of_source: dict[str, list[Found]] = {}
    aside: list[FileReport] = []
    for found in landing.walk(paths):
        if landing.is_beside_the_point(found):
            aside.append(FileReport(found.name, "", "skipped"))
            continue
        if not found.size:  # a log just rotated
            aside.append(FileReport(found.name, "", "skipped", reasons={"empty file": 1}))
            continue
        if options.source:
            sure: tuple[Source, ...] = (landing.source_named(options.source),)
        else:
            sure = landing.recognise(landing.head(found.path), found.name)
        if len(sure) == 1:
            of_source.setdefault(sure[0].name, []).append(found)
        elif sure:
            names = " or ".join(source.name for source in sure)
            why = {f"could be {names}: say which with --as": 1}
            aside.append(FileReport(found.name, "", "ambiguous", reasons=why))
        else:
            why = {
                "no source knows this format: see `faultledger sources`, or force one with --as": 1
            }
            aside.append(FileReport(found.name, "", "unrecognised", reasons=why))
    share = max(1, sum(map(len, of_source.values())) // MOST_BATCHES)
    batches = [
        Batch(source, files)
        for source, all_files in sorted(of_source.items())
        for files in _cut(all_files, max(BATCH_FILES, share * 2))
    ]
    return Plan(tuple(batches), tuple(aside))


def _cut(files: list[Found], most: int) -> list[tuple[Found, ...]]:
    whole = sum(file.size for file in files)
    limit = max(BATCH_BYTES, whole // (MOST_BATCHES // 2))
    batches: list[list[Found]] = []
    size = 0
    for file in files:
        if not batches or len(batches[-1]) >= most or size + file.size > limit:
            batches.append([])
            size = 0
        batches[-1].append(file)
        size += file.size
    return [tuple(batch) for batch in batches]


def ingest_batch(batch: Batch, root: Path, options: Options, now: datetime) -> IngestReport:
    """Read the batch's files and merge each table once; the arrivals last."""
    lake, source = Lake(root), landing.source_named(batch.source)
    said = settings.load(root)
    known = dict(lake.read(observed.ARRIVALS).select("sha256", "source").iter_rows())
    taken: list[Taken] = []
    reports: list[FileReport] = []
    for found in batch.files:
        data = found.path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in known:
            reports.append(FileReport(found.name, known[sha256], "already here"))
            continue
        known[sha256] = source.name
        taken.append(one := take(found, sha256, data, source, options, said))
        reports.append(_report(one, source))
    gained = {} if options.is_dry_run else _write(lake, source, taken, now)
    return IngestReport(reports, gained)


def _report(one: Taken, source: Source) -> FileReport:
    parsed = one.parsed
    reasons = Counter(dict(parsed.rejects["reason"].value_counts().iter_rows()))
    return FileReport(
        file=one.found.name,
        source=source.name,
        status="refused" if one.is_whole_refused else "read",
        records=parsed.records,
        accepted=parsed.accepted,
        rejected=parsed.rejected,
        ignored=parsed.ignored,
        rows={name: frame.height for name, frame in sorted(parsed.frames.items())},
        reasons=dict(sorted(reasons.items())),
    )


def _write(lake: Lake, source: Source, taken: list[Taken], now: datetime) -> dict[str, int]:
    sweep(lake.staging)
    arrived = [one for one in taken if not one.is_whole_refused]
    gained: dict[str, int] = {}
    if not source.is_bulk:
        for one in arrived:
            lake.land(source.name, one.sha256, one.data)
    for name in sorted({name for one in arrived for name in one.parsed.frames}):
        frames = [one.parsed.frames[name] for one in arrived if name in one.parsed.frames]
        gained[name] = lake.merge(BY_NAME[name], pl.concat(frames))
    hashes = [one.sha256 for one in taken]
    for table, part in ((observed.REJECTS, "rejects"), (observed.UNKNOWN_METRICS, "unknown")):
        notes = [_note(getattr(one.parsed, part), one, source, now) for one in taken]
        rows = pl.concat([table.empty(), *(n.select(table.dtypes.names()) for n in notes)])
        gained[table.name] = lake.merge(table, rows, pl.col("sha256").is_in(hashes))
    rows = pl.DataFrame(
        [_arrival(one, source, now) for one in arrived], schema=observed.ARRIVALS.dtypes
    )
    gained["arrivals"] = lake.merge(observed.ARRIVALS, rows)
    return gained


def _note(rows: pl.DataFrame, one: Taken, source: Source, now: datetime) -> pl.DataFrame:
    seen = pl.lit(now).cast(pl.Datetime("us", "UTC"))
    return rows.with_columns(
        sha256=pl.lit(one.sha256),
        file=pl.lit(one.found.name),
        source=pl.lit(source.name),
        first_seen=seen,
    )


def _arrival(one: Taken, source: Source, now: datetime) -> dict[str, object]:
    return {
        "sha256": one.sha256,
        "file": one.found.name,
        "source": source.name,
        "bytes": len(one.data),
        "records": one.parsed.records,
        "accepted": one.parsed.accepted,
        "rejected": one.parsed.rejected,
        "ignored": one.parsed.ignored,
        "modified": one.modified,
        "first_seen": now,
    }
