"""The commands about age and time: trends."""

from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


def trend(
    by: Annotated[
        str, Parameter(help="cluster, provider, hall, rack, node, class, component.")
    ] = "cluster",
    *,
    common: Common = COMMON,
) -> int:
    """Do failures thin out or crowd? Laplace, MIL-HDBK-189 and Crow-AMSAA on cumulative node-days,
    so that a fleet that grows shows no trend for growing.

    `growth_slope` below 1 is improving, above 1 worsening; it is not the shape of a Weibull life.

    Example: `faultledger trend hall,class --since 2026-01-01`
    """
    return answer_study("trend", common, {"by": by})


def register(app: App) -> None:
    for command in (trend,):
        app.command(command)
