"""Which spells out of service a node had, told change by change, as the scheduler's log tells them.

A node can be lost and drained at once: what brings it back from the one does not end the other.
So a node has a place for each, and a third one for a return from a spell that began before the
log did: that is a spell in service, and its begin closes the open spell of an earlier file.
"""

from dataclasses import dataclass, field
from datetime import datetime

LOST, DRAINED, UP = "lost", "drained", "up"
OUT = (LOST, DRAINED)


@dataclass
class Spell:
    """One state of one node; `ended` is null while it lasts."""

    node: str
    began: datetime
    state: str
    reason: str | None
    line_no: int
    ended: datetime | None = None


@dataclass
class Spells:
    """Spells so far, in the order of the log, and those of them that are open."""

    told: list[Spell] = field(default_factory=list)
    open: dict[str, dict[str, Spell]] = field(default_factory=dict)

    def is_out(self, node: str) -> bool:
        return any(place in OUT for place in self.open.get(node, ()))

    def is_any_out(self) -> bool:
        return any(self.is_out(node) for node in self.open)

    def begin(
        self, node: str, place: str, at: datetime, state: str, reason: str | None, line_no: int
    ) -> None:
        """Open a spell; a second report of one that is open already says nothing new."""
        now = self.open.setdefault(node, {})
        if place != UP and (back := now.pop(UP, None)):
            back.ended = at
        if place not in now:
            now[place] = Spell(node, at, state, reason, line_no)
            self.told.append(now[place])

    def end(self, node: str, at: datetime, places: tuple[str, ...] = OUT) -> bool:
        """Close the open spells of these places; whether there were any."""
        now = self.open.get(node, {})
        closed = [now.pop(place) for place in places if place in now]
        for spell in closed:
            spell.ended = at
        if not now:
            self.open.pop(node, None)
        return bool(closed)

    def end_all(self, at: datetime) -> None:
        for node in list(self.open):
            self.end(node, at, (*OUT, UP))

    def explain(self, node: str, at: datetime, reason: str) -> bool:
        """Give the spell that this node began at this instant its reason, if it has none yet."""
        for spell in self.open.get(node, {}).values():
            if spell.began == at and spell.reason is None and spell.state != "IDLE":
                spell.reason = reason
                return True
        return False
