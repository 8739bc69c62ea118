"""A study's curves as a picture in a file."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from flows import studying
from flows.errors import CallError
from transforms.studies import Asked


def plot(root: Path, name: str, asked: Asked, to: Path) -> None:
    """Draw every step of `survival` or `recurrence`, or `checkpoint`'s curves, as SVG."""
    from transforms.report.curves import curves  # altair takes a second

    if to.suffix != ".svg":
        raise CallError(f"--plot {to}: pictures are SVG; name the file so, such as {to.stem}.svg.")
    steps = studying.answer(
        root,
        name,
        replace(asked, options={**asked.options, "at": "curve" if name == "checkpoint" else "all"}),
    )
    level = f"{100 * asked.level:g} % bands"
    if name == "recurrence":
        shown = steps.filter(pl.col("what") == "mean failures").select("group", "value", "lo", "hi", age="age_days")  # fmt: skip
        unit = asked.options.get("unit", "node")
        titles = (f"Mean failures per {unit}, {level}", "age (days)", f"failures per {unit}")
    elif name == "checkpoint":
        shown = steps.select(group="run", age="interval_min", value="ettr", lo="ettr_lo", hi="ettr_hi")  # fmt: skip
        titles = (
            f"Time kept by checkpoint interval, {level} of the failure rate",
            "productive minutes between saves",
            "share of time kept",
        )
    else:
        age = "age_hours" if "age_hours" in steps.columns else "age_days"
        by = steps.columns[: steps.columns.index(age)]
        label = pl.concat_str([pl.col(n).cast(pl.String).fill_null("unknown") for n in by], separator=", ")  # fmt: skip
        shown = steps.select(
            (label if by else pl.lit("all")).alias("group"),
            pl.col(age).alias("age"),
            value="survival",
            lo="survival_lo",
            hi="survival_hi",
        )
        of = asked.options.get("of", "first-failure")
        titles = (
            f"Kaplan-Meier of {of}, {level}",
            age.replace("_", " (") + ")",
            "share that lasts",
        )
    try:
        to.write_text(curves(shown, *titles).wide, encoding="utf-8")
    except OSError as error:
        raise CallError(f"--plot {to}: cannot be written ({error.strerror}).") from error
