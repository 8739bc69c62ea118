"""Looks at nodes' scheduler states, taken again and again, to the intervals of node_states.

A snapshot says what was true at its instant. Looks that follow one another and agree make one
interval: it begins when the scheduler says that the state was set, else with the first look, and
ends with the first look that disagrees. Nothing is known of the time after the last look, so an
interval that lasts ends there; a later file that goes on from the same begin restates it.
Only states out of service make rows, as in the scheduler's own record of node events.
"""

import re
from datetime import datetime
from typing import NamedTuple

_WORD = re.compile(r"[A-Z_]+")
_SHORT = {
    "DRNG": "DRAIN", "DRAINING": "DRAIN", "DRAINED": "DRAIN", "MAINTENANCE": "MAINT",
    "BOOT": "REBOOT", "REBOOT_ISSUED": "REBOOT", "REBOOT_REQUESTED": "REBOOT",
    "FAILING": "FAIL", "FAILG": "FAIL", "UNK": "UNKNOWN", "INVAL": "INVALID",
}  # fmt: skip
_OUT = ("DOWN", "DRAIN", "FAIL", "ERROR", "MAINT", "REBOOT", "UNKNOWN", "INVALID", "FUTURE")
# Signs that take a node out whose word says otherwise: `idle*`, `mixed$`.
_SIGNS = {"*": "DOWN", "$": "MAINT", "@": "REBOOT", "^": "REBOOT"}


class Look(NamedTuple):
    """One node at one instant. `since` is when the scheduler says the state was set."""

    at: datetime
    cluster: str
    node: str
    state: str
    line_no: int
    since: datetime | None = None
    reason: str | None = None
    user: str | None = None


class Interval(NamedTuple):
    """A row of node_states, but for its file."""

    cluster: str
    node: str
    began: datetime
    state: str
    ended: datetime
    reason: str | None
    user: str | None
    line_no: int


def out_of_service(state: str) -> str | None:
    """The word under which node events keep a state; null for a node in service.

    A node that drains, and then is drained, is in one state.
    """
    said = state.strip().upper()
    words = [_SHORT.get(word, word) for word in _WORD.findall(said)]
    out = [word for word in words if word in _OUT]
    return out[0] if out else _SIGNS.get(said[-1:])


def intervals(looks: list[Look]) -> list[Interval]:
    """Rows of node_states, in order of cluster, node and time."""
    found: list[Interval] = []
    first: Look | None = None
    last: Look | None = None
    for look in sorted(looks, key=lambda look: (look.cluster, look.node, look.at, look.line_no)):
        same_node = first is not None and first[1:3] == look[1:3]
        if first is not None and last is not None and not (same_node and _agree(first, look)):
            found += _interval(first, look.at if same_node else last.at)
            first = look
        elif first is None:
            first = look
        last = look
    if first is not None and last is not None:
        found += _interval(first, last.at)
    return found


def _agree(one: Look, other: Look) -> bool:
    return (out_of_service(one.state), one.since, one.reason) == (
        out_of_service(other.state),
        other.since,
        other.reason,
    )


def _interval(first: Look, ended: datetime) -> list[Interval]:
    state = out_of_service(first.state)
    if state is None:
        return []
    began = first.since if first.since is not None and first.since <= first.at else first.at
    return [
        Interval(
            first.cluster, first.node, began, state, ended, first.reason, first.user, first.line_no
        )
    ]
