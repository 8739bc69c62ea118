"""A fleet whose failures are known: a seeded history, told in the formats that operators have.

`simulate` writes nothing; it gives relative paths and bytes. Beside the records stands truth/:
what was planted, and an account of every GPU-millisecond that was kept while it happened.
"""

from collections.abc import Callable

from transforms.simulate.formats import gpu_metrics, inventory, kernel, slurm, train
from transforms.simulate.formats.packing import pack
from transforms.simulate.history import History
from transforms.simulate.scenario import SAMPLE, Scenario
from transforms.simulate.story import make_history
from transforms.simulate.telemetry import telemetry_slices
from transforms.simulate.truth import truth

__all__ = ["SAMPLE", "Scenario", "simulate"]

PLAIN_KERNEL_LOGS = 4  # the rest are compressed


def simulate(
    scenario: Scenario, progress: Callable[[str], None] = lambda stage: None
) -> dict[str, bytes]:
    """Every file of the scenario: path to bytes. Equal scenarios give equal bytes.

    `progress` hears the name of each stage as it begins.
    """
    progress("history")
    history = make_history(scenario)
    files: dict[str, list[str]] = {"settings.toml": inventory.settings(scenario)}
    rejects: list[tuple[str, int, str]] = []
    progress("scheduler records")
    for path, writer in (("slurm/sacct.psv", slurm.sacct), ("slurm/events.psv", slurm.events)):
        files[path], bad = writer(history)
        rejects += [(path, line, why) for line, why in bad]
    files["inventory/nodes.csv"] = inventory.nodes(history)
    files["inventory/gpus.csv"] = inventory.gpus(history)
    progress("kernel logs")
    for order, (host, lines) in enumerate(kernel.kernel_logs(history).items()):
        files[f"kernel/{host}.log" + (".zst" if order >= PLAIN_KERNEL_LOGS else "")] = lines
    progress("training logs")
    for path, lines, torn in _train_logs(history):
        files[path] = lines
        rejects.append((path, torn, "torn line"))
    progress("telemetry")
    files |= _telemetry(history)
    progress("truth")
    for name, lines in truth(history, rejects).items():
        files[f"truth/{name}"] = lines
    progress("packing")
    return {path: pack(path, files[path]) for path in sorted(files)}


def _train_logs(history: History) -> list[tuple[str, list[str], int]]:
    plans = {plan.run: plan for plan in (history.scenario.main, *history.scenario.mids)}
    found = []
    for task in history.tasks:
        if task.name:
            lines, torn = train.train_log(history, task, plans[task.name])
            found.append((f"train/{task.name}.ndjson.zst", lines, torn))
    return found


def _telemetry(history: History) -> dict[str, list[str]]:
    files = {}
    for order, piece in enumerate(telemetry_slices(history)):
        host = history.nodes[piece.node].name
        files[f"telemetry/{host}.prom.zst"] = gpu_metrics.scrapes(history, piece)
        if order == 0:
            files[f"telemetry/{host}-nvidia-smi.csv"] = gpu_metrics.query_gpu(history, piece)
    return files
