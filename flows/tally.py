"""What an ingest says: a line a file, as long as they can be read, totals, and why by how often."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import polars as pl

from flows import output
from flows.output import tell
from flows.reports import FileReport, IngestReport

MOST_FILES = 100  # in the table; --format csv or json lists every one
MOST_REASONS = 20
REASONS_A_FILE = 3
HEADS = ("file", "source", "rows", "accepted", "rejected", "ignored", "reasons")


def show(report: IngestReport, form: output.Format, is_dry_run: bool) -> None:
    """Print what became of every file; as CSV or JSON nothing else."""
    if form != "table":
        output.show(_frame(report.files), form)
        return
    shown = _worth_showing(report.files)
    lines = [_line(file) for file in shown]
    for line in output.columns(HEADS, lines, [head in HEADS[3:6] for head in HEADS]):
        tell(line)
    if rest := len(report.files) - len(shown):
        tell(f"... and {rest:,} more files that were fine: --format csv lists every one.")
    if len(report.files) > 1:
        for line in _totals(report.files):
            tell(line)
    if not is_dry_run:
        gained = ", ".join(f"{n:,} {name}" for name, n in report.gained.items() if n)
        tell(f"Gained {gained}." if gained else "Nothing new.")


def summarize(report: IngestReport) -> None:
    """Print the totals, why anything was refused, and what the lake gained; no line a file."""
    for line in _totals(report.files):
        tell(line)
    gained = sum(report.gained.values())
    tell(f"The lake gained {gained:,} rows." if gained else "Nothing new.")


def _worth_showing(files: Sequence[FileReport]) -> list[FileReport]:
    """All of a few; of many, those with a problem, then with a reject, then the others."""
    if len(files) <= MOST_FILES:
        return list(files)
    troubled = [file for file in files if not file.is_fine]
    by_worth = sorted(files, key=lambda f: (f.is_fine, not f.rejected, f.file))
    return by_worth[: max(MOST_FILES, min(len(troubled), 5 * MOST_FILES))]


def _line(file: FileReport) -> list[str]:
    reasons = sorted(file.reasons.items(), key=lambda item: (-item[1], item[0]))
    said = [reason if n == 1 else f"{reason} ({n:,})" for reason, n in reasons[:REASONS_A_FILE]]
    if more := len(reasons) - REASONS_A_FILE:
        said += [f"and {more:,} more reasons"] if more > 0 else []
    return [
        file.file,
        file.source or file.status,
        ", ".join(f"{n} {name}" for name, n in file.rows.items()),
        *map(str, (file.accepted, file.rejected, file.ignored)),
        "; ".join(said) or (file.status if file.status == "already here" else ""),
    ]


def _totals(files: Sequence[FileReport]) -> Iterator[str]:
    statuses = Counter(file.status for file in files)
    sources = Counter(file.source for file in files if file.status == "read")
    told = [f"{n:,} {status}" for status, n in statuses.most_common()]
    yield f"{len(files):,} files: {', '.join(told)}."
    if sources:
        yield f"Took them for {', '.join(f'{n:,} {name}' for name, n in sources.most_common())}."
    records, accepted, rejected, ignored = (
        sum(getattr(file, name) for file in files)
        for name in ("records", "accepted", "rejected", "ignored")
    )
    yield (
        f"{records:,} records: {accepted:,} accepted, {rejected:,} rejected, {ignored:,} ignored."
    )
    yield from _by_reason(files)


def _by_reason(files: Sequence[FileReport]) -> Iterator[str]:
    times: Counter[str] = Counter()
    found_in: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for reason, count in file.reasons.items():
            times[reason] += count
            found_in[reason].append(file.file)
    for reason, count in times.most_common(MOST_REASONS):
        where = found_in[reason]
        more = f" and {len(where) - 1:,} more files" if len(where) > 1 else ""
        yield f"  {count:>9,}  {reason}: {where[0]}{more}"
    if (more_reasons := len(times) - MOST_REASONS) > 0:
        yield f"  ... and {more_reasons:,} more reasons."


def _frame(files: Sequence[FileReport]) -> pl.DataFrame:
    counts = ("records", "accepted", "rejected", "ignored")
    rows = [
        {
            **{name: getattr(file, name) for name in ("file", "source", "status", *counts)},
            "rows": "; ".join(f"{name} {n}" for name, n in file.rows.items()),
            "reasons": "; ".join(f"{reason} ({n})" for reason, n in file.reasons.items()),
        }
        for file in files
    ]
    words = ("file", "source", "status", "rows", "reasons")
    names = ("file", "source", "status", *counts, "rows", "reasons")
    schema = {name: pl.String if name in words else pl.Int64 for name in names}
    return pl.DataFrame(rows, schema=schema)
