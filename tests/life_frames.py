"""Small fleets with their exposure, incidents and GPUs, told in days since the records begin."""

from datetime import UTC, datetime, timedelta

import polars as pl

from transforms.tables import derived as d
from transforms.tables import observed as o

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
DAY_MS = 86_400_000


def at(day: float) -> datetime:
    return MIDNIGHT + timedelta(days=float(day))


def fleet(*nodes) -> pl.DataFrame:
    """(node, from day, to day or None) and labels; days count from the first of the records."""
    rows = [
        {"cluster": "c", "node": name, "valid_from": at(come), "gpus": 8, "hall": "H1"}
        | {"valid_to": None if go is None else at(go), "evidence": "inventory"} | (more or [{}])[0]
        for name, come, go, *more in nodes
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=d.FLEET.dtypes)


def exposure(known: pl.DataFrame, days=28) -> pl.DataFrame:
    rows = []
    for row in known.iter_rows(named=True):
        came, went = ((e - MIDNIGHT).total_seconds() / 86400 for e in (row["valid_from"], row["valid_to"] or at(days)))  # fmt: skip
        for k in range(days):
            ms = round((min(k + 1, went) - max(k, came)) * DAY_MS)
            if ms > 0:
                clocks = dict.fromkeys(("wall_ms", "in_service_ms"), ms) | {"allocated_ms": ms // 2}
                none = dict.fromkeys(("down_ms", "planned_down_ms", "unobserved_ms", "gpu_capacity_ms"), 0)  # fmt: skip
                rows.append({"day": at(k).date(), "cluster": "c", "node": row["node"], "gpus": 8, "hall": row["hall"]} | clocks | none)  # fmt: skip
    return pl.DataFrame(rows, schema=d.EXPOSURE.dtypes)


def incidents(*hits) -> pl.DataFrame:
    """(day, node), and class, device, gpus where they matter."""
    rows = []
    for k, (day, node, *more) in enumerate(hits):
        klass, device, gpus = [*more, *["GPU", "", []][len(more) :]]
        rows.append(
            {"incident": f"i{k:04}", "day": at(day).date(), "cluster": "c", "began": at(day)}
            | {"ended": at(day), "node": node, "device": device, "nodes": [node], "gpus": gpus}
            | {"class": klass, "component": "x", "root_kind": "xid", "root_code": 79}
            | {"severity": "S2", "confidence": 1.0, "events": 1, "interrupts": 0, "counts": True}
            | {"definition": "coalesced-180s"}
        )
    return pl.DataFrame(rows, schema=d.INCIDENTS.dtypes)


def gpus(*spells) -> pl.DataFrame:
    """(serial, from, to, node, pci) and a reason."""
    rows = [
        {"file": "f", "line_no": 1, "serial": s, "uuid": f"GPU-{s}", "valid_from": at(come)}
        | {"valid_to": None if go is None else at(go), "cluster": "c", "node": node, "pci": pci}
        | {"removal_reason": (why or [None])[0], "model": "H100"}
        for s, come, go, node, pci, *why in spells
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=o.GPUS.dtypes)
