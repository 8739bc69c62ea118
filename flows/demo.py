"""The whole way at once: sample data into a fresh lake, through the real flows, to a report."""

import os
import shutil
from datetime import datetime
from pathlib import Path

from flows import settings, weekly
from flows.errors import CallError
from flows.lake import ROOMS, Lake
from flows.output import tell
from flows.share import share

OURS = {*ROOMS, "faultledger.duckdb", settings.FILE}


def demo(root: Path, now: datetime) -> int:
    """Run the three flows on Prefect's embedded server, started once; print what came out."""
    start_afresh(root)
    embed_prefect(root)
    from flows import orchestrate  # Prefect reads its environment when it is imported

    sample = share("sample_data")
    tell(f"Reading {sample} ...")
    taken = orchestrate.ingest([sample], root, now=now)
    rejected = sum(file.rejected for file in taken.files)
    rows = sum(taken.gained.get(name, 0) for name in taken.gained)
    tell(f"  {len(taken.files)} files, {rows:,} rows, {rejected} records refused with a reason")
    tell("Deriving incidents, exposure, interruptions and the GPU-time ledger ...")
    derived = orchestrate.derive(root)
    tell(f"  {derived.since} to before {derived.until}: {sum(derived.rows.values()):,} rows")
    reported = weekly.weeks(root, is_whole=True) or weekly.weeks(root)[-1:]
    headline: list[str] = []
    for week in reported:
        headline = orchestrate.weekly(root, week=week, as_of=now)
    tell()
    tell(f"Week {reported[-1]}")
    for line in headline:
        tell(f"  {line}")
    tell()
    for week in reported:
        tell(f"Report      {Lake(root).report(week) / 'report.html'}")
    question = "SELECT * FROM interruptions_by_cause"
    tell(f'Ask it      faultledger sql --lake {root} "{question}"')
    tell(f"Check it    faultledger check --lake {root}")
    return 0 if taken.is_fine else 1


def start_afresh(root: Path) -> None:
    """Empty a lake of ours; refuse a folder that holds anything else."""
    if root.exists():
        strange = {path.name for path in root.iterdir() if not path.name.startswith(".")} - OURS
        if strange:
            raise CallError(
                f"{root}: not a lake ({', '.join(sorted(strange))}). Name a new folder: --lake."
            )
        shutil.rmtree(root)
    root.mkdir(parents=True)
    shutil.copy(share("sample_data") / settings.FILE, root / settings.FILE)


def embed_prefect(root: Path) -> None:
    """Let Prefect start its own server, keep it in this lake, and speak only of trouble."""
    home = Lake(root).state("prefect").resolve()
    home.mkdir(parents=True)  # Prefect makes the last folder only
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(home)
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
    be_discreet()


def be_discreet() -> None:
    """No telemetry, and no log line for what went well."""
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
