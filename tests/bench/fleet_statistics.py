"""Every study put to 100,000 GPUs over two years: 9.1 million node-days, a million incidents.

    python tests/bench/fleet_statistics.py [NODES] [STUDY...]      by default 12500, all studies
    FLEET_LAKE=DIR   keep the made lake there, and take it as it is if it is there already

The fleet is made from a seed and laid down as a lake, which is not counted. Two workers of one
core each then take question after question, the longest first: one those about logs, so that logs
are read by one alone, the other the rest, and who is done helps the other. Each reads what its
questions need once, reading counted. Wanted: all answers within 60 s of two cores. Nothing here
fails a test.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

WORKERS = 2
OF_LOGS = ("domains", "precursors", "detectors", "blast", "coalescing")
"""What one worker begins with: it reads the records of machines, and members of incidents."""
FIRST = (
    "domains",
    "precursors",
    "suspects",
    "detectors",
    "changes",
    "rates",
    "survival",
    "slots",
    "relapses",
)
"""The longest, so that no worker is left waiting for the other's last."""

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DAYS = 730


def cpu_seconds() -> float:
    return time.process_time()


def most_gb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(seconds, CPU-seconds, what came out)."""
    began, before = time.monotonic(), cpu_seconds()
    done = work()
    return time.monotonic() - began, cpu_seconds() - before, done


def worker(root: Path, nodes: int, lists: list[Any], answers: Any) -> None:
    """Answer what is on the lists, one after the other, until all are empty."""
    from large_fleet import asked_of

    from flows import studying
    from flows.errors import CallError, DataError

    held: studying.Held = {}
    while lists:
        try:
            name, options = lists[0].get(timeout=0.2)
        except Empty:
            lists = lists[1:]
            continue
        asked = asked_of(options)

        def answer() -> str:
            try:
                return f"{studying.told(name, asked, frames).height} rows"  # noqa: B023
            except (CallError, DataError) as error:
                return f"refused: {error}"

        if name == "coalescing":
            made = events_and_jobs(800 * nodes, 8 * nodes)
            read, (took, used, said) = (0.0, 0.0), timed(lambda: coalesced(*made))  # noqa: B023
        else:
            *read, frames = timed(lambda: studying.frames_of(root, name, asked, held))  # noqa: B023
            took, used, said = timed(answer)
        answers.put((" ".join([name, *options.values()]), *read, took, used, most_gb(), said))


def events_and_jobs(events: int, units: int) -> tuple[Any, Any, Any, Any]:
    """Units and instants of two years of kernel events, and of as many jobs' starts; not counted."""
    import numpy as np

    rng = np.random.default_rng(1)
    unit, units_of = (rng.integers(0, units, events) for _ in range(2))
    at, began = (np.sort(rng.integers(0, DAYS * 86_400_000, events)) for _ in range(2))
    return unit, at, units_of, began


def coalesced(unit: Any, at: Any, units_of: Any, began: Any) -> str:
    """Kernel events to chains, and each to the job that last began on its unit."""
    from transforms.coalesce import chains, latest_before

    found = int(chains(unit, at, 180_000).max()) + 1
    jobs = int((latest_before(unit, at, units_of, began) >= 0).sum())
    return f"{len(at):,} events: {found:,} chains, {jobs:,} in a job"


def asked_in_order(names: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    from large_fleet import QUESTIONS

    from transforms.studies import STUDIES

    every = ["coalescing", *(one.name for one in STUDIES)]
    ranked = sorted(every, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    for name in ranked:
        if not names or name in names:
            for options in QUESTIONS.get(name, ({},)):
                yield name, options


def lay(nodes: int, root: Path) -> None:
    """All of its tables, or those that a lake laid by an earlier version lacks."""
    from large_fleet import LargeFleet
    from large_fleet_records import lay_down
    from large_fleet_training import lay_beside

    from flows.lake import Lake

    is_there = root.exists()
    (lay_beside if is_there else lay_down)(
        LargeFleet(nodes, DAYS, incidents=80 * nodes), Lake(root)
    )


def measure(nodes: int, names: list[str]) -> None:
    # A worker has one core, and keeps the memory that it once got.
    os.environ |= {"POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    os.environ["_RJEM_MALLOC_CONF"] = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
    spawned = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.environ.get("FLEET_LAKE", folder)) / "lake"
        began = time.monotonic()
        lay(nodes, root)
        print(f"{nodes:,} nodes x {DAYS} days laid down in {time.monotonic() - began:.0f} s")
        todo = list(asked_in_order(names))
        of_logs, others, answers = (spawned.Queue() for _ in range(3))
        began = time.monotonic()
        for question in todo:
            (of_logs if question[0] in OF_LOGS else others).put(question)
        workers = [
            spawned.Process(target=worker, args=(root, nodes, lists, answers))
            for lists in ([of_logs, others], [others, of_logs])
        ]
        for one in workers:
            one.start()
        print(
            f"{'study':46} {'read s':>7} {'CPU s':>7} {'answer s':>8} {'CPU s':>7} {'peak GB':>7}"
        )
        used = 0.0
        for _ in todo:
            told, *figures, most, said = answers.get(timeout=600)
            used += figures[1] + figures[3]
            print(f"{told:46} {figures[0]:7.2f} {figures[1]:7.2f} {figures[2]:8.2f} {figures[3]:7.2f} {most:7.2f}  {said}", flush=True)  # fmt: skip
        whole = time.monotonic() - began
        for one in workers:
            one.join()
    print(
        f"{len(todo)} questions: {whole:.1f} s, {used:.1f} CPU-s (on {WORKERS} cores of their own "
        f"{used / WORKERS:.1f} s); wanted: 60 s"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    measure(int(arguments[0]) if arguments else 12_500, arguments[1:])
