"""Silent data corruption: devices confirmed bad among those screened, method by method (D-10).

Screens come in as `cluster_events` (by a mapping, where a tool has its own form): the reporter is
the screening method, the reason one of

    sdc_screen_passed  screened, nothing found          sdc_reproduced  wrong again on replay
    sdc_suspected      a wrong result, NaN or loss      sdc_confirmed   confirmed on the bench

A device counts once, at its highest level. A bench that screens nobody confirms what a method
suspected before. Methods find different things in different devices: there is no row of all, and
their rates are not to be divided. What no screen finds is in no number here.
"""

import numpy as np
import polars as pl
from scipy import stats

from transforms.poisson import count_limits
from transforms.studies.base import Asked, RefusalError, Study
from transforms.tables import observed as o

LEVELS = ("sdc_screen_passed", "sdc_suspected", "sdc_reproduced", "sdc_confirmed")
DEVICE = ["cluster", "node", "device"]
METHOD = ["cluster", "method"]


def sdc(asked: Asked, *, cluster_events: pl.DataFrame) -> pl.DataFrame:
    """One row per cluster and method, those with most confirmed first.

    Columns: cluster, method, screens, devices, device_months (a device and a UTC month in which it
    was screened), suspected, reproduced, confirmed (devices, by their highest level),
    per_1000_device_months of those confirmed with exact _lo and _hi (R-2), share of the devices
    screened with exact _lo and _hi (Clopper and Pearson), assumption, clock, definition.
    """
    told = cluster_events.filter(pl.col("reason").is_in(LEVELS)).select(
        *DEVICE,
        method="reporter",
        at="observed_at",
        level=pl.col("reason").replace_strict({name: n for n, name in enumerate(LEVELS)}),
    )
    if told.is_empty():
        raise RefusalError(
            "no screen for silent corruption on the days asked: bring them in as cluster_events "
            f"whose reason is one of {', '.join(LEVELS)}"
        )
    screening = told.filter(pl.col("level") < 2)
    screened = screening.select("method").unique()
    own = told.join(screened, on="method", how="semi")
    bench = told.join(screened, on="method", how="anti")
    first = own.filter(pl.col("level") >= 1).group_by(*DEVICE, "method").agg(pl.col("at").min())
    lent = (
        bench.join(first.rename({"at": "since", "method": "by"}), on=DEVICE)
        .filter(pl.col("at") >= pl.col("since"))
        .select(*DEVICE, method="by", at="at", level="level")
    )
    highest = pl.concat([own, lent]).group_by(*DEVICE, "method").agg(pl.col("level").max())
    devices = highest.group_by(METHOD).agg(
        pl.len().cast(pl.Int64).alias("devices"),
        *(
            (pl.col("level") == n).sum().cast(pl.Int64).alias(name.removeprefix("sdc_"))
            for n, name in enumerate(LEVELS)
            if n
        ),
    )
    exposed = own.group_by(METHOD).agg(
        pl.len().cast(pl.Int64).alias("screens"),
        pl.struct(*DEVICE, pl.col("at").dt.truncate("1mo")).n_unique().alias("device_months"),
    )
    return _limited(devices.join(exposed, on=METHOD), asked)


def _limited(rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    x, n, months = (
        rows[name].to_numpy().astype(float) for name in ("confirmed", "devices", "device_months")
    )
    low, high = (edge / months * 1000 for edge in count_limits(x, asked.level))
    tail = (1 - asked.level) / 2
    share_lo = np.where(x > 0, stats.beta.ppf(tail, np.maximum(x, 1), n - x + 1), 0.0)
    share_hi = np.where(x < n, stats.beta.ppf(1 - tail, x + 1, np.maximum(n - x, 1)), 1.0)
    limits = {"per_1000_device_months_lo": low, "per_1000_device_months_hi": high}
    limits |= {"share_lo": share_lo, "share_hi": share_hi}
    return (
        rows.with_columns(pl.Series(name, values) for name, values in limits.items())
        .with_columns(
            per_1000_device_months=1000 * pl.col("confirmed") / pl.col("device_months"),
            share=pl.col("confirmed") / pl.col("devices"),
        )
        .sort(-pl.col("confirmed"), *METHOD)
        .select(
            *(*METHOD, "screens", "devices", "device_months"),
            *("suspected", "reproduced", "confirmed"),
            *(f"per_1000_device_months{side}" for side in ("", "_lo", "_hi")),
            *(f"share{side}" for side in ("", "_lo", "_hi")),
            assumption=pl.lit("each device counts once"),
            clock=pl.lit("screened months"),
            definition=pl.lit("confirmed on the bench"),
        )
    )


STUDY = Study(
    name="sdc",
    title="Silent data corruption: devices confirmed among those screened, method by method",
    reads=(o.CLUSTER_EVENTS,),
    by=sdc,
)
