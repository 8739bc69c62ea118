"""What somebody has on disk, to the headline of its last week: ingest, derive and report at once.

The one command for a first look. It writes an ordinary lake, so that every other verb goes on
from there, and the same call with more files adds to it.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from flows import ingest as ingesting
from flows import tally, warehouse, weekly
from flows.derive import derive
from flows.errors import DataError
from flows.output import tell
from flows.progress import progress
from flows.reading import Options
from transforms.contract import ContractError

STANDING = """
    SELECT
        (SELECT count(*) FROM incidents) AS incidents,
        (SELECT count(*) FROM incidents WHERE counts) AS failures,
        (SELECT count(*) FROM job_attempts) AS attempts,
        (SELECT count(*) FROM interruptions) AS interruptions
"""
ACTIVE_DAYS = """
    SELECT day FROM exposure WHERE allocated_ms > 0
    UNION SELECT day FROM incidents
    UNION SELECT day FROM interruptions
"""
NEEDS = (
    "No week to report: failure rates need to know when nodes were in service, and losses need jobs. "
    "Give scheduler accounting, node states, an inventory or training logs as well."
)


def analyze(paths: Sequence[Path], root: Path, options: Options, now: datetime) -> int:
    """Take the files in, derive what they touch and write the last week's report; print what came out.

    Returns 1 where a file could not be read or nothing could be concluded, else 0.
    """
    with progress("ingest") as tick:
        taken = ingesting.ingest(paths, root, options, now, tick)
    tally.summarize(taken)
    try:
        with progress("derive") as tick:
            derived = derive(root, None, None, tick)
    except ContractError as error:
        raise DataError(str(error)) from error
    if not derived.rows:
        raise DataError("nothing to derive from: these files gave the lake no record with a time.")
    tell(f"Derived {derived.since} to before {derived.until}.")
    (counts,) = warehouse.query(root, STANDING).rows(named=True)
    tell(
        f"{counts['attempts']:,} job attempts, {counts['interruptions']:,} interruptions, "
        f"{counts['incidents']:,} incidents, {counts['failures']:,} of them failures."
    )
    reported = _report(root, now)
    tell(f'Ask it      faultledger sql --lake {root} "SELECT * FROM interruptions_by_cause"')
    tell(f"Check it    faultledger check --lake {root}")
    return 0 if taken.is_fine and reported else 1


def _report(root: Path, now: datetime) -> bool:
    """Report the last whole week in which anything ran or failed; of none such, the last begun."""
    weeks = weekly.weeks(root)
    if not weeks:
        tell(NEEDS)
        return False
    active = {weekly.week_of(day) for day in warehouse.query(root, ACTIVE_DAYS)["day"]}
    begun = [week for week in weeks if week in active] or weeks
    whole = set(weekly.weeks(root, is_whole=True))
    week = ([week for week in begun if week in whole] or begun)[-1]
    with progress("report") as tick:
        tick(week, 0, 1)
        made = weekly.weekly(root, week, now)
    tell()
    tell(f"Week {made.week}")
    for line in made.headline:
        tell(f"  {line}")
    tell()
    tell(f"Report      {made.paths['html']}")
    if len(weeks) > 1:
        tell(f"Others      faultledger report --lake {root} --week {weeks[0]} (to {weeks[-1]})")
    return True
