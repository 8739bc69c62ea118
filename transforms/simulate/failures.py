"""When nodes fail by chance, and what such a failure does to its node.

Failures of each mode are a Poisson process on the in-service time of every node: drawn over the
whole window and thinned by the time out of service. A strike that falls into the 15 minutes after
a repair, or between the stop of a job and 15 minutes after its end, is put off by as much, so that
each planted failure stays one incident under any sensible coalescing.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from transforms.simulate import kernel_words
from transforms.simulate.fleet import make_gpus, make_nodes, swap_board
from transforms.simulate.history import History, Incident, KernelLine, Spell
from transforms.simulate.moments import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    between,
    stream,
    whole_second,
)
from transforms.simulate.scenario import Mode, Scenario

QUIET = 15 * MINUTE
LONGEST_REPAIR = 30 * HOUR
NO_NEW_FAILURES = HOUR  # before the horizon: its consequences must fit into the window


def draw_hazards(scenario: Scenario) -> list[list[tuple[int, int]]]:
    """For each node the instants, in order, at which chance would strike it, with the mode."""
    rng = stream(scenario.seed, "hazards")
    factor = np.ones(scenario.nodes)
    factor[scenario.lemon - 1] = scenario.lemon_factor
    strikes: list[list[tuple[int, int]]] = [[] for _ in range(scenario.nodes)]
    for index, mode in enumerate(scenario.modes):
        expected = mode.per_1000_node_days / 1000 * scenario.days * factor
        counts = rng.poisson(expected)
        times = scenario.began + rng.integers(0, scenario.days * DAY, size=int(counts.sum()))
        owners = np.repeat(np.arange(scenario.nodes), counts)
        for node, time in zip(owners.tolist(), times.tolist(), strict=True):
            strikes[node].append((time, index))
    for node_strikes in strikes:
        node_strikes.sort()
    return strikes


@dataclass
class World:
    """The fleet as time goes by. `back` is when a node is, or was last, in service again."""

    history: History
    strikes: list[list[tuple[int, int]]]
    rng: np.random.Generator
    back: list[int]
    swapped: bool = False
    planned_spells: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def begin(cls, scenario: Scenario) -> "World":
        """Every node cold-starts with the scheduler and is up within a minute."""
        nodes = make_nodes(scenario)
        history = History(scenario, nodes, make_gpus(scenario, nodes))
        world = cls(
            history=history,
            strikes=draw_hazards(scenario),
            rng=stream(scenario.seed, "consequences"),
            back=[max(node.valid_from, scenario.began) for node in nodes],
        )
        for number, node in enumerate(nodes):
            since = max(node.valid_from, scenario.began)
            seen = since + between(world.rng, 12, 50) * SECOND
            history.spells.append(
                Spell(number, since, seen, "UNK", "cold-start", "root(0)", "unknown")
            )
            world.back[number] = seen
            world.strikes[number] = [
                strike for strike in world.strikes[number] if strike[0] >= seen
            ]
            world.hush((number,), seen, seen + HOUR)
        return world

    @property
    def scenario(self) -> Scenario:
        return self.history.scenario

    def next_strike(self, node: int, after: int) -> tuple[int, Mode] | None:
        """When and how chance strikes `node` next, or None within the window."""
        leaves = self.history.nodes[node].valid_to or self.scenario.ends
        until = min(leaves, self.scenario.ends) - NO_NEW_FAILURES
        strikes = self.strikes[node]
        place = bisect_left(strikes, (after, -1))
        while place < len(strikes) and strikes[place][0] < until:
            time, mode = strikes[place]
            if not self.is_planned_out(node, time):
                return time, self.scenario.modes[mode]
            place += 1
        return None

    def is_planned_out(self, node: int, at: int) -> bool:
        spells = self.planned_spells.get(node, ())
        return any(began - LONGEST_REPAIR <= at < ended + QUIET for began, ended in spells)

    def hush(self, nodes: tuple[int, ...], since: int, until: int) -> None:
        """Put off whatever would strike `nodes` in [since, until) to soon after `until`."""
        for node in nodes:
            strikes = self.strikes[node]
            first, last = bisect_left(strikes, (since, -1)), bisect_left(strikes, (until, -1))
            early = strikes[first:last]
            del strikes[first:last]
            for time, mode in early:
                insort(strikes, (until + time % QUIET, mode))

    def settle(self, node: int, until: int) -> None:
        """Let the failures that struck `node` while it had no job take their course."""
        while (strike := self.next_strike(node, self.back[node])) and strike[0] < until:
            self.break_nodes(strike[1], (node,), strike[0])

    def break_nodes(
        self,
        mode: Mode,
        nodes: tuple[int, ...],
        at: int,
        lost_at: int | None = None,
        held_until: int = 0,
        planted_by: Literal["chance", "plan"] = "chance",
    ) -> Incident:
        """Strike `nodes`: kernel lines, the node's state, its repair.

        `lost_at` is when the scheduler declared the node lost, if a job's end says so;
        `held_until` when the last job left the node, before which no repair can begin.
        """
        slot = int(self.rng.integers(0, self.scenario.gpus_per_node))
        incident = Incident(
            number=len(self.history.incidents) + 1,
            mode=mode,
            began=at,
            nodes=nodes,
            slot=slot if mode.klass in ("GPU", "NVLink") else None,
            planted_by=planted_by,
        )
        self.history.incidents.append(incident)
        for order, node in enumerate(nodes):
            struck = at + order * between(self.rng, 2, 9) * SECOND
            told = self._tell_kernel(mode, node, struck, slot)
            seen = lost_at + order * between(self.rng, 2, 6) * SECOND if lost_at else None
            self._take_out(incident, node, struck, told, seen, held_until)
        if mode.name == "gpu_lost" and not self.swapped and len(nodes) == 1:
            self._swap(incident)
        return incident

    def _tell_kernel(self, mode: Mode, node: int, at: int, slot: int) -> int:
        """Write the failure's kernel lines; return when the last one came."""
        boards = [self.history.gpu_in(node, s, at) for s in range(self.scenario.gpus_per_node)]
        lines = kernel_words.failure(mode.name, boards, slot, self.rng)
        self.history.lines += [KernelLine(node, at + delay, text) for delay, text in lines]
        return at + max((delay for delay, _ in lines), default=0)

    def _take_out(
        self,
        incident: Incident,
        node: int,
        at: int,
        told: int,
        lost_at: int | None,
        held_until: int,
    ) -> None:
        mode = incident.mode
        lost = mode.ending == "node_fail"
        if lost:
            out = lost_at or whole_second(at + between(self.rng, 60, 300) * SECOND)
        else:
            out = whole_second(told + between(self.rng, 30, 150) * SECOND)
        hours = float(
            np.clip(
                self.rng.lognormal(np.log(mode.repair_median_h), mode.repair_log_sd),
                0.4,
                LONGEST_REPAIR / HOUR - 1,
            )
        )
        up = whole_second(max(out, held_until) + hours * HOUR)
        horizon = min(self.history.nodes[node].valid_to or up + 1, self.scenario.ends)
        ended = up if up < horizon else None
        told_state = "DOWN*" if lost else "DRAIN"
        user = "slurm(64030)" if mode.reason == "Not responding" else "healthcheck(981)"
        known = out + (20 * MINUTE if mode.name == "host" else 0)
        if mode.name == "host" and known < min(up, horizon):
            self._spell(node, out, known, told_state, mode.reason, user, incident)
            out, told_state, user = known, "DOWN", "ops(1100)"
            reason = "kernel panic after machine check, testing memory"
        else:
            reason = mode.reason
        left = self.history.nodes[node].valid_to
        self._spell(node, out, ended if ended else left, told_state, reason, user, incident)
        self.back[node] = up
        self.strikes[node] = [strike for strike in self.strikes[node] if strike[0] >= up]
        self.hush((node,), up, up + QUIET)

    def _spell(
        self,
        node: int,
        began: int,
        ended: int | None,
        state: str,
        reason: str,
        user: str,
        incident: Incident,
    ) -> None:
        self.history.spells.append(
            Spell(
                node,
                began,
                ended,
                state,
                reason,
                user,
                "down",
                incident.mode.klass,
                incident.number,
            )
        )

    def _swap(self, incident: Incident) -> None:
        """The first lost board is replaced half an hour before its node returns."""
        (node,), slot = incident.nodes, incident.slot
        out = next(s for s in reversed(self.history.spells) if s.node == node)
        if slot is not None and out.ended and out.ended - out.began > HOUR:
            swap_board(self.scenario, self.history.slots[node, slot], out.ended - 40 * MINUTE)
            self.swapped = True

    def plan_maintenance(self, node: int, began: int, ended: int, state: str, reason: str) -> None:
        """Take `node` out on purpose; jobs are kept off it."""
        self.planned_spells.setdefault(node, []).append((began, ended))
        self.history.spells.append(Spell(node, began, ended, state, reason, "ops(1100)", "planned"))
