"""Hours of samples that are one file again: what came late is folded in.

Deriving does so first of all, since such an hour must be derived anew in any case; by itself it is
worth doing in a lake that is only asked.
"""

from pathlib import Path

from flows import warehouse
from flows.atomic import sweep
from flows.census import Census
from flows.lake import Lake
from transforms.tables import samples


def fold_late(lake: Lake, census: Census | None = None) -> dict[str, int]:
    """Fold what lies beside its hour; return the hours folded, by table."""
    census = census or Census(lake)
    folded = {}
    for table in samples.ALL:
        hours = {x.rpartition("/")[0] for x in census.stamps(table) if "/late-" in x}
        folded[table.name] = lake.compact(table, hours) if hours else 0
        if hours:
            census.renew([table])
    return folded


def compact(root: Path) -> dict[str, int]:
    """Fold all late samples of a lake and let its readers see the new files."""
    lake = Lake(root)
    with lake.lock("derive"):  # a derivation must not read an hour while it is folded
        sweep(lake.staging)
        folded = fold_late(lake)
    if any(folded.values()):
        warehouse.refresh(root)
    return folded
