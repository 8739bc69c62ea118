"""The GPUs that a scheduler has configured for a node, and the inventory that this makes.

    Gres=gpu:h100:8(S:0-1),lscratch:3200    CfgTRES=cpu=128,gres/gpu=8,gres/gpu:h100=8

Since when a node is in the fleet no snapshot says (a boot is no purchase): its row is that of an
inventory line without `valid_from`. So snapshots fold into one row a node, and an inventory that
does say since when overrules it (`transforms.fleet`).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from transforms.tables.observed import NODES

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_GRES = re.compile(
    r"(?:^|,)gpu(?::(?P<model>[^:,()]*[A-Za-z][^:,()]*))?(?::(?P<count>\d{1,6}))?(?=[,(]|$)"
)
_TRES = re.compile(r"(?:^|,)gres/gpu(?::(?P<model>[^=,]+))?=(?P<count>[^,]*)")
_COUNT = re.compile(r"[0-9]{1,6}")
_MOST = 65_535


def configured_gpus(gres: str, tres: str) -> tuple[int | None, str | None]:
    """How many GPUs, and their model where a type is named; no count where it is unreadable.

    What is configured counts, from the resources (TRES) where they name GPUs; that a node
    registered with fewer is in the reason of its state.
    """
    by_gres, by_tres = list(_GRES.finditer(gres)), list(_TRES.finditer(tres))
    models = [found["model"] for found in (*by_gres, *by_tres) if found["model"]]
    whole = [found["count"] for found in by_tres if not found["model"]]
    counts = whole[:1] or [found["count"] for found in by_tres]
    if not counts:
        counts = [found["count"] or "1" for found in by_gres]
        if not counts and re.search(r"(?:^|,)gpu\b", gres):
            return None, None
    gpus = sum(map(int, counts)) if all(map(_COUNT.fullmatch, counts)) else _MOST + 1
    return (gpus if gpus <= _MOST else None), next(iter(models), None)


def snapshot_inventory(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Rows (cluster, node, gpus, gpu_model, file, line_no) as `nodes`; a node's last one counts."""
    names = ("cluster", "node", "gpus", "gpu_model", "file", "line_no")
    told = (
        pl.DataFrame(rows, schema={name: NODES.dtypes[name] for name in names}, orient="row")
        .unique(["cluster", "node"], keep="last", maintain_order=True)
        .with_columns(valid_from=pl.lit(ALWAYS, NODES.dtypes["valid_from"]))
    )
    missing = [name for name in NODES.dtypes if name not in told.columns]
    return NODES.conform(
        told.with_columns(pl.lit(None, NODES.dtypes[name]).alias(name) for name in missing)
    )
