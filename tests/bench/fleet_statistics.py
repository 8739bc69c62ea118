"""Every study put to 100,000 GPUs over two years: 9.1 million node-days, a million incidents.

    python tests/bench/fleet_statistics.py [NODES] [STUDY...]      by default 12500, all studies
    FLEET_LAKE=DIR   keep the made lake there, and take it as it is if it is there already

The fleet is made from a seed and laid down as a lake; each study then reads what it needs from
it, as its command would: reading and answering are timed apart. Wanted: all answers within 60 s
on two cores. Nothing here fails a test.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from large_fleet import QUESTIONS, LargeFleet, asked_of
from large_fleet_records import lay_down

from flows import studying
from flows.errors import CallError, DataError
from flows.lake import Lake
from transforms.coalesce import chains
from transforms.studies import STUDIES

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


def show(name: str, read: float, took: float, used: float, most: float, said: str) -> None:
    print(f"{name:52} {read:8.2f} {took:8.2f} {used:8.2f} {most:8.2f}  {said}", flush=True)


def study(root: Path, name: str, options: dict[str, str]) -> np.ndarray:
    """Seconds to read, seconds and CPU-seconds to answer."""
    asked = asked_of(options)
    read, _, most_read, frames = watched(lambda: studying.frames_of(root, name, asked))

    def work() -> str:
        try:
            return f"{studying.told(name, asked, frames).height} rows"  # type: ignore[arg-type]
        except (CallError, DataError) as error:
            return f"refused: {error}"

    took, used, most, said = watched(work)
    show(" ".join([name, *options.values()]), read, took, used, max(most, most_read), str(said))
    return np.array([read, took, used])


def coalescing(events: int, units: int) -> None:
    rng = np.random.default_rng(1)
    unit = rng.integers(0, units, events)
    at_ms = np.sort(rng.integers(0, DAYS * 86_400_000, events))
    chains(unit, at_ms, 180_000)  # compiled once
    took, used, most, found = watched(lambda: int(chains(unit, at_ms, 180_000).max()) + 1)
    show(f"coalescing {events:,} kernel events", 0, took, used, most, f"{found} chains")


def measure(nodes: int, names: list[str]) -> None:
    fleet = LargeFleet(nodes, DAYS, incidents=80 * nodes)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.environ.get("FLEET_LAKE", folder)) / "lake"
        began = time.monotonic()
        if not root.exists():
            lay_down(fleet, Lake(root))
        print(f"{nodes:,} nodes x {DAYS} days laid down in {time.monotonic() - began:.0f} s")
        print(f"{'study':52} {'read s':>8} {'answer s':>8} {'CPU s':>8} {'peak GB':>8}")
        totals = np.zeros(3)
        for one in STUDIES:
            if not names or one.name in names:
                for options in QUESTIONS.get(one.name, ({},)):
                    totals += study(root, one.name, options)
        show("all studies", *totals, 0, "wanted: answers in 60 s of two cores")
    coalescing(800 * nodes, 8 * nodes)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    measure(int(arguments[0]) if arguments else 12_500, arguments[1:])
