"""Scrapes of a fleet to a lake that can be asked, beside what else could be used: `make bench`.

    python tests/bench/telemetry.py [nodes] [scrapes] [runs] [times]     64, 240, 3 and 4

One hour of nodes of eight GPUs, 24 metrics each 15 s, as dcgm-exporter prints them. Every tool
gets the same bytes, each in a process of its own below this one, from files that were just written
and are in memory. CPU-seconds are of the process and its children, user and system, medians.

Ours is all that `faultledger ingest` does into a lake that is empty: finding the files, knowing
them by a digest, reading, checking, sorting, encoding, flushing to the disk, arrivals, warehouse.
"all" counts the whole process from its first import to its exit. "beyond the start" is what more
files take than one does: without imports, loading of compiled loops and the warehouse of an empty
lake, as a service has it that runs on. A peer server's own start is left out as well.
Then the same nodes are read for `times` as long, and for `times` times that, to see that memory and
cost per sample do not grow with the input; 1 leaves this out. Of 64 nodes that is 10 GB of text.
Bytes per sample are of the data files: ours as Parquet, VictoriaMetrics' after a forced merge,
whose time is not counted, Prometheus' block with its index. The samples of one node in a process
are told to prometheus_client, ten scrapes of them, and of eight nodes to Prometheus: per sample it
is the same for any number. Peers that are not installed are left out, and said so.
"""

import gzip
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import scrapes

PORT = 28_428
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""What an installed program has: its modules are compiled once, not at each start."""
EPOCH_MS = int(scrapes.BEGAN.timestamp() * 1000)
PARSED = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from transforms.sources.base import Origin
from transforms.sources.scrape_batches import Scrapes
at = datetime(2026, 3, 2, tzinfo=UTC)
texts = [(path.read_bytes(), Origin(path.name, at)) for path in sorted(Path(sys.argv[1]).iterdir())]
Scrapes().read([(texts[0][0][:200_000].rpartition(b"# scraped_at")[0], texts[0][1])])  # compiled
began = time.process_time()
Scrapes().read(texts)
print(time.process_time() - began)
"""
CLIENT = """
import sys, time
from pathlib import Path
from prometheus_client.parser import text_string_to_metric_families
text = sorted(Path(sys.argv[1]).iterdir())[0].read_text()
began, count = time.process_time(), 0
for scrape in text.split("# scraped_at: ")[1:11]:
    for family in text_string_to_metric_families(scrape.partition("\\n")[2]):
        count += len(family.samples)
print((time.process_time() - began) / count)
"""
POLARS = """
import sys, polars as pl
lines = pl.scan_csv(sys.argv[1] + "/*", separator="\\x01", has_header=False, quote_char=None,
                    new_columns=["line"]).with_row_index()
mark = pl.col("line").str.extract("^# scraped_at: (.*)Z$").str.to_datetime("%Y-%m-%dT%H:%M:%S")
part = pl.col("line").str.extract_groups('^(?<name>[A-Z_]+).*gpu="(?<gpu>[0-9]+)".*Hostname="(?<node>[^"]+)".*[}] (?<value>.*)$')
told = lines.with_columns(mark.forward_fill().alias("at"), part.alias("p")).unnest("p").filter(pl.col("name").is_not_null())
told.select("at", "name", "node", "gpu", pl.col("value").cast(pl.Float64)).sink_parquet(sys.argv[2] + "/long.parquet")
"""
DUCKDB = """
import sys, duckdb
at = duckdb.connect(); at.execute("SET threads = 2")
at.execute(f'''COPY (SELECT last_value(m IGNORE NULLS) OVER (ORDER BY n) AS at, x.* FROM (
    SELECT row_number() OVER () AS n, line, regexp_extract(line, '^# scraped_at: (.*)$', 1) AS mark,
        CASE WHEN mark <> '' THEN mark::TIMESTAMPTZ END AS m,
        regexp_extract(line, '^([A-Z_]+).*gpu="([0-9]+)".*Hostname="([^"]+)".*[}}] (.*)$', ['name', 'gpu', 'node', 'value']) AS x
    FROM read_csv('{sys.argv[1]}/*', columns={{'line': 'VARCHAR'}}, delim='\\x01', quote='', escape='', header=false))
    QUALIFY x.name <> '') TO '{sys.argv[2]}/long.parquet' (COMPRESSION zstd)''')
"""
CHDB = """
import sys
from chdb import session
at = session.Session(); at.query("SET max_threads = 2")
at.query(f'''INSERT INTO FUNCTION file('{sys.argv[2]}/long.parquet', Parquet)
    SELECT extract(line, '^([A-Z_]+)') AS name, extract(line, 'gpu="([0-9]+)"') AS gpu,
        extract(line, 'Hostname="([^"]+)"') AS node, toFloat64(extract(line, '[}}] (.*)$')) AS value
    FROM file('{sys.argv[1]}/*', LineAsString) WHERE startsWith(line, 'DCGM')''')
"""


@dataclass(frozen=True)
class Cost:
    """CPU-seconds, bytes written and peak memory (MiB) of one tool."""

    seconds: float
    size: int = 0
    peak: float = 0.0


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(command: list[str], output: Path | None = None) -> Cost:
    """One process and its children: what they took, and what they left in `output`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    reads, writes = os.pipe()
    process = subprocess.Popen([*command], stdout=subprocess.DEVNULL, stderr=writes, env=INSTALLED)
    os.close(writes)
    said = b"".join(iter(lambda: os.read(reads, 65_536), b""))
    os.close(reads)
    _, status, spent = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:2]} failed: {said.decode(errors='replace')[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, size_of(output) if output else 0, spent.ru_maxrss / 1024)


def python(code: str, *words: Path) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


def printed(command: list[str]) -> float:
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def ours(inbox: Path, root: Path) -> Cost:
    """The whole of `faultledger ingest`: text files to a lake, warehouse included."""
    command = ["-m", "flows", "ingest", str(inbox), "--lake", str(root)]
    cost = timed([sys.executable, *command])
    return Cost(cost.seconds, size_of(root / "observed" / "gpu_samples"), cost.peak)


def victoria(stamped: Path, root: Path) -> Cost:
    """Ingest over loopback, then a forced merge, which is not counted as time."""
    command = [
        *("victoria-metrics", f"-storageDataPath={root}", f"-httpListenAddr=127.0.0.1:{PORT}"),
        *("-retentionPeriod=100y", "-loggerLevel=ERROR"),
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                _ask("health")
                break
            except OSError:
                time.sleep(0.1)
        began = _spent(server.pid)
        for path in sorted(stamped.iterdir()):
            _ask("api/v1/import/prometheus", path.read_bytes())
        _ask("internal/force_flush")
        seconds = _spent(server.pid) - began
        peak = _peak(server.pid)
        _ask("internal/force_merge")
        time.sleep(2)
        while "merge" in (said := _ask("metrics")) and _merging(said):
            time.sleep(0.5)
        return Cost(seconds, size_of(root / "data"), peak)
    finally:
        server.terminate()
        server.wait()


def _merging(metrics: str) -> bool:
    return any(
        line.startswith("vm_active_merges") and not line.endswith(" 0")
        for line in metrics.splitlines()
    )


def _ask(path: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{path}", body, 120) as answer:
        return str(answer.read().decode())


def _spent(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    said = Path(f"/proc/{pid}/status").read_text().split()
    return int(said[said.index("VmHWM:") + 1]) / 1024


def prometheus(openmetrics: Path, root: Path) -> Cost:
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q"]
    return timed([*command, str(openmetrics), str(root)], root)


def write_inputs(folder: Path, nodes: int, count: int) -> None:
    """The same samples as marked captures, packed ones, stamped text and OpenMetrics."""
    for name in ("plain", "gzip", "stamped"):
        (folder / name).mkdir()
    families: dict[str, list[str]] = {name: [] for name, *_ in scrapes.METRICS}
    stamps = [EPOCH_MS + 1000 * scrapes.STEP_S * i for i in range(count)]
    with (folder / "openmetrics").open("w") as merged:
        for node in range(nodes):
            text = scrapes.capture(node, count)
            (folder / "plain" / f"node-{node:04}.prom").write_bytes(text)
            (folder / "gzip" / f"node-{node:04}.prom.gz").write_bytes(gzip.compress(text, 6))
            stamped = b"".join(scrapes.texts(node, count, stamps=stamps))
            (folder / "stamped" / f"{node}").write_bytes(stamped)
            for line in stamped.decode().splitlines():
                if line.startswith("DCGM") and node < PROMETHEUS_NODES:
                    head, _, stamp = line.rpartition(" ")
                    name = head[len("DCGM_FI_") : head.index("{")]
                    families[name].append(f"{head} {int(stamp) / 1000:.3f}\n")
        for name, lines in families.items():
            merged.write(f"# TYPE DCGM_FI_{name} gauge\n")
            merged.writelines(lines)
        merged.write("# EOF\n")


PROMETHEUS_NODES = 8  # its text must be in one file by family, and it takes long: a part is enough


def median(run: Callable[[Path], Cost], runs: int, folder: Path) -> Cost:
    found = []
    for i in range(runs):
        out = folder / f"out-{i}"
        out.mkdir()
        try:
            found.append(run(out))
        finally:
            shutil.rmtree(out)
    return Cost(
        statistics.median(one.seconds for one in found), found[-1].size, max(o.peak for o in found)
    )


def grown(
    plain: Path, folder: Path, nodes: int, count: int, times: int, runs: int
) -> list[tuple[int, Cost]]:
    """What `times` and `times` squared the input take: later stretches of the same nodes."""
    more = folder / "more"
    more.mkdir()
    for path in plain.iterdir():
        os.link(path, more / f"000-{path.name}")
    told = []
    for whole in (times, times * times):
        for hour in range(1 if whole == times else times, whole):
            since = scrapes.BEGAN + timedelta(seconds=scrapes.STEP_S * count * hour)
            for node in range(nodes):
                text = scrapes.capture(node, count, hour, since)
                (more / f"{hour:03}-node-{node:04}.prom").write_bytes(text)
        os.sync()
        told.append((whole, median(lambda out: ours(more, out), runs, folder)))
    shutil.rmtree(more)
    return told


def show_growth(
    first: Cost, told: list[tuple[int, Cost]], samples: int, peers: dict[str, float]
) -> None:
    """All of ours, start included; `peers` take so many CPU-seconds a sample, of any number."""
    heads = "".join(f" {f'x {name}':>19}" for name in peers)
    print(f"\n{'input':>6} {'M samples':>10} {'CPU-s':>8} {'M/CPU-s':>8} {'peak MiB':>9}{heads}")
    for times, cost in [(1, first), *told]:
        each = cost.seconds / samples / times
        ratios = "".join(f" {theirs / each:19.1f}" for theirs in peers.values())
        print(
            f"{times:5}x {samples * times / 1e6:10.1f} {cost.seconds:8.2f} {1e-6 / each:8.2f} "
            f"{cost.peak:9.0f}{ratios}"
        )


def main(nodes: int = 64, count: int = 240, runs: int = 3, times: int = 4) -> None:
    folder = Path(tempfile.mkdtemp(prefix="faultledger-telemetry-"))
    whole = nodes * count * scrapes.SAMPLES
    part = min(nodes, PROMETHEUS_NODES) * count * scrapes.SAMPLES
    try:
        write_inputs(folder, nodes, count)
        plain, packed = folder / "plain", folder / "gzip"
        os.sync()  # else what is timed shares the machine with the writing of these
        print(f"{nodes * scrapes.GPUS} GPUs, {count} scrapes: {whole / 1e6:.1f} million samples,")
        print(f"{size_of(plain) / 1e6:.0f} MB of text, {size_of(packed) / 1e6:.0f} MB packed")
        parsed = statistics.median(printed(python(PARSED, plain)) for _ in range(runs))
        fixed = median(lambda out: ours(_first(plain, folder), out), runs, folder)
        text = median(lambda out: ours(plain, out), runs, folder)
        zipped = median(lambda out: ours(packed, out), runs, folder)
        beyond = whole - count * scrapes.SAMPLES
        rows = [
            ("ours, parsing alone", whole, Cost(parsed)),
            ("ours, text files, beyond the start", beyond, Cost(text.seconds - fixed.seconds)),
            ("ours, gzip files, beyond the start", beyond, Cost(zipped.seconds - fixed.seconds)),
            ("ours, text files to the lake, all", whole, text),
            ("ours, gzip files to the lake, all", whole, zipped),
        ]
        print(
            f"a start of ours with one file takes {fixed.seconds:.2f} CPU-s and {fixed.peak:.0f} MiB of what follows"
        )
        one = printed(python(CLIENT, plain))
        rows.append(("prometheus_client, parsing alone", whole, Cost(one * whole)))
        peers: list[tuple[str, str, int, Callable[[Path], Cost]]] = [
            ("VictoriaMetrics, text import", "victoria-metrics", whole, lambda out: victoria(folder / "stamped", out)),
            ("Prometheus, openmetrics to blocks", "promtool", part, lambda out: prometheus(folder / "openmetrics", out)),
        ]  # fmt: skip
        for name, binary, samples, run in peers:
            if shutil.which(binary):
                rows.append((name, samples, median(run, runs, folder)))
            else:
                print(f"{name}: {binary} is not installed")
        for name, code in (("Polars", POLARS), ("DuckDB", DUCKDB), ("chdb", CHDB)):
            if find_spec(name.lower()) is None:
                print(f"{name} is not installed")
                continue
            run = lambda out, code=code: timed(python(code, plain, out), out)  # noqa: E731
            rows.append(
                (f"{name}, regular expressions to long Parquet", whole, median(run, 1, folder))
            )
        show(rows)
        if times > 1:
            shutil.rmtree(packed)
            each = {name: cost.seconds / samples for name, samples, cost in rows}
            peers_of = {
                name.partition(",")[0]: taken
                for name, taken in each.items()
                if name.startswith(("prometheus_client", "VictoriaMetrics"))
            }
            show_growth(text, grown(plain, folder, nodes, count, times, runs), whole, peers_of)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _first(plain: Path, folder: Path) -> Path:
    only = folder / "first"
    if not only.exists():
        only.mkdir()
        shutil.copy(min(plain.iterdir()), only)
    return only


def show(rows: list[tuple[str, int, Cost]]) -> None:
    base = rows[1][2].seconds / rows[1][1]
    print(f"{'':44} {'M/CPU-s':>8} {'ours is':>8} {'B/sample':>9} {'peak MiB':>9}")
    for name, samples, cost in rows:
        size = f"{cost.size / samples:.2f}" if cost.size else ""
        peak = f"{cost.peak:.0f}" if cost.peak else ""
        ratio = cost.seconds / samples / base
        print(f"{name:44} {samples / cost.seconds / 1e6:8.3f} {ratio:7.1f}x {size:>9} {peak:>9}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
