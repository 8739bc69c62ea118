"""The commands about age and time: survival, trends."""

from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


def survival(
    unit: Annotated[str, Parameter(help="node, or gpu: by serial across slots.")] = "node",
    of: Annotated[
        str, Parameter(help="first-failure, between-failures, repair or removal.")
    ] = "first-failure",
    by: Annotated[
        str, Parameter(help="cluster, provider, hall, rack, model; class, component; planned.")
    ] = "cluster",
    at: Annotated[
        str, Parameter(help="Ages of a curve (days, of repairs hours): 7,30,90 or all.")
    ] = "",
    *,
    common: Common = COMMON,
) -> int:
    """How long nodes, GPUs and repairs last: median, Weibull shape and log-rank by group, or the
    Kaplan-Meier and Nelson-Aalen curves at chosen ages.

    Who was there before the records enters at its age; who still runs is censored.

    Example: `faultledger survival --of repair --by class`

    Example: `faultledger survival --unit gpu --of removal --by model --at 30,90,365`
    """
    return answer_study("survival", common, {"unit": unit, "of": of, "by": by, "at": at})


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
    for command in (survival, trend):
        app.command(command)
