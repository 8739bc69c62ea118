"""What a new hour of samples costs to derive, with one day or ninety in the lake: `make bench`.

    python tests/bench/incremental.py [GPUs] [days]     4096 and 90

Both lakes hold the same last day; the other days hold few GPUs each, since it is their number
that a run must not pay for. Prints CPU-seconds of a whole `derive`, in a process of its own.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
from queries import DAY, hour_of_samples

from flows.derive import derive
from flows.lake import Lake
from transforms.tables import samples

FEW_GPUS = 8
RUNS = 3
TIMED = """
import sys, time
from pathlib import Path
from flows.derive import derive
began = time.process_time()
derive(Path(sys.argv[1]))
print(time.process_time() - began)
"""


def put(lake: Lake, gpus: int, day: int, hours: range) -> None:
    """Samples of some hours, `day` days before the last."""
    frames = [
        hour_of_samples(gpus, hour).with_columns(pl.col("observed_at") - timedelta(days=day))
        for hour in hours
    ]
    lake.merge(samples.GPU_SAMPLES, pl.concat(frames))


def cost(root: Path) -> float:
    """CPU-seconds of one derivation of a copy of the lake, imports left out."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED, str(root)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main(gpus: int, days: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="faultledger-incremental-"))
    try:
        taken: dict[int, list[float]] = {1: [], days: []}
        for many in taken:
            lake = Lake(folder / f"{many}")
            for day in range(many - 1, 0, -1):
                put(lake, FEW_GPUS, day, range(24))
            put(lake, FEW_GPUS, 0, range(20))
            put(lake, gpus, 0, range(20, 21))
            derive(lake.root)
        for hour in range(21, 21 + RUNS):
            for many, some in taken.items():
                put(Lake(folder / f"{many}"), gpus, 0, range(hour, hour + 1))
                some.append(cost(folder / f"{many}"))
        ours = {many: statistics.median(some) for many, some in taken.items()}
        print(
            f"a new hour of {gpus} GPUs from {DAY:%Y-%m-%d}, derived with all that follows from it:"
        )
        for many, seconds in ours.items():
            print(f"  {seconds:6.2f} CPU-s with {many} days in the lake ({seconds / ours[1]:.2f}x)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("4096", "90")))
