"""A training run through all its attempts: what stops each, and how it gets going again."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from transforms.simulate.failures import QUIET, World
from transforms.simulate.history import Attempt, Incident, Interruption, Job, Task, TrainLog
from transforms.simulate.moments import HOUR, MINUTE, SECOND, between, stream, whole_second
from transforms.simulate.scenario import FACILITY, Mode, Training
from transforms.simulate.training import Start, grow

How = Literal["limit", "cancel", "crash", "pdu", "strike", "first step", "horizon"]
SETTLED = 40 * MINUTE  # planned stops come no earlier in an attempt


@dataclass(frozen=True)
class Stop:
    """What ends an attempt, and when it strikes."""

    at: int
    how: How
    mode: Mode | None = None
    nodes: tuple[int, ...] = ()


@dataclass(frozen=True)
class End:
    """How the scheduler records an attempt's end, and how the next one is submitted."""

    at: int
    state: str
    exit_code: str
    is_requeued: bool
    delay: int
    klass: str
    is_planned: bool = False
    incident: Incident | None = None


@dataclass
class TrainingRun:
    """Lives one plan through on a pool of nodes. Plan offsets count from the scenario's begin."""

    world: World
    plan: Training
    pool: tuple[int, ...]
    rng: np.random.Generator
    task: Task
    pending: dict[How, int] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World, plan: Training, pool: tuple[int, ...]) -> "TrainingRun":
        began = world.scenario.began
        offsets: dict[How, int | None] = {
            "cancel": plan.cancelled_at,
            "crash": plan.crashes_at,
            "pdu": plan.pdu_trips_at,
        }
        pending = {how: began + at for how, at in offsets.items() if at is not None}
        rng = stream(world.scenario.seed, "run", plan.run)
        return cls(world, plan, pool, rng, Task(plan.run), pending)

    def live(self) -> int:
        """Run until done or until the horizon; return when the last allocation ended."""
        self.world.history.tasks.append(self.task)
        horizon = self.world.scenario.ends
        job = self._new_job()
        submitted = eligible = self.world.scenario.began + self.plan.eligible
        restart, step, is_saved = 0, 1, False
        while True:
            started, nodes = self._allocate(eligible)
            attempt = Attempt(
                job, submitted, eligible, started, None, "RUNNING", "0:0", nodes, restart
            )
            self.task.attempts.append(attempt)
            if started is None or started >= horizon:
                attempt.started, attempt.nodes, attempt.state = None, (), "PENDING"
                return horizon
            if restart:
                attempt.reason = "BeginTime"
            stop = self._what_stops(started, nodes)
            log = self._grow(stop, Start(started, step, is_saved))
            attempt.log = log
            self._note_return(attempt, log)
            if log.finished:
                return self._complete(attempt, log)
            if stop.how == "horizon":
                if len(log.ended):
                    log.ended[-1] = horizon
                return horizon
            end = self._end(stop, log, attempt)
            attempt.ended, attempt.state, attempt.exit_code = end.at, end.state, end.exit_code
            self._interrupt(attempt, log, end)
            step, is_saved = self._resume_point(log, step, is_saved)
            if end.is_requeued:
                restart += 1
                submitted = end.at + 11 * SECOND
                eligible = submitted + 121 * SECOND
            else:
                restart, job = 0, self._new_job()
                submitted = started + 45 * SECOND if stop.how == "limit" else end.at + end.delay
                eligible = end.at + end.delay

    def _new_job(self) -> Job:
        plan = self.plan
        return Job(
            name=plan.name,
            user=plan.user,
            account=plan.account,
            partition="train",
            gpus=plan.nodes * self.world.scenario.gpus_per_node,
            cpus=plan.nodes * 96,
            limit_s=plan.time_limit_s,
            run=plan.run,
        )

    def _allocate(self, not_before: int) -> tuple[int | None, tuple[int, ...]]:
        """The first moment at which enough nodes are in service, and those nodes."""
        world, now = self.world, whole_second(not_before + between(self.rng, 600, 3_000))
        while now < world.scenario.ends:
            for node in self.pool:
                world.settle(node, now)
            ready = [node for node in self.pool if world.back[node] <= now]
            if len(ready) >= self.plan.nodes:
                return now, tuple(ready[: self.plan.nodes])
            late = sorted(world.back[node] for node in self.pool if world.back[node] > now)
            now = late[self.plan.nodes - len(ready) - 1] + 3 * SECOND
        return None, ()

    def _what_stops(self, started: int, nodes: tuple[int, ...]) -> Stop:
        """The earliest of time limit, plans and chance. A strike right before a plan is not."""
        horizon = self.world.scenario.ends
        if self.plan.first_step_fails and len(self.task.attempts) == 1:
            nic = next(mode for mode in self.world.scenario.modes if mode.name == "nic")
            return Stop(started, "first step", nic, nodes[-1:])
        stops = [Stop(started + self.plan.time_limit_s * SECOND, "limit"), Stop(horizon, "horizon")]
        for how, at in self.pending.items():
            on_pdu = self._share_a_pdu(nodes) if how == "pdu" else ()
            if how != "pdu" or on_pdu:
                at = max(at, started + SETTLED)
                mode = FACILITY if how == "pdu" else None
                if at < horizon - HOUR:
                    stops.append(Stop(whole_second(at), how, mode, on_pdu))
        first = min(stops, key=lambda stop: stop.at)
        for node in nodes:
            strike = self.world.next_strike(node, started)
            if strike and strike[0] < first.at - (0 if first.how == "strike" else 20 * MINUTE):
                first = Stop(strike[0], "strike", strike[1], (node,))
        return first

    def _share_a_pdu(self, nodes: tuple[int, ...]) -> tuple[int, ...]:
        """Nodes of the first whole PDU (three nodes) in the second rack or later."""
        by_pdu: dict[str, list[int]] = {}
        for node in nodes:
            by_pdu.setdefault(self.world.history.nodes[node].pdu, []).append(node)
        lemon = self.world.scenario.lemon - 1
        whole = [on for on in by_pdu.values() if len(on) >= 3 and lemon not in on]
        return tuple(whole[len(whole) // 2]) if whole else ()

    def _grow(self, stop: Stop, start: Start) -> TrainLog:
        return grow(
            self.plan,
            start,
            stop.at,
            self.rng,
            self.world.scenario.began,
            can_move=stop.how == "strike",
            in_first_step=stop.how == "first step",
        )

    def _end(self, stop: Stop, log: TrainLog, attempt: Attempt) -> End:
        """Let the stop take its course, until the scheduler records the end."""
        rng, at = self.rng, log.stopped
        if stop.how == "limit":
            delay = between(rng, 4, 15) * SECOND
            return End(at, "TIMEOUT", "0:0", False, delay, "Planned", is_planned=True)
        self.pending.pop(stop.how, None)
        if stop.how == "cancel":
            state = f"CANCELLED by {attempt.job.uid}"
            return End(at, state, "0:15", False, 17 * MINUTE, "Human", is_planned=True)
        if stop.how == "crash":
            ended = whole_second(at + between(rng, 5, 18) * SECOND)
            return End(ended, "FAILED", "1:0", False, 26 * MINUTE, "Software (user)")
        assert stop.mode
        lost_at = None
        if stop.mode.ending == "watchdog":
            log.detected = at + between(rng, 2 * MINUTE, 10 * MINUTE)
            ended = whole_second(log.detected + between(rng, 20, 150) * SECOND)
            state, exit_code = "FAILED", "134:0"
        elif stop.mode.ending == "dies":
            ended = whole_second(at + between(rng, 4, 20) * SECOND)
            state, exit_code = "FAILED", "1:0"
        else:
            ended = lost_at = whole_second(at + between(rng, 60, 300) * SECOND)
            state, exit_code = "NODE_FAIL", "0:0"
        incident = self.world.break_nodes(
            stop.mode,
            stop.nodes,
            at,
            lost_at,
            held_until=ended,
            planted_by="chance" if stop.how == "strike" else "plan",
        )
        incident.interrupted.append(self.plan.run)
        return End(ended, state, exit_code, True, 0, stop.mode.klass, incident=incident)

    def _interrupt(self, attempt: Attempt, log: TrainLog, end: End) -> None:
        self.task.interruptions.append(
            Interruption(
                job=attempt.job,
                submitted=attempt.submitted,
                run=self.plan.run,
                state=end.state.split()[0],
                failed_at=log.last_progress,
                detected_at=log.detected or end.at,
                decided_at=end.at,
                planned=end.is_planned,
                klass=end.klass,
                gpus=attempt.job.gpus,
                incident=end.incident,
            )
        )
        self.world.hush(attempt.nodes, attempt.started or 0, end.at + QUIET)

    def _note_return(self, attempt: Attempt, log: TrainLog) -> None:
        """Fill in how the last interruption came to an end, as far as it did."""
        if not self.task.interruptions or not (last := self.task.interruptions[-1]):
            return
        last.allocated_at = attempt.started
        last.started_at = log.job_start
        last.restored_at = log.restore[1] if log.restore else None
        if len(log.step):
            last.resumed_at = int(log.began[0])
            last.lost_from_step = int(log.step[0])

    @staticmethod
    def _resume_point(log: TrainLog, step: int, is_saved: bool) -> tuple[int, bool]:
        """The step after the newest checkpoint known to be safe."""
        safe = [save.step for save in log.saves if save.durable is not None]
        return (safe[-1] + 1, True) if safe else (step, is_saved)

    def _complete(self, attempt: Attempt, log: TrainLog) -> int:
        assert log.finished
        attempt.ended = whole_second(log.finished + between(self.rng, 4, 25) * SECOND)
        attempt.state = "COMPLETED"
        self.world.hush(attempt.nodes, attempt.started or 0, attempt.ended + QUIET)
        return attempt.ended
