"""What became of the files of one ingest, in counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flows.reading import Taken

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

    @property
    def is_fine(self) -> bool:
        return self.status in IS_FINE


@dataclass(frozen=True)
class IngestReport:
    files: list[FileReport]
    gained: dict[str, int]

    @property
    def is_fine(self) -> bool:
        return all(file.is_fine for file in self.files)


def together(reports: Iterable[IngestReport]) -> IngestReport:
    files: list[FileReport] = []
    gained: Counter[str] = Counter()
    for report in reports:
        files += report.files
        gained.update(report.gained)
    return IngestReport(sorted(files, key=lambda f: f.file), dict(sorted(gained.items())))


def of_file(one: Taken) -> FileReport:
    parsed = one.parsed
    told = parsed.rejects["reason"]
    reasons = Counter(dict(told.value_counts().iter_rows()) if len(told) else {})
    return FileReport(
        file=one.held.name,
        source=one.source,
        status="refused" if one.is_whole_refused else "read",
        records=parsed.records,
        accepted=parsed.accepted,
        rejected=parsed.rejected,
        ignored=parsed.ignored,
        rows=one.rows,
        reasons=dict(sorted(reasons.items())),
    )
