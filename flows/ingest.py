"""Files to observed tables: every record a row, a reject with its reason, or counted as ignored.

A file is known by the hash of its bytes and its arrival is written last: an ingest that was
killed leaves no arrival, so the file is taken again, and rows that were already there fold away.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flows import again as rereading
from flows import filing, known, landing, settings, warehouse
from flows.errors import CallError
from flows.filing import FileAway
from flows.intake import BATCH_BYTES, EMPTY, Intake
from flows.lake import Lake
from flows.landing import Found
from flows.reading import Options
from flows.reports import FileReport, IngestReport, together

BATCH_FILES = 250
MANY_FILES, MANY_BYTES = 10_000, 8 * 1024**3  # of samples, whose rows are few beside their text
MOST_BATCHES = 150
ACQUAINTED = 256  # files of which the beginnings are held together


@dataclass(frozen=True)
class Batch:
    """Files of one source. What is held of them at a time is for the intake to bound."""

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
    if options.is_again:
        return again(list(paths), root, options, now, progress)
    planned = plan(paths, options)
    reports = []
    for done, batch in enumerate(planned.batches):
        progress(batch.source, done, len(planned.batches))
        reports.append(ingest_batch(batch, root, options, now))
    progress("warehouse", len(planned.batches), len(planned.batches))
    if not options.is_dry_run:
        warehouse.refresh(root)
    return together([*reports, IngestReport(list(planned.aside), {})])


def again(
    paths: list[Path],
    root: Path,
    options: Options,
    now: datetime,
    progress: Callable[[str, int, int], None],
) -> IngestReport:
    """Read `paths`, or all that arrived as the source named, as if they had never been read.

    Their rows take the place of those of the reading before.
    """
    lake, said = Lake(root), settings.load(root)
    with rereading.Again(lake, options, said, now) as held:
        if paths:
            planned = plan(paths, options)
            reports = [IngestReport(list(planned.aside), {})]
            for done, batch in enumerate(planned.batches):
                progress(batch.source, done, len(planned.batches))
                reports.append(ingest_batch(batch, root, options, now, held.keep))
        elif source := known.forced(options):
            with Intake(lake, options, said, now, held.keep) as intake:
                for one in held.landed_as(source.name):
                    intake.take_landed(one, source.name)
            reports = [intake.report()]
        else:
            raise CallError("name what to read again: files, or a source by --as or --map.")
        if not options.is_dry_run:
            held.finish()
            warehouse.refresh(root)
    return together([*reports, IngestReport([], dict(held.gained))])


def plan(paths: Iterable[Path], options: Options) -> Plan:
    """Say which source reads which file, and set aside what none of them can."""
    of_source: dict[str, list[Found]] = {}
    aside: list[FileReport] = []
    for found in landing.walk(paths):
        what, why = _what(found, options)
        if why is None:
            of_source.setdefault(what, []).append(found)
        else:
            aside.append(FileReport(found.name, "", what, reasons={why: 1} if why else {}))
    share = max(1, sum(map(len, of_source.values())) // MOST_BATCHES)
    many = {name for name, source in known.sources(options).items() if source.is_bulk}
    batches = [
        Batch(source, files)
        for source, all_files in sorted(of_source.items())
        for files in _cut(
            all_files,
            max(MANY_FILES if source in many else BATCH_FILES, share * 2),
            MANY_BYTES if source in many else BATCH_BYTES,
        )
    ]
    return Plan(tuple(batches), tuple(aside))


def _what(found: Found, options: Options) -> tuple[str, str | None]:
    """(source, None) of a file to read; (status, why) of one to set aside."""
    if not found.asked_for and landing.is_beside_the_point(found.name):
        return "skipped", ""
    if found.trouble:
        return ("refused" if found.asked_for else "skipped"), found.trouble
    if not found.size:  # a log just rotated
        return "skipped", EMPTY
    try:
        head = landing.head(found)
    except OSError as error:
        return "refused", landing.why_unreadable(error)
    if landing.is_archive(head):
        return landing.ARCHIVE, None
    if forced := known.forced(options):
        return forced.name, None
    sure = landing.recognise(head, found.name, known.sources(options).values())
    return (sure[0].name, None) if len(sure) == 1 else landing.why_not(sure)


def _cut(files: list[Found], most: int, most_bytes: int) -> list[tuple[Found, ...]]:
    whole = sum(file.size for file in files)
    limit = max(most_bytes, whole // (MOST_BATCHES // 2))
    batches: list[list[Found]] = []
    size = 0
    for file in files:
        if not batches or len(batches[-1]) >= most or size + file.size > limit:
            batches.append([])
            size = 0
        batches[-1].append(file)
        size += file.size
    return [tuple(batch) for batch in batches]


def ingest_batch(
    batch: Batch,
    root: Path,
    options: Options,
    now: datetime,
    file_away: FileAway = filing.file_away,
) -> IngestReport:
    """Read the batch's files and merge each table once for every batchful of bytes."""
    with Intake(Lake(root), options, settings.load(root), now, file_away) as intake:
        for start in range(0, len(batch.files), ACQUAINTED):
            some = batch.files[start : start + ACQUAINTED]
            intake.expect(some, batch.source)
            for found in some:
                intake.receive(found, batch.source)
    return intake.report()


def unfinished(root: Path) -> int:
    """How many files a killed reading again has left half replaced."""
    return len(rereading.unfinished(Lake(root)))
