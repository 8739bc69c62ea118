"""A job's event log, from its lines to the ledger: every hour in its leaf, whole or hour by hour.

The job of these tests holds 2 nodes of 4 GPUs for 3.75 h, saves once and is interrupted once.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lakes import take, write

from flows import warehouse
from flows.derive import derive
from transforms import tables
from transforms.ledger import gpu_accounts
from transforms.recipes import Window
from transforms.sources import BY_NAME
from transforms.sources.base import Origin

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
GPUS, NODES = 8, 2
STORY = [
    (0.0, "start"), (1.0, "checkpoint_start"), (1.25, "checkpoint_end"), (1.75, "interrupt"),
    (2.0, "detected"), (2.25, "nodes_ready"), (2.75, "running"), (3.75, "end"),
]  # fmt: skip
HOURS = {"ideal": 2.0, "ckpt_stall": 0.25, "step_lost": 0.5, "hang": 0.25, "queue_wait": 0.25, "init": 0.5}  # fmt: skip


def story(events: list[tuple[float, str]], unit: timedelta = timedelta(hours=1)) -> str:
    more: dict[str, dict[str, Any]] = {
        "start": {"nodes": NODES, "gpus_per_node": GPUS // NODES},
        "interrupt": {"cause": "gpu_xid79", "node": "n2"},
    }
    said = [
        {"time": (T0 + at * unit).isoformat(), "job": "j", "event": event, **more.get(event, {})}
        for at, event in events
    ]
    return "".join(json.dumps(line) + "\n" for line in said)


def lake_of(folder: Path, text: str) -> Path:
    take(folder / "lake", write(folder / "in", {"events.jsonl": text}))
    derive(folder / "lake")
    return folder / "lake"


def leaves(lake: Path) -> dict[str, float]:
    rows = warehouse.query(lake, "SELECT leaf, sum(gpu_ms)::BIGINT FROM run_time GROUP BY 1").rows()
    return {leaf: ms / GPUS / 3_600_000 for leaf, ms in rows}


def read(lake: Path, name: str) -> pl.DataFrame:
    table = tables.BY_NAME[name]
    return table.conform(
        warehouse.query(lake, f"SELECT * FROM {name}").select(
            pl.col(column).cast(dtype) for column, dtype in table.dtypes.items()
        )
    )


def assert_numbers_of_the_story(lake: Path) -> None:
    assert leaves(lake) == HOURS
    (run,) = warehouse.query(lake, "SELECT * FROM run_goodput").to_dicts()
    assert (run["gpus"], run["disruptions"]) == (GPUS, 1)
    assert run["goodput"] == 2 / 3.75
    trained = sum(run[f"{leaf}_gpu_ms"] for leaf in ("ideal", "slow", "ckpt_stall", "step_lost"))
    mtbi_hours = trained / GPUS / 3_600_000 / run["disruptions"]
    assert (mtbi_hours, mtbi_hours * NODES) == (2.75, 5.5)
    owed = "SELECT sum(gpu_ms)::BIGINT AS ms FROM run_time WHERE cause = 'Unknown'"
    assert warehouse.query(lake, owed)["ms"].to_list() == [12 * 3_600_000]


def test_every_hour_of_the_job_is_in_its_leaf(tmp_path):
    assert_numbers_of_the_story(lake_of(tmp_path, story(STORY)))


def test_the_real_event_log_gives_the_published_numbers(shared_data, tmp_path):
    file = shared_data / "training-logs" / "goodput-lab-events.jsonl"
    assert_numbers_of_the_story(lake_of(tmp_path, file.read_text()))


def test_windows_of_an_hour_sum_to_the_whole(tmp_path):
    lake = lake_of(tmp_path, story(STORY))
    reads = (
        *("run_attempts", "gpu_use", "ideal_steps", "interruptions"),
        *("steps", "checkpoints", "run_marks"),
    )
    frames = {name: read(lake, name) for name in reads}
    untold = ("node_states", "incidents", "outages", "idle_spells")
    empty = {name: tables.BY_NAME[name].empty() for name in untold}

    def account(since: datetime, until: datetime) -> pl.DataFrame:
        window = Window(since, until, T0 + timedelta(hours=5))
        fleet = tables.BY_NAME["fleet"].empty()
        return gpu_accounts(window, fleet=fleet, **frames, **empty)["run_time"]

    whole = account(T0, T0 + timedelta(hours=4))
    parts = [account(T0 + timedelta(hours=h), T0 + timedelta(hours=h + 1)) for h in range(4)]
    keys = [name for name in whole.columns if name != "gpu_ms"]
    summed = pl.concat(parts).group_by(keys).agg(pl.col("gpu_ms").sum()).sort(keys)
    assert summed.rows() == whole.sort(keys).rows()
    assert whole["gpu_ms"].sum() == round(3.75 * GPUS * 3_600_000)


def test_odd_seconds_leave_no_time_over(tmp_path):
    """Stretches that are no multiple of ten seconds: their last steps are short, and none is slow."""
    odd = [(at * 1.000137 + 1e-4, event) for at, event in STORY]
    found = leaves(lake_of(tmp_path, story(odd)))
    assert found == pytest.approx(
        {leaf: hours * 1.000137 for leaf, hours in HOURS.items()}, abs=1e-6
    )


@pytest.mark.parametrize("cut", range(1, len(STORY) + 1))
def test_a_log_that_grows_says_the_same_again_and_more(cut):
    """What an earlier copy of the file said stays true: no row of it is taken back."""
    origin = Origin("events.jsonl", T0)
    parse = BY_NAME["goodput_lab"].parse
    early, late = (parse(story(events).encode(), origin) for events in (STORY[:cut], STORY))
    for name, frame in early.frames.items():
        key = list(tables.BY_NAME[name].key)
        assert frame.join(late.frames[name], on=key, how="anti").is_empty()


def test_a_crash_without_return_is_no_end(tmp_path):
    """The log ends while nodes are waited for: the hang is told, and nothing was finished."""
    later = (
        story([(0, "start"), (1, "end")]).replace('"j"', '"k"').replace("2026-03-02", "2026-03-03")
    )
    lake = lake_of(tmp_path, story([*STORY[:5], (2.25, "end")]) + later)
    assert leaves(lake) == pytest.approx(
        {"ideal": 1.5 + 1, "ckpt_stall": 0.25, "hang": 0.25, "decide": 0.25}
    )
