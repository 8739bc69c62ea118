"""Killed at random instants, the lake stays readable, and a re-run completes it to the byte.

FAULTLEDGER_CRASHES says how many kills (6 in the suite, 50 by `make crash`).
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from flows import warehouse

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("FAULTLEDGER_CRASHES", "6"))
AS_OF = "2026-03-20T00:00:00Z"
INGEST = ["ingest", str(ROOT / "sample_data")]
DERIVE = ["derive"]
POLLED = (
    "SELECT count(*) FROM job_attempts",
    "SELECT count(*), sum(gpu_ms) FROM gpu_time",
    "SELECT count(*) FROM fleet_rates",
)


def start(call: list[str], root: Path) -> subprocess.Popen[bytes]:
    as_of = ["--as-of", AS_OF] if call[0] == "ingest" else []
    command = [sys.executable, "-m", "flows.cli", *call, "--plain", "--lake", str(root), *as_of]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(call: list[str], root: Path) -> float:
    """Run to the end; return the seconds it took."""
    began = time.monotonic()
    process = start(call, root)
    _, errors = process.communicate()
    assert process.returncode in (0, 1), errors.decode()
    return time.monotonic() - began


def contents(root: Path) -> dict[str, str]:
    """Every file of the rooms and the hash of its bytes."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ("landed", "observed", "derived")
        for path in sorted((root / room).rglob("*"))
        if path.is_file()
    }


class Reader(threading.Thread):
    """Asks the lake over and over, through DuckDB and through bare Polars."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.reads, self.is_done = root, 0, threading.Event()
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.is_done.wait(0.05):
            try:
                for sql in POLLED:
                    warehouse.query(self.root, sql)
                for part in (self.root / "observed" / "nodes").rglob("*.parquet"):
                    pl.read_parquet(part)
                self.reads += 1
            except Exception as error:
                self.failures.append(repr(error))


@pytest.mark.slow
def test_a_killed_lake_is_readable_and_a_rerun_gives_the_undisturbed_bytes(tmp_path: Path):
    calm, struck = tmp_path / "calm", tmp_path / "struck"
    for root in (calm, struck):
        root.mkdir()
        shutil.copy(ROOT / "sample_data" / "settings.toml", root)
    seconds = {"ingest": finish(INGEST, calm), "derive": finish(DERIVE, calm)}
    # A reader needs a lake: a first, small one, of files named as they will be named again.
    first = shutil.copytree(ROOT / "sample_data" / "inventory", tmp_path / "first" / "inventory")
    finish(["ingest", str(first.parent)], struck)
    reader = Reader(struck)
    reader.start()
    generator, kills = random.Random(2026), 0
    for turn in range(KILLS):
        # Ingest is struck until some of it stands, then both in turn.
        call = DERIVE if turn % 2 and turn > 1 else INGEST
        process = start(call, struck)
        time.sleep(generator.uniform(0.2, 1.0) * seconds[call[0]])
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    finish(INGEST, struck)
    finish(DERIVE, struck)
    reader.is_done.set()
    reader.join()
    print(f"{kills} of {KILLS} were killed midway; {reader.reads} reads, none failed")
    assert kills >= KILLS // 2
    assert reader.reads > 0
    assert reader.failures == []
    assert contents(struck) == contents(calm)
