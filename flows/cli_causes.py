"""The commands that ask what failures have in common: places, days, signs before them, witnesses."""

from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


def domains(
    *,
    gap: Annotated[float, Parameter(help="Minutes between failures of a pair.")] = 10.0,
    draws: Annotated[int, Parameter(help="Shuffles to judge by.")] = 2000,
    common: Common = COMMON,
) -> int:
    """Do nodes of one rack, PDU, leaf switch, NVLink domain, cooling loop or hall fail together?

    Names only domains with evidence, among all that were tried.

    Example: `faultledger domains --since 2026-03-02 --gap 5`
    """
    return answer_study("domains", common, {"gap": str(gap), "draws": str(draws)})


def changes(
    *,
    watch: Annotated[int, Parameter(help="Last days that the chart runs over.")] = 28,
    weeks: Annotated[float, Parameter(help="Weeks between false alarms of a chart.")] = 26.0,
    common: Common = COMMON,
) -> int:
    """When did a rate change? Of each cluster, class, component and hall: change points, a chart
    over the last weeks, and this week against the eight before, beside the calendar of changes
    (`[[calendar]]` in the lake's settings.toml).

    Example: `faultledger changes --class GPU --until 2026-03-16`
    """
    return answer_study("changes", common, {"watch": str(watch), "weeks": str(weeks)})


def register(app: App) -> None:
    for command in (changes, domains):
        app.command(command)
