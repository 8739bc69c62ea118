"""What a new hour of samples costs, with one day or ninety in the lake: `make bench`.

    python tests/bench/incremental.py [nodes] [days]     64 and 90

Both lakes hold the same last day; the other days hold the samples of one node, since it is the
number of hours and days that a run must not pay for, but as many arrivals as if every node had
sent a file each hour. Prints the CPU-seconds (user and system) of a whole `ingest` of the hour's
scrapes, one file a node, and of the whole `derive` after it, each in a process of its own with
imports left out. Making the lakes takes some minutes; FAULTLEDGER_BENCH_LAKE=DIR keeps them.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
import scrapes
from queries import DAY, hour_of_samples

from flows.derive import derive
from flows.lake import Lake
from transforms.tables import observed, samples

FIRST = 18
"""The hour of the last day from which on the hours are timed; those before are history."""
RUNS = 5
TIMED = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from flows.derive import derive
from flows.ingest import ingest
from flows.reading import Options
import transforms.sources.scrape_batches, transforms.recipes, duckdb, pyarrow.parquet
root, inbox = Path(sys.argv[1]), Path(sys.argv[2])
began = time.process_time()
assert ingest([inbox], root, Options(), datetime(2026, 3, 3, tzinfo=UTC)).is_fine
taken = time.process_time()
derive(root)
print(taken - began, time.process_time() - taken)
"""


def history(lake: Lake, nodes: int, days: int) -> None:
    """Samples of one node and arrivals of all, up to the hours that are timed."""
    for day in range(days - 1, -1, -1):
        hours = range(24) if day else range(FIRST)
        ago = timedelta(days=day)
        frames = [
            hour_of_samples(scrapes.GPUS, hour).with_columns(pl.col("observed_at") - ago)
            for hour in hours
        ]
        lake.merge(samples.GPU_SAMPLES, pl.concat(frames))
        lake.merge(observed.ARRIVALS, arrivals(nodes, day, len(hours)))
    derive(lake.root)


def arrivals(nodes: int, day: int, hours: int) -> pl.DataFrame:
    """One file of each node and hour, with hashes that no file has."""
    count = nodes * hours
    at = DAY - timedelta(days=day)
    number = pl.int_range(count, eager=True)
    return pl.select(
        sha256=pl.format("xxh3:{}", (number + day * count).hash(day).cast(pl.String)),
        file=pl.format("scrapes/{}-{}.prom", number // nodes, number % nodes),
        source=pl.lit("prometheus_text"),
        bytes=pl.lit(9_000_000),
        records=pl.lit(46_080),
        accepted=pl.lit(46_080),
        rejected=pl.lit(0),
        ignored=pl.lit(0),
        modified=pl.lit(at),
        told=pl.lit(None, pl.String),
        first_seen=pl.lit(at),
    ).select(pl.col(name).cast(kind) for name, kind in observed.ARRIVALS.dtypes.items())


def inbox(folder: Path, nodes: int, hour: int) -> Path:
    """The hour's scrapes, one file a node."""
    place = folder / f"hour-{hour}"
    place.mkdir(parents=True)
    since = DAY + timedelta(hours=hour)
    for node in range(nodes):
        text = scrapes.capture(node, 240, since=since)
        (place / f"node-{node:05}.prom").write_bytes(text)
    return place


def cost(root: Path, scraped: Path) -> tuple[float, float]:
    """CPU-seconds of the ingest of these files and of the derivation after it."""
    command = [sys.executable, "-c", TIMED, str(root), str(scraped)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken, derived = map(float, done.stdout.split()[-2:])
    return taken, derived


def main(nodes: int, days: int) -> None:
    kept = os.environ.get("FAULTLEDGER_BENCH_LAKE")
    folder = Path(tempfile.mkdtemp(prefix="faultledger-incremental-"))
    made = Path(kept) if kept else folder
    try:
        for many in (1, days):
            whole = made / f"{nodes}-nodes-{many}-days"
            if not whole.exists():
                history(Lake(whole), nodes, many)
            shutil.copytree(whole, folder / f"{many}", copy_function=shutil.copy2)
        taken: dict[int, list[tuple[float, float]]] = {1: [], days: []}
        for hour in range(FIRST, FIRST + RUNS + 1):
            scraped = inbox(folder, nodes, hour)
            for many, some in taken.items():
                some.append(cost(folder / f"{many}", scraped))
            shutil.rmtree(scraped)
        show(nodes, {many: some[1:] for many, some in taken.items()})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(nodes: int, taken: dict[int, list[tuple[float, float]]]) -> None:
    print(f"a new hour of {nodes * scrapes.GPUS} GPUs, {len(scrapes.METRICS)} metrics each 15 s:")
    print(f"  {'ingest':>7} {'derive':>7} {'both':>7}   CPU-s, medians")
    first = None
    for many, some in taken.items():
        parts = [statistics.median(one[i] for one in some) for i in (0, 1)]
        both = statistics.median(map(sum, some))
        first = first or both
        print(
            f"  {parts[0]:7.2f} {parts[1]:7.2f} {both:7.2f}   with {many} days in the lake ({both / first:.2f}x)"
        )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("64", "90")))
