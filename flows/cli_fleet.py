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


def regress(
    by: Annotated[
        str,
        Parameter(
            help="Factors: cluster, model, provider, hall, rack, pdu, leaf_switch, cooling_loop, "
            "age, month; default: model, provider, hall and age as far as they vary."
        ),
    ] = "",
    *,
    reference: Annotated[str, Parameter(help="FACTOR=LEVEL that others are compared to.")] = "",
    law: Annotated[str, Parameter(help="auto, poisson or 'negative binomial'.")] = "auto",
    common: Common = COMMON,
) -> int:
    """Is it the vendor, or its halls and the age of its nodes? Rate ratios, each adjusted for all
    other factors, with errors that let one node's failures hang together.

    Example: `faultledger regress provider,hall,age --reference provider=own --class GPU`
    """
    return answer_study("regress", common, {"by": by, "reference": reference, "law": law})


def register(app: App) -> None:
    for command in (availability, regress):
        app.command(command)
