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
from collections.abc import Sequence
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
    command = [sys.executable, "-m", "flows", *call, "--plain", "--lake", str(root), *as_of]
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

    def __init__(self, root: Path, asks: Sequence[str] = POLLED) -> None:
        super().__init__(daemon=True)
        self.root, self.asks, self.reads, self.is_done = root, asks, 0, threading.Event()
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.is_done.wait(0.05):
            try:
                for sql in self.asks:
                    warehouse.query(self.root, sql)
                for part in (self.root / "observed" / "nodes").rglob("*.parquet"):
                    pl.read_parquet(part)
                self.reads += 1
            except Exception as error:
                self.failures.append(repr(error))


def new_lake(root: Path) -> Path:
    root.mkdir()
    shutil.copy(ROOT / "sample_data" / "settings.toml", root)
    return root


def strike(call: list[str], root: Path, after: float) -> bool:
    """Start `call` and kill it after some seconds; False when it had ended by then."""
    process = start(call, root)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


@pytest.mark.slow
def test_a_killed_lake_is_readable_and_a_rerun_gives_the_undisturbed_bytes(tmp_path: Path):
    calm = new_lake(tmp_path / "calm")
    seconds = {"ingest": finish(INGEST, calm), "derive": finish(DERIVE, calm)}
    undisturbed = contents(calm)
    # A reader needs a lake: a first, small one, of files named as they will be named again.
    first = shutil.copytree(ROOT / "sample_data" / "inventory", tmp_path / "first" / "inventory")
    generator, kills, lakes, reads = random.Random(2026), 0, 0, 0
    while kills < KILLS:
        struck, lakes = new_lake(tmp_path / f"struck-{lakes}"), lakes + 1
        finish(["ingest", str(first.parent)], struck)
        reader = Reader(struck)
        reader.start()
        for call in (INGEST, DERIVE):
            # Half a dozen strikes at most: each run goes on where the last one was struck.
            for _ in range(6):
                hit = strike(call, struck, generator.uniform(0.15, 1.0) * seconds[call[0]])
                kills += hit
                if not hit:
                    break
            finish(call, struck)
        reader.is_done.set()
        reader.join()
        reads += reader.reads
        assert reader.failures == []
        assert contents(struck) == undisturbed
        shutil.rmtree(struck)
    print(
        f"{kills} kills midway in {lakes} lakes, all equal in the end; {reads} reads, none failed"
    )
    assert reads > 0
