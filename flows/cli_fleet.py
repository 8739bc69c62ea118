"""The commands that ask how a whole fleet does: its time up, what sets rates apart, what is slow."""

from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


def availability(
    by: Annotated[str, Parameter(help="Columns.")] = "cluster",
    *,
    promised: Annotated[float | None, Parameter(help="Promised share, 0.994 for 99.4 %.")] = None,
    nodes: Annotated[int | None, Parameter(help="Nodes of a job that needs them all.")] = None,
    common: Common = COMMON,
) -> int:
    """Share of the time up by place (cluster, provider, hall, rack, node) or period (day, week,
    month): unplanned downtime alone, all downtime, unknown time given to either side.

    Example: `faultledger availability provider,month --promised 0.994 --nodes 128`
    """
    options = {"by": by, "promised": "" if promised is None else str(promised)}
    return answer_study(
        "availability", common, options | {"nodes": "" if nodes is None else str(nodes)}
    )


def register(app: App) -> None:
    app.command(availability)
