"""What the GPUs of a few nodes measured around planted failures, minute by minute.

Load follows the jobs; on top lie the planted early signs. A board that fell off the bus gives no
more samples.
"""

from dataclasses import dataclass

import numpy as np

from transforms.simulate.history import History, Incident
from transforms.simulate.moments import MINUTE, stream

AFTER = 12 * MINUTE


@dataclass(frozen=True)
class Slice:
    """One node over one stretch: `values[metric]` is (times, GPUs); `alive` where a board answers."""

    node: int
    times: np.ndarray
    values: dict[str, np.ndarray]
    alive: np.ndarray


def telemetry_slices(history: History) -> list[Slice]:
    """The stretches before the failures that announce themselves best, one per node."""
    scenario = history.scenario
    signs: dict[int, int] = {}
    for precursor in history.precursors:
        signs[precursor.incident] = signs.get(precursor.incident, 0) + 1
    incidents = [i for i in history.incidents if i.number in signs and i.interrupted]
    incidents.sort(key=lambda i: (-signs[i.number] - 2 * (i.mode.name == "gpu_lost"), i.began))
    chosen: dict[int, Incident] = {}
    for incident in incidents:
        if len(chosen) < scenario.telemetry_nodes - 1:
            chosen.setdefault(incident.nodes[0], incident)
    slices = [_slice(history, node, incident.began) for node, incident in chosen.items()]
    if chosen:
        quiet = next(n for n in range(scenario.main_nodes) if n not in chosen)
        slices.append(_slice(history, quiet, next(iter(chosen.values())).began))
    return slices


def _slice(history: History, node: int, failed_at: int) -> Slice:
    scenario = history.scenario
    first = max(failed_at - scenario.telemetry_ms, scenario.began) // scenario.scrape_ms + 1
    last = (min(failed_at + AFTER, scenario.ends - 1)) // scenario.scrape_ms
    offset = node * 7_919 % 60_000  # exporters are not scraped in unison
    times = np.arange(first, last) * scenario.scrape_ms + offset
    rng = stream(scenario.seed, "telemetry", node)
    shape = (len(times), scenario.gpus_per_node)
    busy = _busy(history, node, times)[:, None]
    load = np.where(busy, rng.normal(0.96, 0.015, shape), 0.0).clip(0, 1)
    core = 33 + 31 * load + rng.normal(0, 0.6, shape) + np.arange(shape[1]) % 4
    memory = core + 8 + rng.normal(0, 0.5, shape)
    values = {
        "DCGM_FI_DEV_GPU_UTIL": np.rint(100 * load),
        "DCGM_FI_DEV_POWER_USAGE": np.round(75 + 590 * load + rng.normal(0, 8, shape), 3),
        "DCGM_FI_DEV_GPU_TEMP": np.rint(core),
        "DCGM_FI_DEV_MEMORY_TEMP": memory,
        "DCGM_FI_DEV_SM_CLOCK": np.where(busy, 1_755 + 15 * rng.integers(0, 15, shape), 345),
        "DCGM_FI_DEV_FB_USED": np.where(busy, 71_204 + rng.integers(0, 3, shape), 4),
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": np.zeros(shape),
        "DCGM_FI_DEV_ROW_REMAP_PENDING": np.zeros(shape),
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": np.zeros(shape),
        "DCGM_FI_DEV_XID_ERRORS": np.zeros(shape),
    }
    alive = np.ones(shape, bool)
    for precursor in history.precursors:
        if precursor.node == node:
            _show(precursor.sign, values, precursor.slot, times - precursor.began, rng)
    for incident in history.incidents:
        if node in incident.nodes and incident.slot is not None:
            after = times >= incident.began
            values["DCGM_FI_DEV_XID_ERRORS"][after, incident.slot] = incident.mode.root_code
            if incident.mode.name == "gpu_lost":
                alive[after, incident.slot] = False
    values["DCGM_FI_DEV_MEMORY_TEMP"] = np.rint(values["DCGM_FI_DEV_MEMORY_TEMP"])
    return Slice(node, times, values, alive)


def _busy(history: History, node: int, times: np.ndarray) -> np.ndarray:
    """Where a job held the node, and did not hang in it."""
    busy = np.zeros(len(times), bool)
    for attempt in history.attempts():
        if node in attempt.nodes and attempt.started is not None and attempt.job.gpus:
            until = attempt.ended or history.scenario.ends
            if attempt.log:
                until = min(until, attempt.log.stopped)
            busy |= (attempt.started + 4 * MINUTE <= times) & (times < until)
    return busy


def _show(
    sign: str, values: dict[str, np.ndarray], slot: int, age: np.ndarray, rng: np.random.Generator
) -> None:
    """Lay one early sign over what the board measures from its begin on (age 0) for a day."""
    since = (age >= 0) & (age < 24 * 60 * MINUTE)
    minutes = np.where(since, age / MINUTE, 0.0)
    if sign == "sbe_rising":
        arrived = rng.poisson(np.where(since, 0.4 + minutes / 30, 0.0))
        values["DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"][:, slot] += np.cumsum(arrived)
    elif sign == "row_remap_pending":
        values["DCGM_FI_DEV_ROW_REMAP_PENDING"][since, slot] = 1
    elif sign == "memory_hot":
        values["DCGM_FI_DEV_MEMORY_TEMP"][:, slot] += np.minimum(minutes / 6, 18)
    elif sign == "pcie_replays":
        arrived = rng.poisson(np.where(since, 2.0, 0.0))
        values["DCGM_FI_DEV_PCIE_REPLAY_COUNTER"][:, slot] += np.cumsum(arrived)
