"""The commands about age and time: survival, trends, recurrence, ageing."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study, asked_of

Plot = Annotated[Path | None, Parameter(help="Draw every step with its band into this SVG.")]


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
    plot: Plot = None,
    common: Common = COMMON,
) -> int:
    """How long nodes, GPUs and repairs last: median, Weibull shape and log-rank by group, or the
    Kaplan-Meier and Nelson-Aalen curves at chosen ages.

    Who was there before the records enters at its age; who still runs is censored.

    Example: `faultledger survival --of repair --by class`

    Example: `faultledger survival --unit gpu --of removal --by model --at 30,90,365`

    Example: `faultledger survival --by hall --plot halls.svg`
    """
    return _answered("survival", common, {"unit": unit, "of": of, "by": by, "at": at}, plot)


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


def recurrence(
    by: Annotated[str, Parameter(help="cluster, provider, hall, rack, model.")] = "hall",
    unit: Annotated[str, Parameter(help="node, or gpu: by serial across slots.")] = "node",
    against: Annotated[str, Parameter(help="Two groups to compare: H1,H2.")] = "",
    at: Annotated[str, Parameter(help="Ages in days: 7,30,90 or all.")] = "",
    *,
    plot: Plot = None,
    common: Common = COMMON,
) -> int:
    """Is the new hall worse? Mean failures per node by age in the fleet, and the ratio of two
    groups over the ages that both were watched at.

    Example: `faultledger recurrence hall --against H1,H2 --at 7,30,90`
    """
    options = {"by": by, "unit": unit, "against": against, "at": at}
    return _answered("recurrence", common, options, plot)


def ageing(
    early: Annotated[str, Parameter(help="Weeks up to which a node is young.")] = "4",
    late: Annotated[str, Parameter(help="Weeks from which it is old.")] = "52",
    *,
    common: Common = COMMON,
) -> int:
    """Do nodes fail more when young or old? The rate by weeks since commissioning, and the three
    facts that a bathtub needs.

    Example: `faultledger ageing --class GPU --early 6`
    """
    return answer_study("ageing", common, {"early": early, "late": late})


def _answered(name: str, common: Common, options: dict[str, str], to: Path | None) -> int:
    """Print the study's answer; draw it too, where a file is named."""
    if to is not None:
        from flows.plotting import plot

        plot(common.lake, name, asked_of(name, common, options), to)
    return answer_study(name, common, options)


def register(app: App) -> None:
    for command in (ageing, recurrence, survival, trend):
        app.command(command)
