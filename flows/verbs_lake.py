"""What the commands that keep the lake in shape do, and how they say so."""

from pathlib import Path

from flows.errors import CallError
from flows.output import tell


def compact(root: Path) -> int:
    from flows import compacting

    _must_exist(root)
    folded = compacting.compact(root)
    for table, hours in sorted(folded.items()):
        tell(f"{table}: {hours} hours folded")
    return 0


def _must_exist(root: Path) -> None:
    if not root.is_dir():
        raise CallError(f"{root}: no lake here. Ingest into it first, or name another: --lake.")
