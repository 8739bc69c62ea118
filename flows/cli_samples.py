"""The commands that look at raw samples."""

from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flows import output

LAKE = Parameter(name="--lake", env_var="FAULTLEDGER_LAKE", help="The lake's folder.")


def quantiles(
    metric: Annotated[str, Parameter(help="A column of the samples, e.g. power_w.")],
    *,
    lake: Annotated[Path, LAKE] = Path("lake"),
    since: Annotated[date | None, Parameter(help="First UTC day; default: all.")] = None,
    until: Annotated[date | None, Parameter(help="Day after the last one.")] = None,
    orders: Annotated[str, Parameter(help="From 0 to 1, with commas.")] = "0.5,0.95",
    by: Annotated[str, Parameter(help="hour or day.")] = "hour",
    cluster: Annotated[str, Parameter(help="Of one cluster alone.")] = "",
    format: output.Format = "table",
    out: Annotated[Path | None, Parameter(help="Write the answer to this file.")] = None,
) -> int:
    """Exact quantiles of all raw samples of a metric, hour by hour or day by day: values that occur,
    as quantile_disc in SQL gives them, sooner. `fleet_hourly` has p50, p95 and p99 ready.

    Example: `faultledger quantiles power_w --orders 0.01,0.5,0.999 --by day`
    """
    from flows import verbs_samples

    found = verbs_samples.quantiles(lake, metric, since, until, orders, by, cluster)
    output.show(found, format, out)
    return 0


def register(app: App) -> None:
    app.command(quantiles)
