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


def precursors(
    *,
    window: Annotated[float, Parameter(help="Days that a sign casts its shadow.")] = 7.0,
    lead: Annotated[float, Parameter(help="Minutes a warning must come early.")] = 0.0,
    common: Common = COMMON,
) -> int:
    """Which early signs (row remaps, corrected errors, hot GPUs, link flaps) foretell a failure:
    rate ratios, lead times, precision, recall and alarms.

    Example: `faultledger precursors --class GPU --window 3`
    """
    return answer_study("precursors", common, {"window": str(window), "lead": str(lead)})


def detectors(
    *,
    window: Annotated[float, Parameter(help="Hours an alarm may come early.")] = 24.0,
    late: Annotated[float, Parameter(help="Minutes an alarm may come late.")] = 10.0,
    common: Common = COMMON,
) -> int:
    """How good is each health check: precision, recall, lead time and false alarms of every
    reporter, against failures that somebody else saw too.

    Example: `faultledger detectors --window 6`
    """
    return answer_study("detectors", common, {"window": str(window), "late": str(late)})


def blast(
    by: Annotated[str, Parameter(help="class or component.")] = "class",
    *,
    common: Common = COMMON,
) -> int:
    """How far does a failure reach: GPUs that failed, were drained and stood still, and GPU-hours
    lost, by class and width.

    Example: `faultledger blast component --class GPU`
    """
    return answer_study("blast", common, {"by": by})


def register(app: App) -> None:
    for command in (blast, changes, detectors, domains, precursors):
        app.command(command)
