"""The commands about single nodes: which to pull, whether slot or board is at fault, what relapses."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import Common, answer_study


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


def register(app: App) -> None:
    app.command(suspects)
