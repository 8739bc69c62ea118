"""One scrape of ten million lines to the lake: what it costs, and that it stays in memory.

    python tests/bench/enormous.py [lines] [kind, by its number from 1]...     10000000, all

Four kinds: GPUs of a fleet behind one exporter, a GPU in each line, one unknown metric with as many
label texts, as many unknown names. Each is one file below one mark, taken in by a process of its
own, together with the capture of a sound node of which nothing may be lost. Prints what became of
it, CPU-seconds and peak memory, which is to stay below 2 GiB.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import scrapes

MARK = b"# scraped_at: 2026-03-02T00:00:00Z\n"
MOST_MIB = 2048
TAKEN = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from flows.ingest import ingest
from flows.reading import Options
began = time.process_time()
report = ingest([Path(sys.argv[1])], Path(sys.argv[2]), Options(), datetime(2026, 3, 3, tzinfo=UTC))
files = {file.file: file for file in report.files}
assert files["node.prom"].accepted == int(sys.argv[3]), files["node.prom"]
file = files["enormous.prom"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
what = f"{file.accepted:,} accepted, {file.rejected:,} rejected, {file.ignored:,} unknown"
why = "; ".join(file.reasons) if file.status == "refused" else what
print(f"{time.process_time() - began:9.1f} {peak:9,}  {file.status}: {why}")
if peak > int(sys.argv[4]):
    raise SystemExit(f"more than {sys.argv[4]} MiB")
"""


def fleet(lines: int) -> Iterator[bytes]:
    for name, value in (("GPU_TEMP", 61), ("POWER_USAGE", 655), ("SM_CLOCK", 1980), ("FB_USED", 7)):
        yield b"# TYPE DCGM_FI_DEV_%b gauge\n" % name.encode()
        for i in range(lines // 4):
            yield b'DCGM_FI_DEV_%b{gpu="%d",UUID="GPU-%08d",Hostname="n-%05d"} %d\n' % (
                *(name.encode(), i % 8, i, i // 8, value),
            )


def gpus(lines: int) -> Iterator[bytes]:
    for i in range(lines):
        yield b'DCGM_FI_DEV_GPU_TEMP{gpu="%d",UUID="GPU-%08d",Hostname="n-%05d"} 61\n' % (
            *(i % 8, i, i // 8),
        )


def paths(lines: int) -> Iterator[bytes]:
    for i in range(lines):
        yield b'app_requests_total{path="/v1/%d",pod="app-%05d"} %d\n' % (i, i % 1000, i)


def names(lines: int) -> Iterator[bytes]:
    for i in range(lines):
        yield b"app_request_%d_total 1\n" % i


KINDS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "four metrics of each GPU": fleet,
    "a GPU in each line": gpus,
    "labels nobody knows": paths,
    "names nobody knows": names,
}


def main(lines: int, *numbers: int) -> None:
    print(f"a scrape of {lines:,} lines\n    CPU-s  peak MiB")
    failed = []
    for number, (kind, written) in enumerate(KINDS.items(), start=1):
        if numbers and number not in numbers:
            continue
        folder = Path(tempfile.mkdtemp(prefix="faultledger-enormous-"))
        try:
            (folder / "in").mkdir()
            (folder / "in" / "node.prom").write_bytes(scrapes.capture(1, 4))
            with (folder / "in" / "enormous.prom").open("wb") as file:
                file.write(MARK)
                file.writelines(written(lines))
            command = [sys.executable, "-c", TAKEN, str(folder / "in"), str(folder / "lake")]
            limits = [str(4 * scrapes.SAMPLES), str(MOST_MIB)]
            print(f"{kind}:")
            sys.stdout.flush()
            if subprocess.run([*command, *limits]).returncode:
                failed.append(kind)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        raise SystemExit(f"not as it should be: {', '.join(failed)}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:] or ("10000000",)))
