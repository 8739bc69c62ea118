"""The commands for whoever runs the training: how much was kept, how often to save, and what a larger
job would meet."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study, asked_of


def checkpoint(
    run: Annotated[str, Parameter(help="This run alone; default: all that save.")] = "",
    *,
    plot: Annotated[
        Path | None,
        Parameter(help="Draw the share kept by interval, with its band, into this SVG."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """How often does each run save, how often should it, and how many GPU-hours a week that gains.

    A change is advised only if it gains at both ends of the interval of the failure rate.

    Example: `faultledger checkpoint llm-70b --plot llm-70b.svg`
    """
    options = {"run": run}
    if plot is not None:
        from flows.plotting import plot as draw

        draw(common.lake, "checkpoint", asked_of("checkpoint", common, options), plot)
    return answer_study("checkpoint", common, options)


def project(
    gpus: Annotated[str, Parameter(help="Sizes of jobs: 16384,100000.")] = "",
    *,
    write: Annotated[str, Parameter(help="Seconds that a save blocks; default: as seen.")] = "",
    recovery: Annotated[
        str, Parameter(help="Minutes from a failure to new steps; default: as seen.")
    ] = "",
    common: Common = COMMON,
) -> int:
    """What would a job of N GPUs meet: time to failure, best checkpoint interval, share of time
    kept, and failures of the next week, each with the band of the failure rate.

    Example: `faultledger project 16384,100000 --write 10 --recovery 3`
    """
    options = {"gpus": gpus, "write": write, "recovery": recovery}
    return answer_study("project", common, options)


def goodput(
    *,
    by: Annotated[
        str,
        Parameter(
            help="Of the fleet, by cluster, provider, hall, partition, account: hall,account."
        ),
    ] = "",
    common: Common = COMMON,
) -> int:
    """What share of their GPU time did all runs keep, and each: with the bounds of what was measured,
    and for the mean over runs a bootstrap interval.

    With --by: where the time of the fleet's GPUs went, of each hall or whoever asked for them; what
    was kept, lost, idle, waiting and out of service adds up to the capacity.

    Example: `faultledger goodput --by provider,hall --since 2026-03-02`
    """
    if by:
        return answer_study("fleet_goodput", common, {"by": by})
    return answer_study("goodput", common, {})


def register(app: App) -> None:
    for command in (checkpoint, goodput, project):
        app.command(command)
