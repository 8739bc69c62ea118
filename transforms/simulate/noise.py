"""Lines that must not count, and the early signs that some failures give.

Noise stays clear of every failure and every interruption (an hour on the same node, 25 minutes on
the nodes of a job that stopped, 5 minutes in the same rack), so that no sound attribution can
mistake one for the other.
"""

from bisect import bisect_left

import numpy as np

from transforms.simulate import kernel_words
from transforms.simulate.history import History, KernelLine, Precursor
from transforms.simulate.moments import DAY, HOUR, MINUTE, SECOND, between, stream

KINDS = ("edac", "aer", "remap", "corrected", "chatter")
PER_NODE_DAY = (0.05, 0.03, 0.008, 0.006, 1.2)


def add_noise(history: History) -> None:
    """Corrected errors, remapped rows and chatter, all over the fleet."""
    scenario = history.scenario
    rng = stream(scenario.seed, "noise")
    clear = _Clear(history)
    history.lines += [line for line in history.user_faults if clear.of_breakage(line.node, line.at)]
    for number, node in enumerate(history.nodes):
        since = max(node.valid_from, scenario.began) + 2 * MINUTE
        until = min(node.valid_to or scenario.ends, scenario.ends)
        days = (until - since) / DAY
        for kind, rate in zip(KINDS, PER_NODE_DAY, strict=True):
            for at in np.sort(rng.uniform(since, until - SECOND, int(rng.poisson(rate * days)))):
                slot, channel = int(rng.integers(8)), int(rng.integers(4))
                if kind != "chatter" and not clear.of_failures(number, int(at)):
                    continue
                board = history.gpu_in(number, slot, int(at))
                text = {
                    "edac": kernel_words.corrected_memory(channel),
                    "aer": kernel_words.corrected_pcie(),
                    "remap": kernel_words.row_remapped(board),
                    "corrected": kernel_words.many_corrected(board),
                    "chatter": kernel_words.CHATTER[channel],
                }[kind]
                history.lines.append(KernelLine(number, int(at), text))
    for spell in history.spells:
        if spell.service == "down" and spell.ended and spell.ended < scenario.ends:
            began = spell.ended - 70 * SECOND
            boards = [history.gpu_in(spell.node, 0, began)]
            history.lines += [
                KernelLine(spell.node, began + delay, text)
                for delay, text in kernel_words.boot(boards)
            ]


class _Clear:
    """Tells whether a moment on a node is far from anything that failed or stopped."""

    def __init__(self, history: History) -> None:
        self.nodes = history.nodes
        self.at_node: dict[object, list[int]] = {}
        for incident in history.incidents:
            for node in incident.nodes:
                self._mark(node, incident.began)
                self._mark(("rack", self.nodes[node].rack), incident.began)
        for attempt in history.attempts():
            for node in attempt.nodes:
                if attempt.ended and attempt.state != "COMPLETED":
                    self._mark(("stop", node), attempt.ended)
        for spell in history.spells:
            self._mark(spell.node, spell.began)
        for moments in self.at_node.values():
            moments.sort()

    def _mark(self, place: object, at: int) -> None:
        self.at_node.setdefault(place, []).append(at)

    def of_breakage(self, node: int, at: int) -> bool:
        """Far from what broke; a user's fault itself stops its job."""
        rack = self.nodes[node].rack
        return self._is_far(node, at, HOUR) and self._is_far(("rack", rack), at, 5 * MINUTE)

    def of_failures(self, node: int, at: int) -> bool:
        return self.of_breakage(node, at) and self._is_far(("stop", node), at, 25 * MINUTE)

    def _is_far(self, place: object, at: int, distance: int) -> bool:
        moments = self.at_node.get(place, [])
        return bisect_left(moments, at - distance) == bisect_left(moments, at + distance)


SIGNS = {"hbm": ("sbe_rising", "row_remap_pending", "memory_hot"), "gpu_lost": ("pcie_replays",)}


def add_precursors(history: History) -> None:
    """Two out of three memory failures and lost GPUs announce themselves 40 to 160 minutes ahead."""
    rng = stream(history.scenario.seed, "precursors")
    for incident in history.incidents:
        for sign in SIGNS.get(incident.mode.name, ()):
            ahead = between(rng, 40 * MINUTE, 160 * MINUTE)
            if rng.random() < 0.67 and incident.slot is not None:
                history.precursors.append(
                    Precursor(
                        incident.number,
                        incident.nodes[0],
                        incident.slot,
                        sign,
                        incident.began - ahead,
                    )
                )
