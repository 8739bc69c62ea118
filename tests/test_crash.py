"""kill -9 at random instants: the lake is never torn, and running again makes it whole.

FAULTLEDGER_CRASHES   how often to kill (default 6; `make crash` kills 50 times)
FAULTLEDGER_SEED      of the instants (default 1)
"""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lakes import NOW, bytes_of, take

from flows import warehouse
from flows.derive import derive
from flows.lake import Lake
from flows.share import share
from transforms.tables import derived, observed

CRASHES = int(os.environ.get("FAULTLEDGER_CRASHES", "6"))
SEED = int(os.environ.get("FAULTLEDGER_SEED", "1"))
ROOMS = ("landed", "observed", "derived")
SAMPLE = share("sample_data")

CHILD = """
import sys
from pathlib import Path
from lakes import take
from flows.derive import derive
from transforms import ledger, mtbf, simulate
import flows.warehouse
verb, root, *paths = map(Path, sys.argv[1:])
print("ready", flush=True)
take(root, *paths) if str(verb) == "ingest" else derive(root)
"""


def files() -> list[Path]:
    kernel = sorted((SAMPLE / "kernel").iterdir())[:12]
    return [
        *(SAMPLE / "slurm").iterdir(),
        *(SAMPLE / "inventory").iterdir(),
        *kernel,
        SAMPLE / "train" / "sft-8b-1.ndjson.zst",
    ]


def start(verb: str, root: Path) -> subprocess.Popen[bytes]:
    """A process that is about to begin: its imports are done."""
    paths = files() if verb == "ingest" else []
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, verb, root, *paths],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert child.stdout.readline() == b"ready\n"
    return child


def finish(child: subprocess.Popen[bytes]) -> int:
    child.stdout.close()
    return child.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A lake before and after each verb that nobody killed, and how long each took."""
    stages = {"ingest": tmp_path_factory.mktemp("empty") / "lake"}
    stages["ingest"].mkdir()
    shutil.copy(SAMPLE / "settings.toml", stages["ingest"])
    stages["derive"] = tmp_path_factory.mktemp("ingested") / "lake"
    stages["done"] = tmp_path_factory.mktemp("done") / "lake"
    took = {}
    for verb, after in (("ingest", "derive"), ("derive", "done")):
        shutil.copytree(stages[verb], stages[after])
        child, began = start(verb, stages[after]), time.monotonic()
        assert finish(child) == 0
        took[verb] = time.monotonic() - began
    return stages, took


class Reader(threading.Thread):
    """Polls the lake with DuckDB and with Polars until told to stop; keeps what went wrong."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.faults, self.polls = root, [], 0
        self.enough = threading.Event()

    def run(self) -> None:
        lake = Lake(self.root)
        while not self.enough.is_set():
            try:
                for table in ("job_attempts", "kernel_events", "arrivals", "gpu_time"):
                    warehouse.query(
                        self.root, f"SELECT count(*), max(COLUMNS(*)::VARCHAR) FROM {table}"
                    )
                for table in (observed.JOB_ATTEMPTS, observed.REJECTS, derived.GPU_TIME):
                    table.conform(lake.read(table))
                self.polls += 1
            except Exception as fault:
                self.faults.append(fault)


@pytest.mark.slow
@pytest.mark.parametrize("crash", range(CRASHES))
def test_killed_anywhere_and_run_again_the_bytes_are_those_of_an_undisturbed_run(
    undisturbed, tmp_path, crash
):
    stages, took = undisturbed
    verb = ("ingest", "derive")[crash % 2]
    chance = random.Random(SEED * 1000 + crash)
    root = tmp_path / "lake"
    shutil.copytree(stages[verb], root)
    warehouse.refresh(root)
    reader = Reader(root)
    reader.start()
    child = start(verb, root)
    time.sleep(chance.uniform(0, took[verb]))
    child.kill()
    finish(child)
    take(root, *files())
    derive(root)
    reader.enough.set()
    reader.join()
    assert not reader.faults
    assert reader.polls
    whole = bytes_of(stages["done"], *ROOMS)
    assert bytes_of(root, *ROOMS) == whole
    assert len(whole) > 50
    assert not list((root / ".staging").iterdir()), "a dead process's draft was not swept"
    assert Lake(root).read(observed.ARRIVALS)["first_seen"].unique().to_list() == [NOW]
