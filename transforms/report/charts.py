"""The report's pictures: frames in, inline SVG out.

Each is drawn twice, wide for a desk and narrow for a phone, since scaled-down letters cannot be
read; the page shows the one that fits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import altair as alt
import polars as pl
import vl_convert as vlc

from transforms.report.wording import HOUR_MS, leaf_name

WIDE, NARROW = 860, 250
INK, MUTED, GRID = "#1c2430", "#5b6675", "#e4e8ee"
KEPT, LOST, WAIT, OTHER, PLANNED = "#1f7a5c", "#c0392b", "#e08e2b", "#7d8898", "#5276b8"

LEAF_COLOURS = {
    "ideal": KEPT,
    "slow": "#7fb89f",
    **dict.fromkeys(("step_lost", "hang", "decide", "init", "restore", "down"), LOST),
    **dict.fromkeys(("queue_wait", "repair_wait", "data_stall", "ckpt_stall"), WAIT),
    "maintenance": PLANNED,
}


@dataclass(frozen=True)
class Picture:
    """One chart as two SVG texts, with the sentence that says what it shows."""

    wide: str
    narrow: str
    alt_text: str


def waterfall(leaves: pl.DataFrame) -> Picture:
    """Capacity, and each leaf of the tree taken off it in turn (leaf, gpu_ms)."""
    order = leaves.sort(
        pl.col("leaf").replace_strict({"ideal": 0, "slow": 1}, default=2, return_dtype=pl.Int8),
        pl.col("gpu_ms"),
        "leaf",
        descending=[False, True, False],
    ).with_columns(
        hours=pl.col("gpu_ms") / HOUR_MS,
        end=pl.col("gpu_ms").cum_sum() / HOUR_MS,
        name=pl.col("leaf").map_elements(leaf_name, return_dtype=pl.String),
        colour=pl.col("leaf").replace_strict(LEAF_COLOURS, default=OTHER, return_dtype=pl.String),
    )
    total = float(order["hours"].sum()) or 1.0
    steps = order.with_columns(
        begin=pl.col("end") - pl.col("hours"),
        label=pl.col("hours").map_elements(
            lambda h: f"{h:,.0f} h  {100 * h / total:.1f} %", return_dtype=pl.String
        ),
    ).with_columns(
        # Beside the bar where there is room, right before left; a bar without room holds its own.
        side=pl.when(pl.col("end") < 0.55 * total)
        .then(pl.lit("right"))
        .when(pl.col("begin") > 0.45 * total)
        .then(pl.lit("left"))
        .otherwise(pl.lit("inside"))
    )

    def draw(width: int) -> Any:
        y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=200))
        bars = alt.Chart(steps).mark_bar(height=16, cornerRadius=1)
        bars = bars.encode(
            x=alt.X("begin:Q", title="GPU-hours", scale=alt.Scale(domain=[0, total])),
            x2="end:Q",
            y=y,
            color=alt.Color("colour:N", scale=None),
        )
        return alt.layer(
            bars, *(_labels(steps, y, side) for side in ("right", "left", "inside"))
        ).properties(width=width, height=alt.Step(24))

    return _both(draw, f"Where {total:,.0f} GPU-hours of capacity went, leaf by leaf")


def _labels(steps: pl.DataFrame, y: alt.Y, side: str) -> alt.Chart:
    """The labels that stand on one side of their bars."""
    mark: dict[str, Any] = {
        "right": {"align": "left", "dx": 5, "color": INK},
        "left": {"align": "right", "dx": -5, "color": INK},
        "inside": {"align": "right", "dx": -6, "color": "white"},
    }[side]
    end = "begin:Q" if side == "left" else "end:Q"
    return (
        alt.Chart(steps.filter(pl.col("side") == side))
        .mark_text(fontSize=11, **mark)
        .encode(x=end, y=y, text="label:N")
    )


def causes(frame: pl.DataFrame) -> Picture:
    """GPU-hours by the cause that owns them (cause, gpu_ms, interruptions)."""
    bars = frame.filter(pl.col("gpu_ms") > 0).with_columns(
        hours=pl.col("gpu_ms") / HOUR_MS,
        colour=pl.when(pl.col("cause").is_in(["Planned", "Human"]))
        .then(pl.lit(PLANNED))
        .otherwise(pl.lit(LOST)),
        label=pl.format(
            "{} h, {} stops", (pl.col("gpu_ms") / HOUR_MS).round(0).cast(pl.Int64), "interruptions"
        ),
    )
    most = float(bars["hours"].max() or 1.0)  # type: ignore[arg-type]

    def draw(width: int) -> Any:
        y = alt.Y("cause:N", sort=None, title=None, axis=alt.Axis(labelLimit=160))
        base = alt.Chart(bars)
        x = alt.X("hours:Q", title="GPU-hours", scale=alt.Scale(domain=[0, most * 1.5]))
        return alt.layer(
            base.mark_bar(height=16, cornerRadius=1).encode(
                x=x, y=y, color=alt.Color("colour:N", scale=None)
            ),
            base.mark_text(align="left", dx=5, fontSize=11, color=INK).encode(
                x=x, y=y, text="label:N"
            ),
        ).properties(width=width, height=alt.Step(24))

    return _both(draw, "GPU-hours by the cause that owns them")


def rates(frame: pl.DataFrame) -> Picture:
    """Failures per 1000 node-days by class, with exact intervals (week_rates)."""

    def draw(width: int) -> Any:
        y = alt.Y("class:N", sort=None, title=None, axis=alt.Axis(labelLimit=160))
        base = alt.Chart(frame)
        title = "failures per 1000 in-service node-days, with 95 % interval"
        short = "per 1000 node-days, 95 %"
        return alt.layer(
            base.mark_rule(strokeWidth=2, color=MUTED).encode(
                x=alt.X(
                    "per_1000_node_days_lo:Q",
                    title=title if width == WIDE else short,
                ),
                x2="per_1000_node_days_hi:Q",
                y=y,
            ),
            base.mark_point(filled=True, size=70, color=LOST, opacity=1).encode(
                x="per_1000_node_days:Q", y=y
            ),
        ).properties(width=width, height=alt.Step(24))

    return _both(draw, "Failure rate by class with its exact 95 % interval")


LANE_COLOURS = {"attempt": "#9fb3c8", "stopped": WAIT, "lost steps": LOST, "checkpoint": KEPT}


def timeline(frame: pl.DataFrame) -> Picture:
    """Attempts, stops, lost steps and checkpoints of the largest runs (run_timeline)."""
    lanes = list(LANE_COLOURS)
    frame = frame.with_columns(pl.col("what").cast(pl.Enum(lanes)))
    runs = frame["run"].unique(maintain_order=True).to_list()

    def draw(width: int) -> Any:
        x = alt.X(
            "began:T",
            title=None,
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(format="%d %b", tickCount=7 if width == WIDE else 4),
        )
        y = alt.Y("what:N", sort=lanes, title=None, scale=alt.Scale(domain=lanes))
        scale = alt.Scale(domain=lanes, range=list(LANE_COLOURS.values()))
        color = alt.Color("what:N", legend=None, scale=scale)
        rows = []
        for run in runs:
            own = frame.filter(pl.col("run") == run)
            moment = pl.col("what") == "checkpoint"
            bars = alt.Chart(own.filter(~moment)).mark_bar(height=14, minBandSize=1)
            ticks = alt.Chart(own.filter(moment)).mark_tick(height=10, thickness=1)
            rows.append(
                alt.layer(
                    bars.encode(x=x, x2="ended:T", y=y, color=color),
                    ticks.encode(x=x, y=y, color=color),
                ).properties(
                    width=width,
                    height=84,
                    title=alt.TitleParams(run, anchor="start", fontSize=12, color=INK),
                )
            )
        return alt.vconcat(*rows).resolve_scale(x="shared")

    return _both(draw, f"Timeline of {', '.join(runs)}: attempts, stops, lost steps, checkpoints")


def telemetry(frame: pl.DataFrame, failed_at: object, title: str) -> Picture:
    """Readings of one GPU before and after it failed (observed_at, metric, value)."""
    metrics = frame["metric"].unique(maintain_order=True).to_list()
    rule = pl.DataFrame({"observed_at": [failed_at]})

    def draw(width: int) -> Any:
        rows = [
            alt.layer(
                alt.Chart(frame.filter(pl.col("metric") == metric))
                .mark_line(color=PLANNED, strokeWidth=1.5)
                .encode(
                    x=alt.X(
                        "observed_at:T",
                        title=None,
                        scale=alt.Scale(type="utc"),
                        axis=alt.Axis(format="%d %b %H:%M", tickCount=6 if width == WIDE else 3),
                    ),
                    y=alt.Y(
                        "value:Q",
                        title=None,
                        scale=alt.Scale(zero=False),
                        axis=alt.Axis(tickCount=3),
                    ),
                ),
                alt.Chart(rule)
                .mark_rule(color=LOST, strokeWidth=2, strokeDash=[4, 3])
                .encode(x="observed_at:T"),
            ).properties(
                width=width,
                height=70,
                title=alt.TitleParams(metric, anchor="start", fontSize=11, color=MUTED),
            )
            for metric in metrics
        ]
        return alt.vconcat(*rows).resolve_scale(x="shared")

    return _both(draw, title)


HOURLY = {
    "heard_gpu_hours": "GPU-hours sampled, in each hour",
    "utilisation": "Mean utilisation of those (%)",
    "power_w": "Mean power of a GPU (W)",
    "hottest_c": "Hottest GPU (C)",
}


def sampled_hours(frame: pl.DataFrame, since: date, until: date) -> Picture:
    """What was sampled in each hour, and what it said (week_sample_hours); no bar is no sample."""
    ends = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (since, until)]
    bars = frame.with_columns(
        pl.col("utilisation") * 100, ended=pl.col("hour_at").dt.offset_by("1h"), nought=pl.lit(0)
    )
    told = [name for name in HOURLY if bars[name].count()]

    def draw(width: int) -> Any:
        scale = alt.Scale(type="utc", domain=[end.isoformat() for end in ends])
        ticks = 7 if width == WIDE else 4
        rows = [
            alt.Chart(bars.select("hour_at", "ended", "nought", name).drop_nulls())
            .mark_rect(color=PLANNED)
            .encode(
                x=alt.X(
                    "hour_at:T",
                    title=None,
                    scale=scale,
                    axis=alt.Axis(format="%d %b", tickCount=ticks, labels=name == told[-1]),
                ),
                x2="ended:T",
                y=alt.Y(f"{name}:Q", title=None, axis=alt.Axis(tickCount=2, minExtent=36)),
                y2="nought:Q",
            )
            .properties(
                width=width,
                height=44,
                title=alt.TitleParams(HOURLY[name], anchor="start", fontSize=11, color=MUTED),
            )
            for name in told
        ]
        return alt.vconcat(*rows, spacing=4).resolve_scale(x="shared")

    return _both(
        draw, f"{', '.join(HOURLY.values())}, hour by hour; an hour without a bar is unknown"
    )


def _both(draw: Callable[[int], Any], alt_text: str) -> Picture:
    wide, narrow = (_svg(draw(width)) for width in (WIDE, NARROW))
    return Picture(wide=wide, narrow=narrow, alt_text=alt_text)


def _svg(chart: Any) -> str:
    styled = (
        chart.configure(font="DejaVu Sans, Arial, sans-serif", background="transparent", padding=2)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=GRID,
            domainColor=GRID,
            tickColor=GRID,
            labelColor=INK,
            titleColor=MUTED,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
        )
    )
    return vlc.vegalite_to_svg(styled.to_json())
