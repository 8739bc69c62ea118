"""Small histories for ledger tests, written as rows in seconds after a Monday midnight."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from transforms import recipes, tables
from transforms.ledger import gpu_accounts
from transforms.recipes import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY_S = 86_400


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else MONDAY + timedelta(microseconds=round(seconds * 1e6))


def rows(name: str, *given: dict[str, Any]) -> pl.DataFrame:
    """Rows of a table; a number in an instant column is seconds after MONDAY."""
    dtypes = tables.BY_NAME[name].dtypes
    filled = [
        {
            column: at(row.get(column)) if isinstance(dtype, pl.Datetime) else row.get(column)
            for column, dtype in dtypes.items()
        }
        for row in given
    ]
    for row in given:
        assert row.keys() <= dtypes.keys(), row.keys() - dtypes.keys()
    return pl.DataFrame(filled, schema=dtypes)


def node(name: str, gpus: int = 8, **more: Any) -> dict[str, Any]:
    return {
        "cluster": "c", "node": name, "valid_from": -30 * DAY_S, "gpus": gpus,
        "evidence": "inventory", **more,
    }  # fmt: skip


def attempt(
    started: float | None, ended: float | None, nodes: list[str], **more: Any
) -> dict[str, Any]:
    """Eight GPUs of each of `nodes`, submitted when it could have started."""
    asked = more.pop("eligible", started)
    return {
        "cluster": "c", "job_id": "1", "run": "r", "submitted": asked, "link": "alone",
        "eligible": asked, "started": started, "ended": ended, "state": "RUNNING",
        "nodes": nodes, "node_count": len(nodes), "gpus": 8 * len(nodes), "logs_steps": True,
        **more,
    }  # fmt: skip


def logged(**more: Any) -> dict[str, Any]:
    return {
        "cluster": "c", "run": "r", "job_id": "1", "restart": 0, "ok": True, "file": "log",
        "line_no": 1, **more,
    }  # fmt: skip


def step_rows(first: int, began: float, lengths: list[float], **more: Any) -> list[dict[str, Any]]:
    """Steps one after the other."""
    made = []
    for number, seconds in enumerate(lengths, first):
        row = logged(step=number, began=began, ended=began + seconds, **more)
        made.append({k: v for k, v in row.items() if k != "ok"})
        began += seconds
    return made


def mark(kind: str, began: float, ended: float | None, **more: Any) -> dict[str, Any]:
    row = logged(kind=kind, began=began, ended=ended, **more)
    return {k: v for k, v in row.items() if k != "ok"}


def save(step: int, began: float, ended: float | None, durable: float | None) -> dict[str, Any]:
    return logged(
        kind="save", step=step, began=began, block_ended=ended, durable_at=durable
    )  # fmt: skip


def stop(attempt: dict[str, Any], failed: float, detected: float, **more: Any) -> dict[str, Any]:
    """The interruption that ended an attempt."""
    return {
        "cluster": "c", "run": attempt["run"], "failed_at": failed,
        "day": at(failed).date(), "job_id": attempt["job_id"], "submitted": attempt["submitted"],
        "state": "FAILED", "detected_at": detected, "decided_at": attempt["ended"],
        "planned": False, "cause": "GPU", "component": "lost", "co_causes": [],
        "confidence": 1.0, "nodes": 2, "gpus": attempt["gpus"], **more,
    }  # fmt: skip


def incident(name, began, nodes, klass="GPU"):
    return {
        "incident": name, "day": at(began).date(), "cluster": "c", "began": began, "ended": began,
        "node": nodes[0], "device": "", "nodes": nodes, "gpus": [], "class": klass,
        "component": "lost", "root_kind": "xid", "root_code": 79, "severity": "S1",
        "confidence": 1.0, "events": 1, "definition": "coalesced-180s", "counts": True,
        "interrupts": 1,
    }  # fmt: skip


def accounts(
    days: tuple[int, int] = (0, 1), horizon: float | None = None, **given: list[dict[str, Any]]
) -> dict[str, pl.DataFrame]:
    """Both accounts of days [from, to) after MONDAY; tables not given are empty."""
    window = Window(
        since=MONDAY + timedelta(days=days[0]),
        until=MONDAY + timedelta(days=days[1]),
        horizon=at(horizon) if horizon is not None else MONDAY + timedelta(days=days[1]),
    )
    return account_frames(window, {name: rows(name, *found) for name, found in given.items()})


GIVEN = (
    "fleet", "run_attempts", "node_states", "steps", "checkpoints", "run_marks", "incidents",
    "interruptions", "outages", "idle_spells",
)  # fmt: skip
READS = (*GIVEN, "gpu_use", "ideal_steps")


MADE_FIRST = ("gpu_use", "first_steps", "ideal_steps")
EVER = Window(MONDAY - timedelta(days=100), MONDAY + timedelta(days=200), MONDAY)


def paced(window: Window, frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The frames with the derived tables that the ledger goes by, of all days."""
    whole = replace(EVER, horizon=window.horizon)
    for recipe in recipes.RECIPES:
        if recipe.makes[0].name in MADE_FIRST:
            frames = frames | recipe.by(
                whole, **{t.name: _of(frames, t.name) for t in recipe.reads}
            )
    return frames


def account_frames(window: Window, frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    if "ideal_steps" not in frames:
        frames = paced(window, frames)
    return dict(gpu_accounts(window, **{name: _of(frames, name) for name in READS}))


def _of(frames: dict[str, pl.DataFrame], name: str) -> pl.DataFrame:
    return frames.get(name, tables.BY_NAME[name].empty())


def leaves(account: pl.DataFrame, *by: str) -> dict[Any, int]:
    """Sum by leaf, or by other columns."""
    keys = by or ("leaf",)
    summed = account.group_by(pl.col(k).cast(pl.String) if k == "leaf" else pl.col(k) for k in keys)
    found = summed.agg(pl.col("gpu_ms").sum()).rows()
    return {row[0] if len(keys) == 1 else row[:-1]: row[-1] for row in found}
