"""The commands that ask of machines what samples show: links, power and heat, slow spells, screens."""

from typing import Annotated

from cyclopts import App, Parameter

from flows.cli_studies import COMMON, Common, answer_study


def fabric(
    by: Annotated[str, Parameter(help="cluster, node or link.")] = "cluster",
    *,
    what: Annotated[
        str, Parameter(help="errors, or speed: links slower than their like.")
    ] = "errors",
    common: Common = COMMON,
) -> int:
    """How bad are the links: errors of every counter by the hour and by the bit, with limits that
    admit bursts, and the worst link of each; or the links that run below their usual rate.

    Example: `faultledger fabric link --since 2026-03-02`
    """
    return answer_study("fabric", common, {"by": by, "what": what})


def excursions(
    by: Annotated[str, Parameter(help="cluster, hall, rack, node or gpu.")] = "cluster",
    *,
    what: Annotated[str, Parameter(help="throttling, or heat.")] = "throttling",
    limit: Annotated[float, Parameter(help="Heat above (C); 0: each GPU's own limit.")] = 0.0,
    common: Common = COMMON,
) -> int:
    """How long had GPUs their clocks held down, and why; or how long were they too hot, with the
    bounds that samples allow.

    Example: `faultledger excursions hall --what heat --limit 85`
    """
    return answer_study("excursions", common, {"by": by, "what": what, "limit": str(limit)})


def climate(
    metric: Annotated[str, Parameter(help="A temperature; default: inlet air, else GPUs.")] = "",
    *,
    common: Common = COMMON,
) -> int:
    """Do halls fail more when they are warm, on the day itself or up to three days later?

    Example: `faultledger climate gpu_temp_c --class GPU`
    """
    return answer_study("climate", common, {"metric": metric})


def slow(
    run: Annotated[str, Parameter(help="One run alone.")] = "",
    *,
    threshold: Annotated[float, Parameter(help="Slow from so many times the usual.")] = 1.1,
    common: Common = COMMON,
) -> int:
    """When did a run's steps take longer than usual, what did it cost, and which of its nodes shows
    a cause in the samples?

    Example: `faultledger slow pretrain-70b --since 2026-03-02`
    """
    return answer_study("slow", common, {"run": run, "threshold": str(threshold)})


def sdc(*, common: Common = COMMON) -> int:
    """How many devices corrupt data silently: those confirmed among those screened, each method by
    itself.

    Example: `faultledger sdc --since 2026-01-01`
    """
    return answer_study("sdc", common, {})


def register(app: App) -> None:
    for command in (climate, excursions, fabric, sdc, slow):
        app.command(command)
