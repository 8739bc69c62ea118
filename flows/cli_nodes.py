"""The commands about single nodes: which to pull, whether slot or board is at fault, what relapses."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


@Parameter(name="*")
@dataclass(frozen=True)
class OnAllocated(Common):
    """A node that meets more jobs has more exposure: count what it was allocated."""

    clock: Annotated[str, Parameter(help="wall, in_service or allocated.")] = "allocated"


ON_ALLOCATED = OnAllocated()


def suspects(
    *,
    unit: Annotated[str, Parameter(help="node, gpu, rack or leaf_switch.")] = "node",
    days: Annotated[int, Parameter(help="Of each unit's exposure to look back on.")] = 90,
    times: Annotated[float, Parameter(help="A lemon fails so many times the fleet's rate.")] = 3.0,
    test_hours: Annotated[float, Parameter(help="What a drain and test takes.")] = 8.0,
    top: Annotated[int, Parameter(help="Rows; 0 for every unit.")] = 20,
    common: OnAllocated = ON_ALLOCATED,
) -> int:
    """Units that are really worse than their fleet, each with the chance that it is, and the
    GPU-hours that pulling it would save in 28 days.

    Example: `faultledger suspects --unit rack --until 2026-03-16`
    """
    options = {"unit": unit, "days": str(days), "times": str(times), "top": str(top)}
    return answer_study("suspects", common, options | {"test_hours": str(test_hours)})


@Parameter(name="*")
@dataclass(frozen=True)
class OnWall(Common):
    """Days since a return pass whether the node works or not."""

    clock: Annotated[str, Parameter(help="wall, and no other.")] = "wall"


ON_WALL = OnWall()


def relapses(
    *,
    by: Annotated[str, Parameter(help="all, class, reason, action or cluster.")] = "class",
    common: OnWall = ON_WALL,
) -> int:
    """Whether repairs last: the share that failed again within 7 and 30 days of the return, and
    whether the first days are worse than the later ones.

    Example: `faultledger relapses --by action --since 2026-01-01`
    """
    return answer_study("relapses", common, {"by": by})


def slots(*, common: Common = COMMON) -> int:
    """Whether GPU faults stay in the slot or follow the board, wherever boards were swapped.

    Example: `faultledger slots --class GPU --format csv`
    """
    return answer_study("slots", common, {})


def register(app: App) -> None:
    for command in (relapses, slots, suspects):
        app.command(command)
