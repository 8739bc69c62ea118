"""How fast and in how much memory big texts are read: sacct rows and kernel log lines.

    python tests/bench/sources.py [MILLIONS...]      by default 1

Each text is generated from a seed. Parsing is timed in CPU-seconds (median of three) beside
`polars.read_csv` of the same bytes as plain text; ingest runs in a process of its own, whose
greatest memory is told. Nothing here fails a test.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from transforms.sources.base import Origin, Source
from transforms.sources.kernel_log import SOURCE as KERNEL
from transforms.sources.slurm_sacct import SOURCE as SACCT

ORIGIN = Origin(file="bench", modified=datetime(2026, 6, 1, tzinfo=UTC))
BEGAN_S = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
DAYS = 90
STEP = 1_000_000
HOST_COUNT = 12_500
STATES = ["COMPLETED"] * 80 + ["FAILED"] * 9 + ["CANCELLED by 1001"] * 6 + ["TIMEOUT"] * 3
STATES += ["NODE_FAIL", "OUT_OF_MEMORY"]
CHATTER = [
    "usb 1-1: new high-speed USB device number {n} using xhci_hcd",
    'audit: type=1400 audit(1772446504.120:{n}): apparmor="ALLOWED" operation="open" pid={n}',
    "mlx5_core 0000:1a:00.0 eth0: XDP enabled, queue {n}",
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth{n}: link becomes ready",
    "docker0: port {n}(veth1a2b3c) entered forwarding state",
    "perf: interrupt took too long ({n} > 2500), lowering kernel.perf_event_max_sample_rate",
]
FAULTS = [
    "NVRM: Xid (PCI:0000:3b:00): 79, pid={n}, GPU has fallen off the bus.",
    "NVRM: Xid (PCI:0000:9b:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: {n}",
    "mlx5_core 0000:1a:00.0: Port module event: module {n}, Cable unplugged",
    "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (page:0x{n})",
]


def stamps(seconds: pl.Expr, form: str = "%Y-%m-%dT%H:%M:%S") -> pl.Expr:
    return pl.from_epoch(seconds).dt.strftime(form)


def sacct_rows(first: int, rows: int, whole: int) -> bytes:
    """Rows in the order of submission, over DAYS days."""
    rng = np.random.default_rng(first + 1)
    number = np.arange(first, first + rows)
    nodes = rng.choice([1, 1, 1, 2, 4, 8, 16, 64], rows)
    host = rng.integers(0, HOST_COUNT - 64, rows)
    raw = pl.DataFrame(
        {
            "id": number + 1_000_000,
            "submit": BEGAN_S + number * (DAYS * 86_400) // whole,
            "wait": rng.integers(0, 7_200, rows),
            "lasted": rng.integers(20, 90_000, rows),
            "user": rng.integers(0, 400, rows),
            "state": pl.Series(STATES).gather(rng.integers(0, len(STATES), rows)),
            "nodes": nodes,
            "host": host,
        }
    )
    n, last = pl.col("nodes"), pl.col("host") + pl.col("nodes") - 1
    pad = lambda number: number.cast(pl.String).str.zfill(5)  # noqa: E731
    hosts = pl.when(n == 1).then(pl.format("gpu{}", pad(pl.col("host")))).otherwise(
        pl.format("gpu[{}-{}]", pad(pl.col("host")), pad(last))
    )  # fmt: skip
    start = pl.col("submit") + pl.col("wait")
    told = raw.select(
        JobID=pl.col("id"),
        Cluster=pl.lit("alpha"),
        User=pl.format("user{}", "user"),
        Account=pl.format("lab{}", pl.col("user") // 8),
        Partition=pl.lit("batch"),
        JobName=pl.format("train-{}-{}", "user", pl.col("id") % 977),
        Submit=stamps(pl.col("submit")),
        Eligible=stamps(pl.col("submit")),
        Start=stamps(start),
        End=stamps(start + pl.col("lasted")),
        State="state",
        ExitCode=pl.when(pl.col("state") == "FAILED").then(pl.lit("1:0")).otherwise(pl.lit("0:0")),
        NNodes="nodes",
        NodeList=hosts,
        AllocTRES=pl.format(
            "billing={},cpu={},gres/gpu={},mem={}G,node={}", n * 96, n * 96, n * 8, n * 960, n
        ),
        Timelimit=pl.lit("2-00:00:00"),
    )
    text = told.write_csv(separator="|", include_header=first == 0, quote_style="never")
    return text.encode()


def kernel_lines(first: int, rows: int, whole: int) -> bytes:
    """Lines of all hosts as a log collector gets them; one in a hundred is a fault or its sign."""
    rng = np.random.default_rng(first + 2)
    number = np.arange(first, first + rows)
    is_fault = rng.random(rows) < 0.01
    which = np.where(
        is_fault,
        len(CHATTER) + rng.integers(0, len(FAULTS), rows),
        rng.integers(0, len(CHATTER), rows),
    )
    raw = pl.DataFrame(
        {
            "us": BEGAN_S * 1_000_000 + number * (DAYS * 86_400_000_000 // whole),
            "host": rng.integers(0, HOST_COUNT, rows),
            "said": pl.Series(CHATTER + FAULTS).gather(which),
            "n": rng.integers(1000, 99_999, rows).astype(str),
        }
    )
    at = pl.from_epoch("us", "us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
    said = pl.col("said").str.replace("{n}", pl.col("n"), literal=True)
    host = pl.col("host").cast(pl.String).str.zfill(5)
    lines = raw.select(pl.format("{} gpu{} kernel: {}", at, host, said).alias("line"))
    return ("\n".join(lines["line"]) + "\n").encode()


TEXTS: dict[Source, tuple[Callable[[int, int, int], bytes], str]] = {
    SACCT: (sacct_rows, "|"),
    KERNEL: (kernel_lines, "\x01"),
}


def cpu_s(work: Callable[[], object], runs: int = 3) -> float:
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def ingest_alone(path: Path, lake: Path) -> tuple[float, float, float]:
    """(CPU-seconds, seconds, greatest memory in GB) of one ingest in a process of its own."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # Not ru_maxrss: that of a child begins with what its parent held.
    call = "from flows.cli import main\n"
    call += "try: main()\nfinally: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    command = [sys.executable, "-c", call, "ingest", str(path), "--lake", str(lake), "--plain"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used_s, time.monotonic() - began, int(told.split()[-1]) / 1e6


def measure(millions: int) -> None:
    rows = millions * STEP
    for source, (make, separator) in TEXTS.items():
        sample = make(0, STEP, rows)
        ours = cpu_s(
            lambda data=sample, by=source: by.parse(data, ORIGIN), 1 if millions > 1 else 3
        )
        csv = cpu_s(
            lambda data=sample, by=separator: pl.read_csv(
                data, separator=by, infer_schema=False, quote_char=None
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{source.name}.txt"
            with path.open("wb") as file:
                for first in range(0, rows, STEP):
                    file.write(make(first, STEP, rows))
            used_s, took_s, most_gb = ingest_alone(path, Path(folder) / "lake")
            size_gb = path.stat().st_size / 1e9
        print(
            f"{source.name:12} {rows:>11,} {size_gb:8.2f} {STEP / ours / 1e6:8.2f} "
            f"{STEP / csv / 1e6:9.2f} {rows / used_s / 1e6:9.2f} {took_s:8.0f} {most_gb:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    print("million rows per CPU-second: parse alone, read_csv of the same bytes, ingest whole")
    heads = ("rows", "GB", "parse", "read_csv", "ingest", "took s", "peak GB")
    print("{:12} {:>11} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8}".format("source", *heads))
    for asked in map(int, sys.argv[1:] or ["1"]):
        measure(asked)
