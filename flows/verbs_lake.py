"""What the commands that keep the lake in shape do, and how they say so."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.errors import CallError
from flows.output import tell

if TYPE_CHECKING:
    from flows.retention import Going


def compact(root: Path) -> int:
    from flows import compacting

    _must_exist(root)
    folded = compacting.compact(root)
    for table, hours in sorted(folded.items()):
        tell(f"{table}: {hours} hours folded")
    return 0


def retain(root: Path, now: datetime, is_dry_run: bool) -> int:
    from flows import retention

    _must_exist(root)
    going = retention.retain(root, now, is_dry_run)
    if not going:
        tell(f"nothing goes: {root / settings.FILE} has no [retention]")
    for one in going:
        waits = f"; {one.waiting} old ones wait for `faultledger derive`" if one.waiting else ""
        tell(
            f"{one.table.name}: {len(one.labels)} files of {one.bytes:,} bytes "
            f"{'would go' if is_dry_run else 'went'}{_before(one)}{waits}"
        )
    return 0


def _before(one: "Going") -> str:
    return f", all before {one.until:%Y-%m-%dT%H:%MZ}" if one.labels else ""


def _must_exist(root: Path) -> None:
    if not root.is_dir():
        raise CallError(f"{root}: no lake here. Ingest into it first, or name another: --lake.")
