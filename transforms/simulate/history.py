"""What truly happened: the shapes that the simulator fills and the writers tell in their formats.

Instants are integer milliseconds since 1970; whatever a scheduler records is a whole second.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from transforms.simulate.scenario import Mode, Scenario

Service = Literal["down", "planned", "unknown"]


@dataclass(frozen=True)
class Node:
    """A host, its place in every domain, and its stay in the fleet."""

    name: str
    hall: str
    rack: str
    pdu: str
    leaf_switch: str
    cooling_loop: str
    valid_from: int
    valid_to: int | None = None
    removal_reason: str = ""


@dataclass(frozen=True)
class Gpu:
    """A board's spell in a slot of a node (by its number)."""

    serial: str
    uuid: str
    pci: str
    node: int
    slot: int
    valid_from: int
    valid_to: int | None = None
    removal_reason: str = ""


@dataclass
class Job:
    """What one submission asked for; requeues share it. `number` is given once all are known."""

    name: str
    user: str
    account: str
    partition: str
    gpus: int
    cpus: int
    limit_s: int
    run: str = ""
    array: tuple[str, int] | None = None
    number: int = 0

    @property
    def uid(self) -> int:
        return 1000 + sum(self.user.encode()) % 97


@dataclass(frozen=True)
class Save:
    """A checkpoint: training blocked until `unblocked`; safe at `durable`, or `failed`."""

    step: int
    began: int
    unblocked: int
    durable: int | None = None
    failed: int | None = None


@dataclass
class TrainLog:
    """What the training process of one attempt lived through. Steps are parallel arrays."""

    job_start: int
    init_began: int
    init_ended: int | None = None
    restore: tuple[int, int, int] | None = None  # began, ended, step
    step: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    began: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    ended: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    pauses: list[tuple[str, int, int]] = field(default_factory=list)  # data_wait or eval
    saves: list[Save] = field(default_factory=list)
    stopped: int = 0  # when progress ended for good
    detected: int | None = None
    finished: int | None = None

    @property
    def last_progress(self) -> int:
        """End of the last completed step, else of restore or initialisation."""
        if len(self.ended):
            return int(self.ended[-1])
        if self.restore:
            return self.restore[1]
        return self.init_ended or self.job_start


@dataclass
class Attempt:
    """One allocation of `nodes` (numbers) to a job; started is None while it waits."""

    job: Job
    submitted: int
    eligible: int
    started: int | None
    ended: int | None
    state: str
    exit_code: str
    nodes: tuple[int, ...]
    restart: int = 0
    reason: str = "None"
    log: TrainLog | None = None


@dataclass(frozen=True)
class Spell:
    """A node out of service, as the scheduler's events tell it."""

    node: int
    began: int
    ended: int | None
    state: str
    reason: str
    user: str
    service: Service
    klass: str = ""
    incident: int | None = None


@dataclass(frozen=True)
class KernelLine:
    node: int
    at: int
    text: str


@dataclass
class Incident:
    """A planted failure with one cause."""

    number: int
    mode: Mode
    began: int
    nodes: tuple[int, ...]
    slot: int | None
    planted_by: Literal["chance", "plan"]
    interrupted: list[str] = field(default_factory=list)


@dataclass
class Interruption:
    """A run that stopped, and its way back. None where it never came so far."""

    job: Job
    submitted: int
    run: str
    state: str
    failed_at: int
    detected_at: int
    decided_at: int
    planned: bool
    klass: str
    gpus: int
    incident: Incident | None = None
    allocated_at: int | None = None
    started_at: int | None = None
    restored_at: int | None = None
    resumed_at: int | None = None
    lost_from_step: int | None = None

    @property
    def cause(self) -> str:
        """Who owns its losses in the ledger."""
        return "Planned" if self.planned else self.klass


@dataclass(frozen=True)
class Precursor:
    """A sign planted ahead of a failure, seen in telemetry or in the kernel log."""

    incident: int
    node: int
    slot: int
    sign: str
    began: int


@dataclass
class Task:
    """A logical run: its attempts in the order in which they started, its interruptions."""

    name: str
    attempts: list[Attempt] = field(default_factory=list)
    interruptions: list[Interruption | None] = field(default_factory=list)


@dataclass
class History:
    scenario: Scenario
    nodes: list[Node]
    slots: dict[tuple[int, int], list[Gpu]]  # node and slot: its boards in order
    tasks: list[Task] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)
    lines: list[KernelLine] = field(default_factory=list)
    user_faults: list[KernelLine] = field(default_factory=list)  # noise, told where it is clear
    incidents: list[Incident] = field(default_factory=list)
    precursors: list[Precursor] = field(default_factory=list)
    array_ids: dict[str, int] = field(default_factory=dict)

    @cached_property
    def spells_of(self) -> dict[int, list[Spell]]:
        """Spells by node, in order. Only asked for once the history is complete."""
        found: dict[int, list[Spell]] = {number: [] for number in range(len(self.nodes))}
        for spell in sorted(self.spells, key=lambda spell: spell.began):
            found[spell.node].append(spell)
        return found

    def attempts(self) -> list[Attempt]:
        return [attempt for task in self.tasks for attempt in task.attempts]

    def gpus(self) -> list[Gpu]:
        return [gpu for boards in self.slots.values() for gpu in boards]

    def gpu_in(self, node: int, slot: int, at: int) -> Gpu:
        """The board that sat in a slot at an instant."""
        return next(
            gpu
            for gpu in self.slots[node, slot]
            if gpu.valid_from <= at and (gpu.valid_to is None or at < gpu.valid_to)
        )
