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


def register(app: App) -> None:
    for command in (fabric,):
        app.command(command)
