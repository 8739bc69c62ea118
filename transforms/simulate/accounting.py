"""The simulator's own account of every GPU-millisecond, straight from the history it made.

It is the oracle for the ledger and shares no code with it: jobs and nodes are walked one by one,
each stretch of time is given its one leaf where the history knows it, and sums are split at
midnight (methods 4.2, G-1 to G-7).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from transforms.simulate.formats.slurm import job_id
from transforms.simulate.history import Attempt, History, Interruption, Spell, Task, TrainLog
from transforms.simulate.moments import DAY, day_of

FIRST_STEPS = 200
FORTNIGHT = 14
"""Days from a run's first on whose steps may be its first ones."""
Key = tuple[str, str, str, str, bool]  # day, run, leaf, cause, provisional


@dataclass(frozen=True)
class Piece:
    """A stretch of a run with one leaf. `gpus` held, or asked for while it waits."""

    began: int
    ended: int
    leaf: str
    cause: str
    gpus: int
    owner: Interruption | None = None
    is_provisional: bool = False


@dataclass(frozen=True)
class Wait:
    """Nodes that a run is about to get, while it waits for them."""

    nodes: tuple[int, ...]
    run: str
    piece: Piece


@dataclass
class Account:
    """GPU-milliseconds by day, run, leaf and cause: of the fleet's GPUs, and of each run."""

    gpu_time: Counter[Key] = field(default_factory=Counter)
    run_time: Counter[Key] = field(default_factory=Counter)
    cost: Counter[int] = field(default_factory=Counter)  # id of an interruption to GPU-ms
    waits: list[Wait] = field(default_factory=list)


def by_day(began: int, ended: int) -> Iterator[tuple[str, int]]:
    """(day, milliseconds) of [began, ended)."""
    while began < ended:
        midnight = (began // DAY + 1) * DAY
        until = min(midnight, ended)
        yield day_of(began), until - began
        began = until


def account_runs(history: History) -> Account:
    """Account for everything that jobs held or waited for."""
    account = Account()
    free = _FreeNodes.of(history)
    for task in history.tasks:
        run = task.name or job_id(history, task.attempts[0])
        pieces = list(_logged(history, task)) if task.name else list(_unlogged(history, task))
        pieces += _waits(history, task, run, account, free)
        for piece in pieces:
            is_wait = piece.leaf in ("queue_wait", "repair_wait")
            for day, ms in by_day(piece.began, piece.ended):
                key = (day, run, piece.leaf, piece.cause, piece.is_provisional)
                account.run_time[key] += ms * piece.gpus
                if not is_wait:
                    account.gpu_time[key] += ms * piece.gpus
                if piece.owner:
                    account.cost[id(piece.owner)] += ms * piece.gpus
    return account


def _unlogged(history: History, task: Task) -> Iterator[Piece]:
    for attempt in task.attempts:
        if attempt.started is not None:
            ended = attempt.ended or history.scenario.ends
            yield Piece(attempt.started, ended, "not_measured", "", attempt.job.gpus)


@dataclass(frozen=True)
class _FreeNodes:
    """How many nodes are well and unused from each instant on."""

    instants: list[int]
    counts: list[int]

    @classmethod
    def of(cls, history: History) -> "_FreeNodes":
        ends = history.scenario.ends
        taken: dict[int, list[tuple[int, int]]] = {n: [] for n in range(len(history.nodes))}
        for attempt in history.attempts():
            if attempt.started is not None and attempt.job.gpus:
                for held in attempt.nodes:
                    taken[held].append((attempt.started, attempt.ended or ends))
        changes: Counter[int] = Counter()
        for number, node in enumerate(history.nodes):
            now, until = node.valid_from, node.valid_to or ends
            out = [(s.began, s.ended or ends) for s in history.spells_of[number]]
            for began, ended in sorted([*taken[number], *out, (until, until)]):
                if now < min(began, until):
                    changes[now] += 1
                    changes[min(began, until)] -= 1
                now = max(now, ended)
        instants = sorted(changes)
        return cls(instants, list(accumulate(changes[at] for at in instants)))

    def at(self, instant: int) -> int:
        return self.counts[bisect_right(self.instants, instant) - 1] if self.instants else 0

    def changes(self, began: int, ended: int) -> list[int]:
        return self.instants[
            bisect_right(self.instants, began) : bisect_right(self.instants, ended - 1)
        ]


def _waits(
    history: History, task: Task, run: str, account: Account, free: _FreeNodes
) -> Iterator[Piece]:
    """Before the first attempt, and between attempts: repair_wait while an old node is out and
    fewer nodes are free than the run needs."""
    previous: Attempt | None = None
    stops = [*task.interruptions, None]
    for order, attempt in enumerate(task.attempts):
        began = attempt.eligible if previous is None else previous.ended or 0
        until = attempt.started if attempt.started is not None else history.scenario.ends
        owner = stops[order - 1] if order else None
        cause = owner.cause if owner else "start-up"
        broken = _out(history, previous.nodes) if previous else []
        edges = {began, until, *_inside(broken, began, until)}
        if broken:
            edges |= set(free.changes(began, until))
        needed = -(-attempt.job.gpus // history.scenario.gpus_per_node)
        for a, b in pairwise(sorted(edges)):
            is_out = any(s <= a and b <= e for s, e in broken)
            is_repair = is_out and free.at(a) < needed
            leaf = "repair_wait" if is_repair else "queue_wait"
            piece = Piece(a, b, leaf, cause, attempt.job.gpus, owner)
            account.waits.append(Wait(attempt.nodes, run, piece))
            yield piece
        previous = attempt


def _out(history: History, nodes: tuple[int, ...]) -> list[tuple[int, int]]:
    return [
        (spell.began, spell.ended or history.scenario.ends)
        for node in nodes
        for spell in history.spells_of[node]
        if spell.service in ("down", "planned")
    ]


def _inside(spans: list[tuple[int, int]], began: int, ended: int) -> list[int]:
    return [edge for span in spans for edge in span if began < edge < ended]


def _logged(history: History, task: Task) -> Iterator[Piece]:
    """Every stretch of every allocation of a run that logs its steps."""
    keeps = _Keeping(history, task)
    for order, attempt in enumerate(task.attempts):
        if attempt.started is None or attempt.log is None:
            continue
        until = attempt.ended or history.scenario.ends
        before = task.interruptions[order - 1] if order else None
        after = task.interruptions[order] if order < len(task.interruptions) else None
        start_cause = before.cause if before else "start-up"
        gpus = attempt.job.gpus
        now = attempt.started
        for piece in sorted(
            _claims(attempt.log, until, gpus, before, start_cause, after, keeps, order),
            key=lambda piece: piece.began,
        ):
            if piece.began > now:
                yield Piece(now, piece.began, "unknown", "", gpus)
            if piece.began < now:
                raise AssertionError(f"{task.name} claims {piece.leaf} at {piece.began} twice")
            yield piece
            now = piece.ended
        if now < until:
            yield Piece(now, until, "unknown", "", gpus)


def _claims(
    log: TrainLog,
    until: int,
    gpus: int,
    before: Interruption | None,
    start_cause: str,
    after: Interruption | None,
    keeps: "_Keeping",
    order: int,
) -> Iterator[Piece]:
    started = keeps.task.attempts[order].started or 0
    yield Piece(started, log.init_ended or until, "init", start_cause, gpus, before)
    if log.restore:
        yield Piece(log.restore[0], log.restore[1], "restore", start_cause, gpus, before)
    for kind, began, ended in log.pauses:
        leaf = {"eval": "eval_or_custom", "data_wait": "data_stall"}[kind]
        yield Piece(began, ended, leaf, "", gpus)
    for save in log.saves:
        yield Piece(save.began, save.unblocked, "ckpt_stall", "insurance", gpus)
    yield from keeps.steps(log, order, gpus)
    if log.finished:
        yield Piece(log.finished, until, "drain_idle", "", gpus)
    elif after:
        yield Piece(after.failed_at, after.detected_at, "hang", after.cause, gpus, after)
        yield Piece(after.detected_at, after.decided_at, "decide", after.cause, gpus, after)


class _Keeping:
    """Which steps of a run were kept, which lost and by what, and what an ideal step takes."""

    def __init__(self, history: History, task: Task) -> None:
        self.task = task
        logs = [attempt.log for attempt in task.attempts]
        self.first = [int(log.step[0]) if log and len(log.step) else None for log in logs]
        self.lived = sorted(
            step
            for log in logs
            if log
            for step in zip(log.began.tolist(), (log.ended - log.began).tolist(), strict=True)
        )
        self.ideal = self._frozen()
        safe = [save.step for log in logs if log for save in log.saves if save.durable]
        is_live = task.attempts[-1].state == "RUNNING"
        self.safe_until = (safe[-1] if safe else 0) if is_live else None

    def _frozen(self) -> int:
        """What a step of the run should take: the tenth percentile of its first ones, for good.

        All its attempts hold as many GPUs and train batches of one size.
        """
        if not self.lived:
            return 0
        until = (self.lived[0][0] // DAY + FORTNIGHT) * DAY
        first = sorted(length for began, length in self.lived[:FIRST_STEPS] if began < until)
        return first[(len(first) - 1) // 10]

    def steps(self, log: TrainLog, order: int, gpus: int) -> Iterator[Piece]:
        later = [
            (first, n) for n, first in enumerate(self.first) if n > order and first is not None
        ]
        rows = zip(log.step.tolist(), log.began.tolist(), log.ended.tolist(), strict=True)
        for step, began, ended in rows:
            undone = next((n for first, n in later if first <= step), None)
            if undone is not None:
                owner = self.task.interruptions[undone - 1]
                cause = owner.cause if owner else ""
                yield Piece(began, ended, "step_lost", cause, gpus, owner)
                continue
            loose = self.safe_until is not None and step > self.safe_until
            split = min(began + self.ideal, ended)
            yield Piece(began, split, "ideal", "", gpus, is_provisional=loose)
            if split < ended:
                yield Piece(split, ended, "slow", "", gpus, is_provisional=loose)


def spell_leaf(spell: Spell) -> tuple[str, str]:
    """The leaf of a node's free GPUs while it is out, and who owns it."""
    leaf = {"down": "down", "planned": "maintenance", "unknown": "unobserved"}[spell.service]
    return leaf, spell.klass if spell.service == "down" else ""
