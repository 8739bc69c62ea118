"""What single lines of slurmctld.log tell of nodes and of jobs that a node took down.

The words are those of Slurm 17 to 25. A spell's instants are floored to whole seconds and its
state is in the accounting's words, so that the same spell from `sacctmgr show event` folds with it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from transforms.hostlist import expand
from transforms.sources.node_spells import DRAINED, LOST, UP, Spells

_JOB = r"(?:JobId=|[Jj]ob_id |[Jj]ob )(?P<job>[0-9][0-9_+]*(?:_\[[^\]]*\])?)(?:\([0-9]+\))?"
_IN_SERVICE = ("IDLE", "RESUME", "ALLOCATED", "MIXED", "COMPLETING")

TELLING = (
    *(
        "due to failure of node",
        "on failed node",
        "Removing failed node",
        "missing from batch node",
    ),
    *("not responding, setting DOWN", "returned to service", "unexpectedly rebooted"),
    *(" state set to ", " reason set to: ", "state to ", "sched: Allocate ", ": Started JobId="),
    *("slurmctld version ", "Recovered state of ", "Terminate signal ", "Running as primary"),
)
"""Any line that tells something holds one of these."""


@dataclass(frozen=True)
class Loss:
    """A job that lost a node: when, which, and what the controller did about it."""

    at: datetime
    node: str
    job: str
    reason: str
    detail: str
    line_no: int


@dataclass
class Reading:
    """A log half read: what it told so far, and what a later line may still refer to."""

    spells: Spells = field(default_factory=Spells)
    losses: list[Loss] = field(default_factory=list)
    cluster: str | None = None
    _reasons: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _stopped: datetime | None = None
    _remembers_nodes: bool = False

    def take(self, at: datetime, message: str, line_no: int) -> bool:
        """Take in one line; whether it told anything. Raises HostlistError."""
        for pattern, tell in _LINES:
            if found := pattern.match(message):
                return tell(self, at, found, line_no)
        return False

    # jobs

    def lose(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        reason = next(reason for verb, reason in _LOSSES.items() if found[0].startswith(verb))
        self.losses.append(Loss(at, found["node"], found["job"], reason, found.string, line_no))
        return True

    def start_job(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        """A node that is given to a job is in service."""
        nodes = expand(found["nodes"]) if self.spells.is_any_out() else []
        ended = [self.spells.end(node, _second(at)) for node in nodes]
        return any(ended)

    # nodes

    def go_down(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        for node in expand(found["nodes"]):
            self.spells.begin(node, LOST, _second(at), "DOWN*", "Not responding", line_no)
        return True

    def reboot(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        why = "Node unexpectedly rebooted"
        self.spells.begin(found["node"], LOST, _second(at), "DOWN", why, line_no)
        return True

    def refuse(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        """What a node registered with is less than it is configured to have."""
        place = DRAINED if found["state"] == "DRAIN" else LOST
        reason = found["reason"].strip() or None
        self.spells.begin(found["node"], place, _second(at), found["state"], reason, line_no)
        return True

    def drain(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        """The controller drains a node by itself, also one that it has just refused."""
        if self.spells.is_out(found["node"]):
            return False
        reason = self._reason(found["node"], at)
        self.spells.begin(found["node"], DRAINED, _second(at), "DRAIN", reason, line_no)
        return True

    def come_back(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        node = found["node"]
        if not self.spells.end(node, _second(at), (LOST,)) and not self.spells.is_out(node):
            self.spells.begin(node, UP, _second(at), "IDLE", None, line_no)
        return True

    def explain(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        reason = found["reason"].strip()
        if not self.spells.explain(found["node"], _second(at), reason):
            self._reasons[found["node"]] = (at, reason)
        return True

    def update(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        """An operator's command; states that only switch power or plan a reboot tell nothing."""
        node, state, second = found["node"], found["state"].upper().strip("*"), _second(at)
        if state == "UNDRAIN":
            self.spells.end(node, second, (DRAINED,))
        elif state in _IN_SERVICE:
            if not self.spells.end(node, second):
                self.spells.begin(node, UP, second, "IDLE", None, line_no)
        elif "DRAIN" in state:
            self.spells.begin(node, DRAINED, second, "DRAIN", self._reason(node, at), line_no)
        elif "FAIL" in state:
            self.spells.begin(node, DRAINED, second, "FAIL", self._reason(node, at), line_no)
        elif state == "DOWN":
            self.spells.begin(node, LOST, second, "DOWN", self._reason(node, at), line_no)
        else:
            return False
        return True

    def _reason(self, node: str, at: datetime) -> str | None:
        """The reason that the same command gave, a line before."""
        given, reason = self._reasons.pop(node, (at, None))
        return reason if abs((at - given).total_seconds()) <= 1 else None

    # the controller itself

    def start(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        self.cluster = self.cluster or found["cluster"]
        self._stopped, self._remembers_nodes = self._stopped or at, False
        return found["cluster"] is not None

    def remember(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        self._remembers_nodes = True
        return False

    def stop(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        self._stopped = at
        return False

    def run(self, at: datetime, found: re.Match[str], line_no: int) -> bool:
        """Started without the old node states, it knows of no spell from before its stop."""
        if self._stopped and not self._remembers_nodes:
            self.spells.end_all(_second(self._stopped))
        self._stopped = None
        return False


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


_LOSSES = {
    "requeue": "RequeuedForNodeFailure",
    "Killing": "KilledForNodeFailure",
    "Removing": "RemovedFromJob",
    "Batch": "MissingFromNode",
}
_Tell = Callable[[Reading, datetime, re.Match[str], int], bool]
_LINES: tuple[tuple[re.Pattern[str], _Tell], ...] = tuple(
    (re.compile(pattern), tell)
    for pattern, tell in (
        (r"sched: Allocate JobId=\S+ NodeList=(?P<nodes>\S+)", Reading.start_job),
        (r".*: Started JobId=\S+ in \S+ on (?P<nodes>\S+)", Reading.start_job),
        (rf"requeue (?:job )?{_JOB} due to failure of node (?P<node>\S+)", Reading.lose),
        (rf"Killing {_JOB} on failed node (?P<node>\S+)", Reading.lose),
        (rf"Removing failed node (?P<node>\S+) from {_JOB}", Reading.lose),
        (rf"Batch {_JOB} missing from batch node (?P<node>\S+)", Reading.lose),
        (r"Nodes? (?P<nodes>\S+) not responding, setting DOWN", Reading.go_down),
        (r"(?:\w+: )?[Nn]ode (?P<node>\S+) returned to service", Reading.come_back),
        (r"(?:\w+: )?Node (?P<node>\S+) unexpectedly rebooted", Reading.reboot),
        (r"update_node: node (?P<node>\S+) reason set to: (?P<reason>.*)", Reading.explain),
        (r"update_node: node (?P<node>\S+) state set to (?P<state>\S+)", Reading.update),
        (r"drain_nodes: node (?P<node>\S+) state set to DRAIN", Reading.drain),
        (
            r"Setting node (?P<node>\S+) state to (?P<state>INVAL|DRAIN|DOWN) with reason:(?P<reason>.*)",
            Reading.refuse,
        ),
        (r"slurmctld version \S+ started(?: on cluster (?P<cluster>\S+))?", Reading.start),
        (r"Recovered state of \d+ nodes", Reading.remember),
        (r"Terminate signal ", Reading.stop),
        (r"Running as primary controller", Reading.run),
    )
)
