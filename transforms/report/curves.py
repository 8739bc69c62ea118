"""Pictures of ages: survival and mean cumulative functions as steps with their bands, inline SVG."""

from typing import Any

import altair as alt
import polars as pl

from transforms.report.charts import (
    INK,
    KEPT,
    LOST,
    MUTED,
    OTHER,
    PLANNED,
    WAIT,
    WIDE,
    Picture,
    _both,
)

COLOURS = (PLANNED, LOST, KEPT, WAIT, OTHER, "#7d4fa3", "#2b8ca3", "#8a6d3b")
MOST = len(COLOURS)
"""Curves that one picture can hold apart."""


def curves(frame: pl.DataFrame, of: str, age: str, value: str) -> Picture:
    """Steps of each group (group, age, value, lo, hi) with a band; the first MOST groups.

    Each curve begins at its first row; `age` and `value` title the axes, `of` the picture.
    """
    names = frame["group"].unique(maintain_order=True).to_list()
    shown = frame.filter(pl.col("group").is_in(names[:MOST]))
    left_out = len(names) - MOST
    is_share = value.startswith("share")

    def draw(width: int) -> Any:
        x = alt.X("age:Q", title=age, scale=alt.Scale(zero=False, nice=False))
        y = alt.Y(
            "value:Q",
            title=value,
            scale=alt.Scale(domain=[0, 1]) if is_share else alt.Scale(zero=True),
        )
        scale = alt.Scale(domain=names[:MOST], range=list(COLOURS[: len(names)]))
        legend = alt.Legend(title=None, orient="top", labelColor=INK, labelLimit=width - 40)
        color = alt.Color("group:N", scale=scale, legend=legend if len(names) > 1 else None)
        base = alt.Chart(shown)
        return alt.layer(
            base.mark_area(interpolate="step-after", opacity=0.16).encode(
                x=x, y=alt.Y("lo:Q"), y2="hi:Q", color=color
            ),
            base.mark_line(interpolate="step-after", strokeWidth=2).encode(x=x, y=y, color=color),
        ).properties(
            width=width,
            height=280 if width == WIDE else 200,
            title=alt.TitleParams(of, anchor="start", fontSize=13, color=INK, subtitleColor=MUTED),
        )

    told = f"; {left_out} groups more are not drawn" if left_out > 0 else ""
    return _both(draw, f"{of}: {value} by {age}, with bands{told}")
