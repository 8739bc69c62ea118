"""Everybody else's jobs: small, without training logs, on lanes of one or two nodes.

A lane runs one thing at a time: a whole-node job, or a pack of jobs that share a node. A job may
queue behind the lane's present one, never two deep, so that an idle node is waited for by one
run at most and its waiting time has one owner.
"""

from dataclasses import dataclass, field

import numpy as np

from transforms.simulate import kernel_words
from transforms.simulate.failures import QUIET, World
from transforms.simulate.history import Attempt, Incident, Interruption, Job, KernelLine, Task
from transforms.simulate.moments import HOUR, MINUTE, SECOND, between, stream, whole_second

USERS = (("aisha", "vision"), ("bo", "speech"), ("chen", "nlp"), ("dara", "rl"), ("eli", "agents"))
NAMES = ("ablate", "eval-suite", "tokenise", "probe", "distil", "notebook")
LIMIT_S = 12 * 3600


@dataclass
class Lane:
    """One lane: its nodes, its clock, its own random numbers."""

    world: World
    nodes: tuple[int, ...]
    rng: np.random.Generator
    now: int
    previous_start: int = 0
    sweep: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, world: World, nodes: tuple[int, ...], since: int, until: int) -> None:
        """Fill [since, until) of `nodes` with jobs."""
        rng = stream(world.scenario.seed, "lane", *nodes, since)
        lane = cls(world, nodes, rng, since, since)
        lane._fill(until)

    def _fill(self, until: int) -> None:
        while True:
            back_to_back = bool(self.rng.random() < 0.45)
            if not back_to_back:
                self.now += round(self.rng.exponential(1.2) * HOUR) + 30 * SECOND
            self._wait_for_nodes()
            if self.now >= until - 20 * MINUTE:
                return
            length = float(np.clip(self.rng.lognormal(np.log(2.5), 0.8), 0.05, 14)) * HOUR
            if until == self.world.scenario.ends and self.now + length > until:
                self._still_running(back_to_back)
                return
            length = min(length, until - self.now - 60 * SECOND, LIMIT_S * SECOND)
            dice = self.rng.random()
            if len(self.nodes) == 1 and dice < 0.2:
                self._pack(whole_second(length))
            elif len(self.nodes) == 1 and dice < 0.24 and length > 2 * HOUR:
                self._preempted(whole_second(length), until)
            else:
                self._whole(whole_second(length), back_to_back, until)

    def _wait_for_nodes(self) -> None:
        """Move on to the next moment at which every node of the lane is in service."""
        self.now = whole_second(self.now + 2 * SECOND)
        moved = True
        while moved:
            for node in self.nodes:
                self.world.settle(node, self.now)
            latest = max(self.world.back[node] for node in self.nodes)
            moved = latest > self.now
            if moved:
                self.now = latest + 2 * SECOND

    def _job(self, gpus: int, cpus: int, name: str | None = None) -> Job:
        user, account = USERS[int(self.rng.integers(len(USERS)))]
        name = name or f"{NAMES[int(self.rng.integers(len(NAMES)))]}-{int(self.rng.integers(40))}"
        job = Job(name, user, account, "research", gpus, cpus, LIMIT_S)
        if name.startswith("ablate") and cpus == 96 and self.rng.random() < 0.5:
            job.name, job.user, job.account = "sweep", "chen", "nlp"
            job.array = ("sweep", 0)
        return job

    def _attempt(self, job: Job, eligible: int, ended: int, state: str, code: str) -> Attempt:
        """Record an attempt that starts now."""
        submitted = eligible - int(self.rng.integers(0, 3)) * SECOND
        return Attempt(job, submitted, eligible, self.now, ended, state, code, self.nodes)

    def _whole(self, length: int, back_to_back: bool, until: int) -> None:
        count = len(self.nodes)
        job = self._job(8 * count, 96 * count)
        eligible = self.now - int(self.rng.integers(1, 4)) * SECOND
        if back_to_back and self.previous_start:
            earliest = max(self.previous_start, self.now - 6 * HOUR)
            eligible = whole_second(self.rng.uniform(min(earliest, eligible), eligible))
        task = Task("")
        self.world.history.tasks.append(task)
        self.previous_start = self.now
        strike = self._first_strike(self.now + length)
        if strike:
            self._struck(task, job, eligible, strike, until)
            return
        ended, state, code = self._user_end(job, length)
        task.attempts.append(self._attempt(job, eligible, ended, state, code))
        if state == "FAILED" and self.rng.random() < 0.4:
            self._user_fault(ended)
        self._leave(ended)

    def _still_running(self, back_to_back: bool) -> None:
        """The lane's last job outlives the window, unless chance would have struck it."""
        if self._first_strike(self.world.scenario.ends):
            return
        count = len(self.nodes)
        eligible = self.now - (40 if back_to_back else 2) * SECOND
        job = self._job(8 * count, 96 * count, "long-eval")
        submitted = max(self.previous_start, eligible)
        task = Task(
            "", [Attempt(job, submitted, submitted, self.now, None, "RUNNING", "0:0", self.nodes)]
        )
        self.world.history.tasks.append(task)

    def _user_end(self, job: Job, length: int) -> tuple[int, str, str]:
        dice, ended = self.rng.random(), self.now + length
        if length == LIMIT_S * SECOND or dice < 0.05:
            job.limit_s = max(60, length // SECOND // 60 * 60)
            return self.now + job.limit_s * SECOND, "TIMEOUT", "0:0"
        for share, state, code in (
            (0.24, "FAILED", "1:0"),
            (0.29, "OUT_OF_MEMORY", "0:125"),
            (0.38, f"CANCELLED by {job.uid}", "0:15"),
        ):
            if dice < share:
                return ended, state, code
        return ended, "COMPLETED", "0:0"

    def _first_strike(self, until: int) -> tuple[int, int] | None:
        """(when, node) of the first failure by chance before `until`."""
        found = [
            (strike[0], node)
            for node in self.nodes
            if (strike := self.world.next_strike(node, self.now))
        ]
        return min(found) if found and min(found)[0] < until else None

    def _struck(
        self, task: Task, job: Job, eligible: int, strike: tuple[int, int], until: int
    ) -> None:
        """Hardware ends the job; a lost node requeues it on the same nodes once they are back."""
        incident, ended, state = self._break(strike)
        code = "0:0" if state == "NODE_FAIL" else "1:0"
        first = self._attempt(job, eligible, ended, state, code)
        task.attempts.append(first)
        incident.interrupted.append(job.name)
        self._leave(ended)
        if state != "NODE_FAIL":
            return
        submitted = ended + 11 * SECOND
        self.now = max(self.now, submitted + 121 * SECOND)
        self._wait_for_nodes()
        length = whole_second(min(2 * HOUR, until - self.now - 60 * SECOND))
        if length < 10 * MINUTE or self._first_strike(self.now + length):
            return
        second = self._attempt(job, submitted + 121 * SECOND, self.now + length, "COMPLETED", "0:0")
        second.submitted, second.restart, second.reason = submitted, 1, "BeginTime"
        task.attempts.append(second)
        self.previous_start = self.now
        task.interruptions.append(_stopped(first, second, incident))
        self._leave(self.now + length)

    def _break(self, strike: tuple[int, int], held_until: int = 0) -> tuple[Incident, int, str]:
        at, node = strike
        found = self.world.next_strike(node, at)
        assert found
        mode = found[1]
        if mode.ending == "node_fail":
            ended, state = whole_second(at + between(self.rng, 60, 300) * SECOND), "NODE_FAIL"
        else:
            ended, state = whole_second(at + between(self.rng, 4, 25) * SECOND), "FAILED"
        incident = self.world.break_nodes(
            mode,
            (node,),
            at,
            lost_at=ended if state == "NODE_FAIL" else None,
            held_until=max(ended, held_until),
        )
        self.world.hush(self.nodes, at, ended + QUIET)
        return incident, ended, state

    def _pack(self, length: int) -> None:
        """Jobs of 2 and 4 GPUs share the node; each starts the moment it is submitted."""
        sizes = ((4, 48), (2, 24), (2, 24)) if self.rng.random() < 0.5 else ((2, 24), (4, 48))
        began, latest = self.now, self.now
        strike = self._first_strike(began + length)
        jobs = []
        for order, (gpus, cpus) in enumerate(sizes):
            start = began + order * 40 * SECOND
            ended = start + whole_second(length * self.rng.uniform(0.15, 0.5)) + 5 * MINUTE
            jobs.append(Attempt(self._job(gpus, cpus), start, start, start, ended, "COMPLETED",
                                "0:0", self.nodes))  # fmt: skip
            latest = max(latest, ended)
        if strike and strike[0] < latest:
            latest = self._strike_pack(jobs, strike, latest)
        for attempt in jobs:
            self.world.history.tasks.append(Task("", [attempt]))
        self.previous_start = latest
        self._leave(latest)

    def _strike_pack(self, jobs: list[Attempt], strike: tuple[int, int], latest: int) -> int:
        """A dying GPU ends one job, the others drain; a lost node ends all that still run."""
        running = [a for a in jobs if a.started and a.ended and a.started < strike[0] < a.ended]
        jobs[:] = [a for a in jobs if a.started and a.started < strike[0]]
        rest = max((a.ended or 0 for a in running[1:]), default=0)
        incident, ended, state = self._break(strike, held_until=rest)
        for attempt in running if state == "NODE_FAIL" else running[:1]:
            attempt.ended, attempt.state = ended, state
            attempt.exit_code = "0:0" if state == "NODE_FAIL" else "1:0"
            incident.interrupted.append(attempt.job.name)
        return max(a.ended or 0 for a in jobs) if jobs else strike[0]

    def _preempted(self, length: int, until: int) -> None:
        """A job gives way to an urgent one and comes back after it."""
        if self._first_strike(self.now + length):
            self._whole(length, False, until)
            return
        job, urgent = self._job(8, 96, "explore"), self._job(8, 96, "urgent-eval")
        began, third = self.now, whole_second(length / 3)
        first = self._attempt(job, began - 2 * SECOND, began + third, "PREEMPTED", "0:0")
        self.now = began + third
        task = Task("", [first])
        self.world.history.tasks.append(task)
        pushed = self._attempt(urgent, self.now - 30 * SECOND, self.now + third, "COMPLETED", "0:0")
        self.world.history.tasks.append(Task("", [pushed]))
        self.now += third + 2 * SECOND
        submitted = first.ended or 0
        second = self._attempt(job, submitted + 61 * SECOND, began + length, "COMPLETED", "0:0")
        second.submitted, second.restart, second.reason = submitted + SECOND, 1, "BeginTime"
        task.attempts.append(second)
        task.interruptions.append(_stopped(first, second, None))
        self.previous_start = self.now
        self._leave(began + length)

    def _user_fault(self, ended: int) -> None:
        """Kernel lines of a program's own mistake, just before its job fails."""
        node = self.nodes[0]
        slot = int(self.rng.integers(8))
        at = ended - between(self.rng, 2_000, 9_000)
        board = self.world.history.gpu_in(node, slot, at)
        code = (13, 31, 43)[int(self.rng.integers(3))]
        words = kernel_words.user_fault(board, int(self.rng.integers(10_000, 99_999)), code)
        self.world.history.user_faults += [
            KernelLine(node, at + delay, text) for delay, text in words
        ]

    def _leave(self, ended: int) -> None:
        """The lane's job is over."""
        self.now = max(self.now, ended)
        for node in self.nodes:
            if self.world.back[node] < ended:
                self.world.back[node] = ended


def _stopped(first: Attempt, second: Attempt, incident: Incident | None) -> Interruption:
    """The interruption between two attempts of a job that logs nothing."""
    assert first.ended
    assert second.started
    return Interruption(
        job=first.job,
        submitted=first.submitted,
        run="",
        state=first.state,
        failed_at=first.ended,
        detected_at=first.ended,
        decided_at=first.ended,
        planned=incident is None,
        klass=incident.mode.klass if incident else "Planned",
        gpus=first.job.gpus,
        incident=incident,
        allocated_at=second.started,
    )
