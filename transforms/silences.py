"""Who fell silent, and for how long: nodes, and GPUs whose node went on reporting.

A silence is no failure by itself: a node may be down, or only its exporter. Its true length lies
within two polling intervals of what was seen (methods Q-3):

    last sample 0 s, next one 780 s, interval 60 s     silent between 660 and 780 s

Nodes that fall silent together have lost their collector: nothing is concluded of any of them
(methods Q-2). A GPU that is silent while its node goes on is missing, which is worth a look.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from transforms.heard import CARRIED_INTERVALS, USUAL_INTERVAL_MS
from transforms.tables.hourly import SILENCES

if TYPE_CHECKING:
    from transforms.recipes import Window

LOOK_AHEAD_DAYS = 1
MANY_SHARE = 0.2
MANY = 3
"""So large a share of the nodes heard, and so many, fall silent together by no coincidence."""
DEVICE = ("device_kind", "cluster", "node", "device")
NODE = ("cluster", "node")
SAME_BOOT_MS = 60_000


def silences(window: "Window", *, heard_hourly: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Every silence that began in the window's days, of nodes and whole GPUs."""
    seen = heard_hourly.filter(pl.col("device_kind").cast(pl.String) != "link").with_columns(
        day=pl.col("hour_at").dt.date()
    )
    sorted_out = _sorted_out(_gaps(_with_whole_nodes(seen), window), seen)
    inside = pl.col("day").is_between(window.since.date(), window.until.date(), closed="left")
    rows = sorted_out.filter(inside).select(
        pl.col(name).cast(dtype) for name, dtype in SILENCES.dtypes.items()
    )
    return {"silences": SILENCES.conform(rows.sort(SILENCES.key))}


def _with_whole_nodes(seen: pl.DataFrame) -> pl.DataFrame:
    """Nodes without samples of their own are heard through their GPUs: an hour at a time."""
    is_node = pl.col("device_kind").cast(pl.String) == "node"
    gpus = seen.filter(~is_node).join(seen.filter(is_node), on=[*NODE, "day"], how="anti")
    nodes = gpus.group_by(*NODE, "hour_at").agg(
        pl.col("first_at").min(),
        pl.col("last_at").max(),
        pl.col("interval_ms").median().cast(pl.Int64),
        # All its GPUs silent at once is the node's silence: the shortest of their gaps at most.
        pl.col("longest_gap_ms").min(),
        pl.col("gap_ended_at").min(),
    )
    told = nodes.with_columns(
        pl.lit("node").cast(seen.schema["device_kind"]).alias("device_kind"),
        pl.lit("").alias("device"),
        pl.lit(None, seen.schema["booted_at"]).alias("booted_at"),
    )
    names = [*DEVICE, "hour_at", "first_at", "last_at", "interval_ms", "longest_gap_ms"]
    names += ["gap_ended_at", "booted_at"]
    return pl.concat([seen.select(names), told.select(names)]).sort(*DEVICE, "hour_at")


def _gaps(seen: pl.DataFrame, window: "Window") -> pl.DataFrame:
    """The times without a sample of more than two intervals, between hours and within them."""
    # Rows more than a day away are no neighbours: they are read with some windows, not with all.
    hour = pl.col("hour_at")
    is_near = (hour - hour.shift(1).over(DEVICE) <= pl.duration(days=1)).fill_null(False)
    will_be_near = (hour.shift(-1).over(DEVICE) - hour <= pl.duration(days=1)).fill_null(False)
    interval = pl.col("interval_ms")
    known = seen.with_columns(
        interval_ms=pl.coalesce(
            interval,
            pl.when(is_near).then(interval.shift(1).over(DEVICE)),
            pl.when(will_be_near).then(interval.shift(-1).over(DEVICE)),
            USUAL_INTERVAL_MS,
        ),
        was_booted=pl.when(is_near).then(pl.col("booted_at").shift(1).over(DEVICE)),
    )
    between = known.select(
        *DEVICE,
        "interval_ms",
        pl.col("last_at").alias("last_ok"),
        pl.col("first_at").shift(-1).over(DEVICE).alias("first_ok"),
        was_booted=pl.col("booted_at"),
        booted=pl.col("booted_at").shift(-1).over(DEVICE),
    )
    within = known.filter(pl.col("longest_gap_ms") > 0).select(
        *DEVICE,
        "interval_ms",
        (pl.col("gap_ended_at") - pl.duration(milliseconds="longest_gap_ms")).alias("last_ok"),
        pl.col("gap_ended_at").alias("first_ok"),
        was_booted="was_booted",
        booted="booted_at",
    )
    day_end = pl.col("last_ok").dt.truncate("1d") + pl.duration(days=1 + LOOK_AHEAD_DAYS)
    looked_to = pl.min_horizontal(day_end, pl.lit(window.horizon))
    reach = pl.duration(milliseconds=pl.col("interval_ms") * CARRIED_INTERVALS)
    return (
        pl.concat([between, within])
        .with_columns(first_ok=pl.when(pl.col("first_ok") < day_end).then("first_ok"))
        .filter(pl.col("first_ok").fill_null(looked_to) - pl.col("last_ok") > reach)
        .with_columns(
            day=pl.col("last_ok").dt.date(),
            lasted_max_ms=(pl.col("first_ok") - pl.col("last_ok")).dt.total_milliseconds(),
            is_rebooted=(pl.col("booted") - pl.col("was_booted")).dt.total_milliseconds()
            > SAME_BOOT_MS,
        )
        .with_columns(
            lasted_min_ms=(
                pl.col("lasted_max_ms") - CARRIED_INTERVALS * pl.col("interval_ms")
            ).clip(0)
        )
    )


def _sorted_out(found: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Add `sort` and `silent_together`."""
    is_node = pl.col("device_kind").cast(pl.String) == "node"
    nodes = found.filter(is_node)
    gpus = found.filter(~is_node)
    nodes = nodes.with_columns(silent_together=_together(nodes, ["cluster"]))
    heard = seen.group_by("cluster", "day").agg(pl.col("node").n_unique().alias("there"))
    nodes = nodes.join(heard, on=["cluster", "day"], how="left", maintain_order="left")
    nodes = nodes.with_columns(
        sort=pl.when(
            (pl.col("silent_together") >= MANY)
            & (pl.col("silent_together") >= MANY_SHARE * pl.col("there"))
        )
        .then(pl.lit("many together"))
        .otherwise(pl.lit("alone"))
    )
    gpus = gpus.with_columns(silent_together=_together(gpus, list(NODE)))
    reach = pl.duration(milliseconds=pl.col("interval_ms") * CARRIED_INTERVALS)
    spells = nodes.select(*NODE, pl.col("last_ok").alias("node_ok")).sort("node_ok")
    near = gpus.sort("last_ok").join_asof(
        spells,
        left_on="last_ok",
        right_on="node_ok",
        by=list(NODE),
        strategy="nearest",
        check_sortedness=False,
        coalesce=False,
    )
    with_node = ((pl.col("node_ok") - pl.col("last_ok")).abs() <= reach).fill_null(False)
    gpus = near.with_columns(
        sort=pl.when(with_node).then(pl.lit("with its node")).otherwise(pl.lit("alone"))
    )
    columns = [n for n in SILENCES.dtypes if n in gpus.columns]
    return pl.concat([nodes.select(columns), gpus.select(columns)])


def _together(rows: pl.DataFrame, by: list[str]) -> pl.Series:
    """How many of each row's group fell silent within two intervals of it, itself included."""
    if rows.is_empty():
        return pl.Series([], dtype=pl.UInt32)
    group = rows.select(pl.struct(by).rank("dense").cast(pl.Int64)).to_series().to_numpy()
    at = rows["last_ok"].dt.epoch("ms").to_numpy()
    reach = rows["interval_ms"].to_numpy() * CARRIED_INTERVALS
    packed = (group << 40) + (at - at.min())
    ordered = np.sort(packed)
    counts = np.searchsorted(ordered, packed + reach, "right") - np.searchsorted(
        ordered, packed - reach
    )
    return pl.Series(counts, dtype=pl.UInt32)
