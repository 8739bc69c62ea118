"""The machines: names, places, boards; one node late, one returned, and boards swapped in repair."""

from dataclasses import replace

import numpy as np

from transforms.simulate.history import Gpu, Node
from transforms.simulate.moments import DAY, HOUR, MINUTE, stream
from transforms.simulate.scenario import Scenario

PCI = ("0000:19:00", "0000:3b:00", "0000:4c:00", "0000:5d:00")
PCI_FAR = ("0000:9b:00", "0000:bb:00", "0000:cb:00", "0000:db:00")
MODEL = "NVIDIA H100 80GB HBM3"


def make_nodes(scenario: Scenario) -> list[Node]:
    """Racks of six, two PDUs a rack, a leaf switch for two racks, a hall for 64 racks.

    The last node arrives on the third part of the window; the one before it leaves before the end.
    """
    nodes = []
    commissioned = scenario.began - 49 * DAY
    for number in range(scenario.nodes):
        rack, place = divmod(number, scenario.nodes_per_rack)
        feed = "a" if place < scenario.nodes_per_rack // 2 else "b"
        nodes.append(
            Node(
                name=f"node-{number + 1:04d}",
                hall=f"hall-{rack // 64 + 1}",
                rack=f"rack-{rack + 1:03d}",
                pdu=f"pdu-{rack + 1:03d}{feed}",
                leaf_switch=f"leaf-{rack // 2 + 1:03d}",
                cooling_loop=f"loop-{rack // 8 + 1:02d}",
                valid_from=commissioned,
            )
        )
    span = scenario.days * DAY
    late = scenario.began + span * 2 // 7 // DAY * DAY + 9 * HOUR
    leaves = scenario.began + span * 11 // 14 // DAY * DAY + 18 * HOUR
    nodes[-1] = replace(nodes[-1], valid_from=late)
    nodes[-2] = replace(nodes[-2], valid_to=leaves, removal_reason="returned to vendor")
    return nodes


def make_gpus(scenario: Scenario, nodes: list[Node]) -> dict[tuple[int, int], list[Gpu]]:
    """Eight boards a node, each with a serial and a uuid of its own."""
    rng = stream(scenario.seed, "boards")
    count = len(nodes) * scenario.gpus_per_node
    serials = 1_650_000_000_000 + rng.permutation(np.arange(count, dtype=np.int64) * 7 + 13)
    words = rng.integers(0, 2**32, size=(count, 4), dtype=np.uint32)
    slots: dict[tuple[int, int], list[Gpu]] = {}
    for number, node in enumerate(nodes):
        for slot in range(scenario.gpus_per_node):
            board = number * scenario.gpus_per_node + slot
            slots[number, slot] = [
                Gpu(
                    serial=str(serials[board]),
                    uuid=uuid(words[board]),
                    pci=(PCI + PCI_FAR)[slot],
                    node=number,
                    slot=slot,
                    valid_from=node.valid_from,
                    valid_to=node.valid_to,
                    removal_reason=node.removal_reason,
                )
            ]
    return slots


def uuid(words: np.ndarray) -> str:
    """128 random bits in NVML's spelling."""
    text = "".join(f"{int(word):08x}" for word in words)
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def swap_board(scenario: Scenario, boards: list[Gpu], at: int) -> None:
    """Take the last board of a slot out at `at` and put a spare in 20 minutes later."""
    old = boards[-1]
    words = stream(scenario.seed, "spare board", old.serial).integers(
        0, 2**32, size=4, dtype=np.uint32
    )
    boards[-1] = replace(old, valid_to=at, removal_reason="RMA: fell off the bus")
    boards.append(
        replace(
            old,
            serial=str(1_659_000_000_000 + int(old.serial) % 1_000_000),
            uuid=uuid(words),
            valid_from=at + 20 * MINUTE,
        )
    )
