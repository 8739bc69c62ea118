"""Small real-format files and frames for tests of the lake, and a hash of all that lies in one."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest import IngestReport, ingest
from flows.reading import Options
from transforms.contract import Table

NOW = datetime(2026, 3, 20, tzinfo=UTC)
MODIFIED = datetime(2026, 3, 15, tzinfo=UTC).timestamp()

SACCT_HEADER = "JobID|Cluster|Submit|Eligible|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES"
SACCT = f"""{SACCT_HEADER}
1|alpha|2026-03-02T08:00:00|2026-03-02T08:00:00|2026-03-02T08:01:00|2026-03-04T09:00:00|NODE_FAIL|0:0|2|n[1-2]|billing=16,gres/gpu=16,node=2
2|alpha|2026-03-03T08:00:00|2026-03-03T08:00:00|2026-03-03T08:01:00|Unknown|RUNNING|0:0|1|n3|billing=8,gres/gpu=8,node=1
"""
SACCT_UNNAMED = "\n".join(
    "|".join(cells[:1] + cells[2:]) for cells in (line.split("|") for line in SACCT.splitlines())
)
KERNEL = """2026-03-02T10:15:04.120000+00:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.
2026-03-02T10:15:05.120000+00:00 n1 kernel: usb 1-1: new high-speed USB device
2026-03-04T08:59:00.000000+00:00 n2 kernel: NVRM: Xid (PCI:0000:3b:00): 48, pid=1234, DBE
"""
TRAIN = """{"t": "2026-03-02T08:05:00Z", "run": "r", "job_id": "1", "event": "job_start", "gpus": 16}
{"t": "2026-03-02T08:06:00Z", "run": "r", "job_id": "1", "event": "step", "step": 1, "seconds": 10}
torn
{"t": "2026-03-03T08:06:00Z", "run": "r", "job_id": "1", "event": "step", "step": 2, "seconds": 10}
"""
FILES = {"sacct.psv": SACCT, "kern.log": KERNEL, "train.ndjson": TRAIN}


def write(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Put files into `folder`, all with the same time of change."""
    for name, text in (files or FILES).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (MODIFIED, MODIFIED))
    return folder


def take(root: Path, *paths: Path, **options: Any) -> IngestReport:
    return ingest(list(paths), root, Options(**options), NOW)


def rows(table: Table, *said: dict[str, Any]) -> pl.DataFrame:
    """Rows of `table` that say `said`; what they leave out is null, or f and 1 for file and line."""
    cited = {"file": "f", "line_no": 1} if "line_no" in table.dtypes else {}
    full = [dict.fromkeys(table.dtypes) | cited | row for row in said]
    if not full:
        return table.empty()
    return table.conform(pl.DataFrame(full, schema_overrides=table.dtypes))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bytes_of(root: Path, *rooms: str) -> dict[str, str]:
    """Every file under the rooms, with the hash of its bytes."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in rooms
        for path in sorted((root / room).rglob("*"))
        if path.is_file()
    }


def moments_of(root: Path, *rooms: str) -> dict[str, int]:
    return {
        path.relative_to(root).as_posix(): path.stat().st_mtime_ns
        for room in rooms
        for path in (root / room).rglob("*")
        if path.is_file()
    }
