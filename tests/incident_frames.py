"""Small histories for the incident tests: a row is a dictionary of what matters, the rest is dull."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from transforms import incidents
from transforms.contract import Table
from transforms.recipes import Window
from transforms.tables import derived as d
from transforms.tables import hourly as h
from transforms.tables import observed as o

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MIDNIGHT = T0.replace(hour=0)
READS = {
    "kernel_events": o.KERNEL_EVENTS,
    "bmc_events": o.BMC_EVENTS,
    "cluster_events": o.CLUSTER_EVENTS,
    "node_states": o.NODE_STATES,
    "outages": o.OUTAGES,
    "sample_signals": h.SAMPLE_SIGNALS,
    "silences": h.SILENCES,
    "run_attempts": d.RUN_ATTEMPTS,
    "fleet": d.FLEET,
    "gpus": o.GPUS,
    "steps": o.STEPS,
    "checkpoints": o.CHECKPOINTS,
    "run_marks": o.RUN_MARKS,
}
Rows = list[dict[str, Any]]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(seconds, kind="xid", code=79, node="n1", device="0000:3b:00", detail="", **more):
    return {
        "cluster": "c", "node": node, "observed_at": at(seconds), "kind": kind, "code": code,
        "device": device, "detail": detail, "repeat": 0, "clock": "stamped", "file": "k",
        "line_no": int(abs(seconds)) + 1, **more,
    }  # fmt: skip


def state(began, ended, reason="Not responding", node="n1", state="DOWN*"):
    return {
        "cluster": "c", "node": node, "began": at(began), "state": state, "reason": reason,
        "ended": None if ended is None else at(ended), "file": "s", "line_no": 1,
    }  # fmt: skip


def outage(began, ended, unit="n1", unit_kind="node", record=None, **more):
    return {
        "unit_kind": unit_kind, "cluster": "c", "unit": unit, "began": at(began),
        "ended": None if ended is None else at(ended), "record": record or f"{began} {ended}",
        "file": "o", "line_no": 1, **more,
    }  # fmt: skip


def attempt(started, ended, job="1", nodes=("n1",), state="COMPLETED", run=None, gpus=None, **more):
    return {
        "cluster": "c", "job_id": job, "submitted": at(started - 1), "run": run or job,
        "link": "alone", "eligible": at(started - 1), "started": at(started),
        "ended": None if ended is None else at(ended), "state": state, "nodes": list(nodes),
        "node_count": len(nodes), "gpus": 8 * len(nodes) if gpus is None else gpus,
        "logs_steps": False, **more,
    }  # fmt: skip


def node(name, since=-90 * 86_400, **places):
    return {
        "cluster": "c", "node": name, "valid_from": at(since), "gpus": 8, "evidence": "inventory",
        **places,
    }  # fmt: skip


def step(number, began, ended, job="1", run="1"):
    return {
        "cluster": "c", "run": run, "job_id": job, "restart": 0, "step": number,
        "began": at(began), "ended": at(ended), "file": "l", "line_no": 1,
    }  # fmt: skip


def mark(kind, began, ended=None, job="1", run="1"):
    return {
        "cluster": "c", "run": run, "job_id": job, "restart": 0, "kind": kind, "began": at(began),
        "ended": at(began if ended is None else ended), "file": "l", "line_no": 1,
    }  # fmt: skip


def save(kind, number, began, ended, job="1", run="1"):
    return {
        "cluster": "c", "run": run, "job_id": job, "restart": 0, "kind": kind, "step": number,
        "began": at(began), "block_ended": None if ended is None else at(ended), "ok": True,
        "file": "l", "line_no": 1,
    }  # fmt: skip


def frame(table: Table, rows: Rows) -> pl.DataFrame:
    columns = {name: [row.get(name) for row in rows] for name in table.dtypes.names()}
    return pl.DataFrame(columns, schema=table.dtypes)


def frames(**rows: Rows) -> dict[str, pl.DataFrame]:
    assert not (unknown := rows.keys() - READS.keys()), unknown
    return {name: frame(table, rows.get(name, [])) for name, table in READS.items()}


def derived(
    since: datetime = MIDNIGHT - 30 * DAY, until: datetime = MIDNIGHT + 60 * DAY,
    horizon: datetime = MIDNIGHT + 60 * DAY, **rows: Rows,
) -> Mapping[str, pl.DataFrame]:  # fmt: skip
    """Everything that the recipe makes of a history."""
    return incidents.derive(Window(since, until, horizon), **frames(**rows))


def found(column: str | None = None, definition: str = "coalesced-180s", **rows: Rows):
    """Incidents of a history in order of time; or one column of them."""
    made = derived(**rows)["incidents"].filter(definition=definition).sort("began", "node")
    return made if column is None else made[column].to_list()
