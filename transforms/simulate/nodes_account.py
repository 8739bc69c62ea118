"""The fleet's side of the account: what the GPUs that no job held were doing, and each node's clocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from transforms.simulate.accounting import Account, Wait, by_day, spell_leaf
from transforms.simulate.history import Attempt, History


@dataclass
class Clocks:
    """Milliseconds of one node on one day, on every clock."""

    wall: int = 0
    in_service: int = 0
    allocated: int = 0
    down: int = 0
    planned: int = 0
    unknown: int = 0


def account_nodes(history: History, account: Account) -> dict[tuple[str, int], Clocks]:
    """Add the free GPUs' time to `account.gpu_time`; return the clocks by (day, node)."""
    held: dict[int, list[Attempt]] = {}
    waited: dict[int, list[Wait]] = {}
    for attempt in history.attempts():
        if attempt.started is not None:
            for node in attempt.nodes:
                held.setdefault(node, []).append(attempt)
    for wait in account.waits:
        for node in wait.nodes:
            waited.setdefault(node, []).append(wait)
    clocks: dict[tuple[str, int], Clocks] = {}
    for number in range(len(history.nodes)):
        painted = _Node(history, number, held.get(number, []), waited.get(number, []))
        for began, ended, free, leaf, owner in painted.stretches():
            run, name, cause = owner
            for day, ms in by_day(began, ended):
                clock = clocks.setdefault((day, number), Clocks())
                clock.wall += ms
                clock.allocated += ms if leaf.is_held else 0
                service = leaf.service or "in_service"
                setattr(clock, service, getattr(clock, service) + ms)
                if free:
                    account.gpu_time[day, run, name, cause, False] += ms * free
    return clocks


@dataclass(frozen=True)
class State:
    is_held: bool
    service: str  # down, planned, unknown; '' in service


class _Node:
    """One node cut at every instant at which anything about it changes."""

    def __init__(
        self, history: History, number: int, held: list[Attempt], waited: list[Wait]
    ) -> None:
        self.history, self.held, self.waited = history, held, waited
        node, scenario = history.nodes[number], history.scenario
        self.began = max(node.valid_from, scenario.began)
        self.ended = min(node.valid_to or scenario.ends, scenario.ends)
        self.spells = history.spells_of[number]
        edges = {self.began, self.ended}
        for began, ended in (
            *((a.started or 0, a.ended) for a in held),
            *((s.began, s.ended) for s in self.spells),
            *((w.piece.began, w.piece.ended) for w in waited),
        ):
            edges |= {began, self.ended if ended is None else ended}
        self.edges = np.array(sorted(e for e in edges if self.began <= e <= self.ended), np.int64)

    def _span(self, began: int, ended: int | None) -> slice:
        end = self.ended if ended is None else ended
        return slice(*np.searchsorted(self.edges, [began, end]).tolist())

    def stretches(self) -> Iterator[tuple[int, int, int, State, tuple[str, str, str]]]:
        """(began, ended, free GPUs, state, (run, leaf, cause) of the free GPUs)."""
        count = len(self.edges) - 1
        gpus = self.history.scenario.gpus_per_node
        used = np.zeros(count, np.int64)
        jobs = np.zeros(count, np.int64)
        for attempt in self.held:
            span = self._span(attempt.started or 0, attempt.ended)
            used[span] += attempt.job.gpus // len(attempt.nodes)
            jobs[span] += 1
        if (used > gpus).any():
            raise AssertionError("a node's GPUs are given out twice")
        spell_at: list[int | None] = [None] * count
        for order, spell in enumerate(self.spells):
            span = self._span(spell.began, spell.ended)
            for place in range(*span.indices(count)):
                if spell_at[place] is not None:
                    raise AssertionError(f"two states of one node at {spell.began}")
                spell_at[place] = order
        wait_at: list[Wait | None] = [None] * count
        for wait in self.waited:
            for place in range(*self._span(wait.piece.began, wait.piece.ended).indices(count)):
                if used[place] == 0 and spell_at[place] is None:
                    if wait_at[place] is not None:
                        raise AssertionError(f"{wait.run} waits for a node that is waited for")
                    wait_at[place] = wait
        for place, (began, ended) in enumerate(pairwise(self.edges.tolist())):
            out, claim = spell_at[place], wait_at[place]
            service = ""
            owner = ("", "idle", "")
            if out is not None:
                service = self.spells[out].service
                owner = ("", *spell_leaf(self.spells[out]))
            elif claim is not None:
                owner = (claim.run, claim.piece.leaf, claim.piece.cause)
            state = State(bool(jobs[place]), service)
            yield began, ended, gpus - int(used[place]), state, owner
