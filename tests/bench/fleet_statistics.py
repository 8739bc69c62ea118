"""Every study put to 100,000 GPUs over two years: 9.1 million node-days, a million incidents.

    python tests/bench/fleet_statistics.py [NODES] [STUDY...]      by default 12500, all studies

The fleet is made from a seed and laid down as a lake; each study then reads what it needs from
it, as its command would. Wanted: all of them within 60 s on two cores. Nothing here fails a test.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from large_fleet import QUESTIONS, LargeFleet, lay_down

from flows import studying
from flows.errors import CallError, DataError
from flows.lake import Lake
from transforms.coalesce import chains
from transforms.studies import STUDIES, Asked

DAYS = 730


def watched(work: Callable[[], object]) -> tuple[float, float, float, object]:
    """(seconds, CPU-seconds, greatest GB in memory, what came out)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the greatest so far
    began, before = time.monotonic(), time.process_time()
    done = work()
    took, used = time.monotonic() - began, time.process_time() - before
    return took, used, _most_gb(), done


def _most_gb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def show(name: str, took: float, used: float, most: float, said: str) -> None:
    print(f"{name:44} {took:8.2f} {used:8.2f} {most:8.2f}  {said}", flush=True)


def study(root: Path, name: str, options: dict[str, str]) -> tuple[float, float]:
    def work() -> str:
        try:
            return f"{studying.answer(root, name, Asked(options=options)).height} rows"
        except (CallError, DataError) as error:
            return f"refused: {error}"

    took, used, most, said = watched(work)
    show(" ".join([name, *options.values()]), took, used, most, str(said))
    return took, used


def coalescing(events: int, units: int) -> None:
    rng = np.random.default_rng(1)
    unit = rng.integers(0, units, events)
    at_ms = np.sort(rng.integers(0, DAYS * 86_400_000, events))
    chains(unit, at_ms, 180_000)  # compiled once
    took, used, most, found = watched(lambda: int(chains(unit, at_ms, 180_000).max()) + 1)
    show(f"coalescing {events:,} kernel events", took, used, most, f"{found} chains")


def measure(nodes: int, names: list[str]) -> None:
    fleet = LargeFleet(nodes, DAYS, incidents=80 * nodes)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        began = time.monotonic()
        lay_down(fleet, Lake(root))
        print(f"{nodes:,} nodes x {DAYS} days laid down in {time.monotonic() - began:.0f} s")
        print(f"{'study':44} {'took s':>8} {'CPU s':>8} {'peak GB':>8}")
        totals = np.zeros(2)
        for one in STUDIES:
            if not names or one.name in names:
                for options in QUESTIONS.get(one.name, ({},)):
                    totals += study(root, one.name, options)
        show("all studies, reading included", *totals, 0, "wanted: 60 s")
    coalescing(800 * nodes, 8 * nodes)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    measure(int(arguments[0]) if arguments else 12_500, arguments[1:])
