"""Query latency at half a billion samples, beside ClickHouse on the same files: `make bench`.

    python tests/bench/queries.py [GPUs] [hours]     4096 and 24 make 472 million samples

A lake of one day of samples is written under /tmp (in some minutes), derived, asked, and removed;
with FAULTLEDGER_BENCH_LAKE=DIR it is written there, kept, and asked again the next time. Times are
of a warm page cache: medians of interleaved repeats, wall and CPU (of all threads; on a machine
with other work wall times say little), with two threads each. ClickHouse (chdb) has a process of
its own, whose PYTHONPATH is FAULTLEDGER_PEERS. Its `quantiles` draw a reservoir of 8192 values,
as DuckDB's reservoir_quantile does; quantilesExact, quantile_disc and `faultledger quantiles` look
at every value, and the last two must say the same.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from flows import warehouse
from flows.derive import derive
from flows.lake import Lake
from flows.raw_quantiles import raw_quantiles
from transforms.tables import samples

DAY = datetime(2026, 3, 2, tzinfo=UTC)
STEP_S = 15
GPUS_A_NODE = 8


def hour_of_samples(gpus: int, hour: int, seed: int = 1) -> pl.DataFrame:
    """20 metrics of every GPU each 15 s: noisy, slow and quiet ones, as exporters round them."""
    rng = np.random.default_rng(seed * 1000 + hour)
    per_gpu = 3600 // STEP_S
    rows = gpus * per_gpu
    gpu = np.repeat(np.arange(gpus), per_gpu)
    at = np.tile(np.arange(per_gpu, dtype=np.int64) * STEP_S * 1_000_000, gpus)
    busy = np.repeat(rng.random(gpus) < 0.9, per_gpu)

    def noisy(low: float, high: float, width: float, places: int) -> np.ndarray:
        level = np.where(busy, high, low)
        return np.round(level + rng.normal(0, width, rows), places) + 0.0  # no exporter prints -0

    def slow(first: float, step: float) -> np.ndarray:
        steps = rng.choice([-1.0, 0.0, 1.0], (gpus, per_gpu), p=[0.05, 0.9, 0.05]) * step
        return (first + np.cumsum(steps, axis=1)).ravel()

    quiet = np.zeros(rows)
    power = noisy(90, 650, 15, 3)
    energy = np.cumsum((power * STEP_S).reshape(gpus, per_gpu), axis=1).ravel()
    values = {
        "gpu_temp_c": slow(62, 1),
        "memory_temp_c": slow(70, 1),
        "power_w": power,
        "sm_clock_mhz": np.where(rng.random(rows) < 0.95, 1980.0, 1965.0),
        "memory_clock_mhz": np.full(rows, 2619.0),
        "gpu_util_ratio": np.clip(noisy(0, 0.98, 0.01, 2), 0, 1),
        "memory_util_ratio": np.clip(noisy(0, 0.4, 0.05, 2), 0, 1),
        "memory_used_bytes": slow(72_000, 8) * 1048576,
        "energy_j": np.round(energy + hour * 3600 * 700.0 + gpu, 3),
        "tensor_active_ratio": np.clip(noisy(0, 0.45, 0.03, 6), 0, 1),
        "sm_active_ratio": np.clip(noisy(0, 0.8, 0.03, 6), 0, 1),
        "dram_active_ratio": np.clip(noisy(0, 0.5, 0.03, 6), 0, 1),
        "nvlink_tx_bytes_per_s": np.round(np.clip(noisy(0, 2e11, 1e10, 0), 0, None)),
        "pcie_tx_bytes_per_s": np.round(np.clip(noisy(0, 2e9, 1e8, 0), 0, None)),
        "ecc_corrected_volatile": np.repeat(rng.poisson(0.02, gpus), per_gpu).astype(float),
        "ecc_uncorrected_volatile": quiet,
        "pcie_replays": quiet,
        "row_remap_pending": quiet,
        "xid_code": quiet,
        "slowed_by_bits": np.where(busy, 4.0, 1.0),
    }
    names = pl.DataFrame(
        {
            "node": [f"gpu-{n // GPUS_A_NODE:05}" for n in range(gpus)],
            "gpu": [f"GPU-{n:08x}-0000-4000-8000-{n * 2654435761 % 2**48:012x}" for n in range(gpus)],
            "slot": [n % GPUS_A_NODE for n in range(gpus)],
        }
    )  # fmt: skip
    instants = pl.Series(at + int((DAY + timedelta(hours=hour)).timestamp()) * 1_000_000)
    frame = names[gpu].with_columns(
        pl.lit("bench").alias("cluster"),
        pl.lit("").alias("gpu_instance"),
        instants.cast(pl.Datetime("us", "UTC")).alias("observed_at"),
        *(pl.Series(name, column) for name, column in values.items()),
    )
    lacking = [n for n in samples.GPU_SAMPLES.dtypes if n not in frame.columns]
    full = frame.with_columns(pl.lit(None).alias(name) for name in lacking)
    return full.select(pl.col(n).cast(t) for n, t in samples.GPU_SAMPLES.dtypes.items())


GPU_DAY = """SELECT observed_at, power_w, gpu_temp_c FROM gpu_samples
WHERE day = '2026-03-02' AND node = '{node}' AND gpu = '{gpu}' ORDER BY observed_at"""
FLEET_ROLLUP = """SELECT hour_at, p50, p95 FROM fleet_hourly
WHERE metric = 'power_w' AND day = '2026-03-02' ORDER BY hour_at"""
FLEET_EXACT = """SELECT hour, quantile_disc(power_w, [0.5, 0.95]) FROM gpu_samples
WHERE day = '2026-03-02' GROUP BY hour ORDER BY hour"""
FLEET_DRAWN = FLEET_EXACT.replace("quantile_disc", "reservoir_quantile")
PEER_GPU = """SELECT observed_at, power_w, gpu_temp_c FROM file('{files}', Parquet)
WHERE node = '{node}' AND gpu = '{gpu}' ORDER BY observed_at"""
PEER_DRAWN = """SELECT toStartOfHour(observed_at) AS h, quantiles(0.5, 0.95)(power_w)
FROM file('{files}', Parquet) GROUP BY h ORDER BY h"""
PEER_EXACT = PEER_DRAWN.replace("quantiles(", "quantilesExact(")
PEER = """
import sys, time
from chdb import session
clickhouse = session.Session()
clickhouse.query("SET max_threads = 2")
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    clickhouse.query(line.replace(chr(1), chr(10)), "Arrow").bytes()
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
"""
Taken = tuple[float, float]
"""Wall and CPU seconds."""


@contextmanager
def peer() -> Iterator[Callable[[str], Taken] | None]:
    """Asks ClickHouse a question and gives what it took; None where chdb is not installed."""
    place = {"PYTHONPATH": os.environ.get("FAULTLEDGER_PEERS", "")}
    command = [sys.executable, "-c"]
    if subprocess.run(
        [*command, "import chdb"], env=os.environ | place, capture_output=True
    ).returncode:
        print("chdb is not installed, or FAULTLEDGER_PEERS does not name its folder")
        yield None
        return
    process = subprocess.Popen(
        [*command, PEER],
        env=os.environ | place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(sql: str) -> Taken:
        assert process.stdin
        assert process.stdout
        process.stdin.write(sql.replace("\n", chr(1)) + "\n")
        process.stdin.flush()
        wall, cpu = map(float, process.stdout.readline().split())
        return wall, cpu

    try:
        yield ask
    finally:
        process.communicate()


def ask_all(root: Path, repeats: int = 25) -> None:
    lake = Lake(root)
    node, gpu = lake.read(samples.GPU_SAMPLES, DAY, DAY + timedelta(hours=1), ["node", "gpu"]).row(
        -1
    )
    words = {
        "files": f"{lake.folder(samples.GPU_SAMPLES)}/*/*/*.parquet",
        "node": node,
        "gpu": gpu,
    }
    with warehouse.open_warehouse(root) as opened, peer() as clickhouse:
        opened.execute("SET threads = 2")

        def ours(sql: str) -> Taken:
            wall, cpu = time.perf_counter(), time.process_time()
            opened.sql(sql.format(**words)).to_arrow_table()
            return time.perf_counter() - wall, time.process_time() - cpu

        def theirs(sql: str) -> Taken:
            return clickhouse(sql.format(**words)) if clickhouse else (float("nan"),) * 2

        found = medians(
            {
                "one GPU's day, ours": lambda: ours(GPU_DAY),
                "one GPU's day, chdb": lambda: theirs(PEER_GPU),
                "fleet hourly p50 and p95 from rollups": lambda: ours(FLEET_ROLLUP),
            },
            repeats,
        )
        found |= medians(
            {
                "from raw, ours, reservoir_quantile (approximate)": lambda: ours(FLEET_DRAWN),
                "from raw, chdb, quantiles (approximate)": lambda: theirs(PEER_DRAWN),
                "from raw, ours, faultledger quantiles (exact)": lambda: counted(root),
                "from raw, ours, quantile_disc (exact)": lambda: ours(FLEET_EXACT),
                "from raw, chdb, quantilesExact (exact)": lambda: theirs(PEER_EXACT),
            },
            max(5, repeats // 3),
        )
        by_sql = [row[1] for row in opened.sql(FLEET_EXACT.format(**words)).fetchall()]
        told = raw_quantiles(root, "power_w", DAY, DAY + timedelta(days=1))
        assert told.select("p50", "p95").rows() == [tuple(one) for one in by_sql]
    print("  wall ms    CPU ms")
    for name, (wall, cpu) in found.items():
        print(f"{1000 * wall:9.1f} {1000 * cpu:9.1f}  {name}")


def counted(root: Path) -> Taken:
    """The command's own work, from finding the files to the answer; as of all, without its start."""
    wall, cpu = time.perf_counter(), time.process_time()
    raw_quantiles(root, "power_w", DAY, DAY + timedelta(days=1), threads=2)
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(works: dict[str, Callable[[], Taken]], repeats: int) -> dict[str, Taken]:
    """Of each the medians of what it took, interleaved so that a busy machine slows all alike."""
    taken: dict[str, list[Taken]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            taken[name].append(work())
    return {
        name: (statistics.median(w for w, _ in some[1:]), statistics.median(c for _, c in some[1:]))
        for name, some in taken.items()
    }


def make(root: Path, gpus: int, hours: int) -> None:
    lake = Lake(root)
    began = time.process_time()
    for hour in range(hours):
        lake.merge(samples.GPU_SAMPLES, hour_of_samples(gpus, hour))
    print(f"made in {time.process_time() - began:.0f} CPU-s")
    began = time.process_time()
    derive(root)
    print(f"derived in {time.process_time() - began:.0f} CPU-s")


def main(gpus: int, hours: int) -> None:
    kept = os.environ.get("FAULTLEDGER_BENCH_LAKE")
    folder = Path(kept or tempfile.mkdtemp(prefix="faultledger-queries-"))
    root = folder / f"{gpus}-gpus-{hours}-hours"
    try:
        if not (root / "faultledger.duckdb").exists():
            make(root, gpus, hours)
        size = sum(path.stat().st_size for path in Lake(root).files(samples.GPU_SAMPLES))
        count = gpus * hours * 3600 // STEP_S * 20
        print(f"{count / 1e6:.0f} million samples, {size / count:.2f} bytes each")
        ask_all(root)
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("4096", "24")))
