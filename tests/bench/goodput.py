"""The goodput of long runs beside ml-goodput-measurement's, on the same entries in the same run.

    pip install ml-goodput-measurement
    python tests/bench/goodput.py                  a million steps, and five runs with an outage
    python tests/bench/goodput.py --lake MILLIONS  that many steps in a lake, derived in flat memory

Two readings, each like for like. Entries in memory: the peer's calculator gets the objects that it
works on, through the reader that it takes, our ledger its rows in the observed tables. From the
file: both begin with the bytes of the log. CPU-seconds, medians of three; each in one thread, since
the peer has but one and threads that wait for work count as work. Nothing here fails a test.
"""

import gc
import importlib.metadata
import json
import logging
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_ml_goodput import JOB, story

from flows.derive import derive
from flows.lake import Lake
from flows.memory import keep_freed
from transforms import recipes, tables
from transforms.recipes import Window
from transforms.sources.base import Origin
from transforms.sources.ml_goodput import SOURCE

ORIGIN = Origin(file="bench", modified=datetime(2026, 3, 15, tzinfo=UTC))
T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NOTHING = {name: table.empty() for name, table in tables.BY_NAME.items()}


def entries(steps: int, step_s: float = 10.0, crashes: int = 100) -> list[dict[str, Any]]:
    """A run of `steps` kept steps that saves every thousand and crashes now and then."""
    told: list[dict[str, Any]] = []
    now = T0.timestamp()

    def say(**entry: Any) -> None:
        told.append({"job_name": JOB, **entry})

    step = 0
    for crash in range(crashes + 1):
        say(job_start_time=now)
        say(tpu_init_start_time=now)
        now += 60
        say(tpu_init_end_time=now)
        until = steps * (crash + 1) // (crashes + 1)
        while step < until:
            say(step_count=step, step_start_time=now)
            now += step_s
            step += 1
            if step % 1000 == 0:
                blocked = {"start_time": now - 2, "duration_secs": 1.5}
                say(
                    step=step, event_type="save", directory="gs://bucket/run", synchronous=True,
                    reached_preemption=False, preemption_received_at=None,
                    **{f"checkpoint_manager_blocking_{n}": v for n, v in blocked.items()},
                    **{f"checkpointer_blocking_{n}": v for n, v in blocked.items()},
                    wait_for_prev_start_time=now - 2, wait_for_prev_duration_secs=0.0,
                    get_old_steps_start_time=now - 2, get_old_steps_duration_secs=0.0,
                )  # fmt: skip
        if crash < crashes:
            now += 600
            step -= 20
    say(job_end_time=now)
    return told


class Held:
    """What the peer's calculator reads entries from, when they need not come from a network."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self.told = told

    def read_cloud_logging_entries(self, **_: Any) -> tuple[list[dict[str, Any]], None]:
        return self.told, None


def peer(told: list[dict[str, Any]]) -> tuple[float, dict[str, Any], int]:
    from ml_goodput_measurement.src.goodput import GoodputCalculator

    with tempfile.TemporaryDirectory() as cache:
        calculator = GoodputCalculator(JOB, "log", cloud_logger=Held(told), cache_dir=cache)
        goodput, badput, _ = calculator.get_job_goodput(include_badput_breakdown=True)
        details = calculator.get_job_goodput_details()
    return goodput, badput, details["disruption_count"]


def ledger(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The tables of one log to the run's whole account, as `derive` makes it."""
    none = NOTHING
    logs = {name: frames[name] for name in ("steps", "checkpoints", "run_marks")}
    last = frames["steps"]["ended"].max()
    until = last.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    window = Window(T0, until, last)
    held = none | logs
    for made in (
        *("run_attempts", "gpu_use", "first_steps", "ideal_steps"), "incidents", "gpu_time",
    ):  # fmt: skip
        recipe = next(r for r in recipes.RECIPES if made in {table.name for table in r.makes})
        held |= recipe.by(window, **{table.name: held[table.name] for table in recipe.reads})
    return held["run_time"]


def cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def peer_from(data: bytes) -> tuple[float, dict[str, Any], int]:
    return peer([json.loads(line) for line in data.splitlines()])


def million(steps: int = 1_000_000) -> None:
    keep_freed()  # as `derive` does; theirs is counted in the same process
    told = entries(steps)
    data = "\n".join(map(json.dumps, told)).encode()
    frames = dict(SOURCE.parse(data, ORIGIN).frames)  # compiled once
    ledger(frames)
    gc.freeze()  # a million entries that are only held are no garbage to look through, for either
    drawing = cpu_seconds(lambda: ledger(frames))
    theirs = cpu_seconds(lambda: peer(told))
    both = cpu_seconds(lambda: ledger(dict(SOURCE.parse(data, ORIGIN).frames)))
    theirs_both = cpu_seconds(lambda: peer_from(data))
    print(f"{len(told):,} entries of {steps:,} steps and 100 crashes, {len(data) / 1e6:.0f} MB")
    for what, peers, ours in (
        ("entries in memory to the whole breakdown", theirs, drawing),
        ("the log's bytes to the whole breakdown", theirs_both, both),
    ):
        print(f"  {what}:")
        print(
            f"    ml-goodput-measurement {peers:.2f} CPU-s, ours {ours:.3f} CPU-s, {peers / ours:.0f}x"
        )
    account = ledger(frames).group_by("leaf").agg(pl.col("gpu_ms").sum() / 3_600_000).sort("leaf")
    print("  leaves (GPU-h):", {leaf: round(hours, 2) for leaf, hours in account.rows()})
    goodput, badput, disruptions = peer(told)
    print(f"  theirs: goodput {goodput:.2f} %, {disruptions} disruptions,", badput)


def scenarios() -> None:
    print("200 steps of 10 s, an outage of 3,600 s: our goodput, theirs, their disruptions, other")
    for name, lines in {
        "no crash": story(None),
        "5 steps lost": story(100),
        "resumed at the next step": story(105),
        "resumed 2 ahead": story(107),
        "no second job start": story(100, False),
    }.items():
        frames = dict(SOURCE.parse("\n".join(lines).encode(), ORIGIN).frames)
        spent = dict(ledger(frames).group_by("leaf").agg(pl.col("gpu_ms").sum()).rows())
        ours = (spent.get("ideal", 0) + spent.get("slow", 0)) / sum(spent.values())
        goodput, badput, disruptions = peer([json.loads(line) for line in lines])
        other = next((v for k, v in badput.items() if k.name == "OTHER"), None)
        print(f"  {name:26}{100 * ours:8.2f} %{goodput:9.2f} %  {disruptions}  {other}")


def in_a_lake(millions: float) -> None:
    """One run of one-second steps, day by day, that crashes every other day."""
    days = int(millions * 1e6 / 86_400)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        seconds = np.arange(86_400)
        for day in range(days):
            began = T0 + day * DAY
            crashed = 3_600 if day % 2 else 0  # an hour in which nothing ran
            on = seconds[crashed:]
            at = pl.Series(on).cast(pl.Duration("us")) * 1_000_000
            rows = pl.DataFrame({"at": at}).select(
                file=pl.lit("log"), line_no=pl.int_range(pl.len()).cast(pl.UInt32),
                cluster=pl.lit("c"), run=pl.lit("r"), job_id=pl.lit(""),
                restart=pl.lit(day // 2, pl.UInt32), step=pl.int_range(pl.len()) + day * 86_000,
                began=pl.lit(began).dt.replace_time_zone(None).dt.replace_time_zone("UTC") + pl.col("at"),
                ended=pl.lit(began) + pl.col("at") + pl.duration(seconds=1),
                tokens=pl.lit(None, pl.Int64),
            )  # fmt: skip
            steps = tables.BY_NAME["steps"]
            conforming = steps.conform(
                rows.select(pl.col(n).cast(t) for n, t in steps.dtypes.items())
            )
            lake.replace(steps, conforming, began, began + DAY)
        written = time.process_time()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        derive(Path(folder))
        taken = time.process_time() - written
        account = lake.read(tables.BY_NAME["run_time"], None, None, None)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        hours = account.group_by("leaf").agg(pl.col("gpu_ms").sum() / 3_600_000).sort("leaf")
    print(f"{days * 86_400 / 1e6:.0f} million steps of one run in a lake, {days} days:")
    print(
        f"  derive: {taken:.0f} CPU-s; greatest memory {peak / 1e6:.2f} GB ({before / 1e6:.2f} before)"
    )
    print("  leaves (GPU-h):", {leaf: round(value, 1) for leaf, value in hours.rows()})


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    if sys.argv[1:2] == ["--lake"]:
        in_a_lake(float(sys.argv[2]))
    else:
        if os.environ.get("POLARS_MAX_THREADS") != "1":  # it is read when Polars is loaded
            os.execve(
                sys.executable,
                [sys.executable, *sys.argv],
                os.environ | {"POLARS_MAX_THREADS": "1"},
            )
        print(f"ml-goodput-measurement {importlib.metadata.version('ml-goodput-measurement')}")
        scenarios()
        million()
