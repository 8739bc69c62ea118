"""The inventory: nodes and GPUs with the time for which each row holds; and the settings beside it."""

from transforms.simulate.fleet import MODEL
from transforms.simulate.formats.packing import csv
from transforms.simulate.history import History
from transforms.simulate.moments import at, slurm
from transforms.simulate.scenario import Scenario

NODE_COLUMNS = (
    *("cluster", "node", "valid_from", "valid_to", "gpus", "gpu_model", "provider", "hall"),
    *("rack", "pdu", "leaf_switch", "nvlink_domain", "cooling_loop", "removal_reason"),
)
GPU_COLUMNS = (
    *("serial", "valid_from", "valid_to", "uuid", "pci", "cluster", "node", "slot", "model"),
    "removal_reason",
)


def _instant(ms: int | None) -> str:
    return "" if ms is None else f"{slurm(ms)}Z"


def nodes(history: History) -> list[str]:
    scenario = history.scenario
    return csv(
        NODE_COLUMNS,
        (
            (
                scenario.cluster,
                node.name,
                _instant(node.valid_from),
                _instant(node.valid_to),
                scenario.gpus_per_node,
                MODEL,
                "own",
                node.hall,
                node.rack,
                node.pdu,
                node.leaf_switch,
                node.name,
                node.cooling_loop,
                node.removal_reason,
            )
            for node in history.nodes
        ),
    )


def gpus(history: History) -> list[str]:
    return csv(
        GPU_COLUMNS,
        (
            (
                gpu.serial,
                _instant(gpu.valid_from),
                _instant(gpu.valid_to),
                gpu.uuid,
                gpu.pci,
                history.scenario.cluster,
                history.nodes[gpu.node].name,
                gpu.slot,
                MODEL,
                gpu.removal_reason,
            )
            for gpu in history.gpus()
        ),
    )


def settings(scenario: Scenario) -> list[str]:
    """settings.toml: what the records do not say themselves."""
    return [
        f'cluster = "{scenario.cluster}"',
        f"observed_from = {at(scenario.began):%Y-%m-%d}",
        f"observed_until = {at(scenario.ends):%Y-%m-%d}",
        "",
        "[[prices]]",
        "valid_from = 2026-01-01",
        'currency = "USD"',
        "price_per_gpu_hour = 2.35",
    ]
