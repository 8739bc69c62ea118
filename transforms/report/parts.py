"""The report's parts, each a table and perhaps a picture, from the answers to the week's questions."""

from dataclasses import dataclass, field

import polars as pl

from transforms.report import charts
from transforms.report.wording import hours, leaf_name, minutes, money, percent, rate


@dataclass(frozen=True)
class Column:
    name: str
    css: str = ""

    @property
    def is_number(self) -> bool:
        return self.css == "n"


@dataclass(frozen=True)
class Part:
    """One section: a title, a sentence, a picture and a table, the last two optional."""

    id: str
    title: str
    text: str = ""
    columns: list[Column] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    picture: charts.Picture | None = None
    empty: str = ""


@dataclass(frozen=True)
class Price:
    per_gpu_hour: float | None
    currency: str | None

    def of(self, gpu_ms: float | None) -> str:
        return money(gpu_ms, self.per_gpu_hour, self.currency)


def named_columns(*names: str) -> list[Column]:
    """`#name` is a number, `@name` raw text, `~name` a word that must not break."""
    css = {"#": "n", "@": "raw", "~": "whole"}
    return [Column(n.lstrip("#@~"), css.get(n[0], "")) for n in names]


def losses(leaves: pl.DataFrame, price: Price) -> Part:
    total = float(leaves["gpu_ms"].sum())
    return Part(
        id="losses",
        title="Where every GPU-hour went",
        text="Each GPU-millisecond of the fleet has one home; the rows sum to the capacity exactly.",
        columns=named_columns("What", "#GPU-hours", "#Share", "#Cost"),
        rows=[
            [
                leaf_name(r["leaf"]),
                hours(r["gpu_ms"]),
                percent(r["gpu_ms"], total),
                price.of(r["gpu_ms"]),
            ]
            for r in leaves.iter_rows(named=True)
        ]
        + [["Capacity", hours(total), percent(total, total), price.of(total)]],
        picture=charts.waterfall(leaves) if total else None,
    )


def causes(frame: pl.DataFrame, price: Price) -> Part:
    return Part(
        id="causes",
        title="What stopped runs, and what it took",
        text=(
            "A stop owns the time from the last progress to the first new step, and the steps it "
            "discarded; no time has two owners. Unknown stays its own cause."
        ),
        columns=named_columns(
            "Cause", "#Stops", "#Share of stops", "#GPU-hours", "#Cost", "#Median to resume"
        ),
        rows=[
            [
                r["cause"],
                str(r["interruptions"]),
                percent(r["interruptions"], float(frame["interruptions"].sum())),
                hours(r["gpu_ms"]),
                price.of(r["gpu_ms"]),
                minutes(r["median_minutes"]),
            ]
            for r in frame.iter_rows(named=True)
        ],
        picture=charts.causes(frame) if frame["gpu_ms"].sum() else None,
        empty="No run was stopped.",
    )


def rates(frame: pl.DataFrame) -> Part:
    known = frame.filter(pl.col("per_1000_node_days").is_not_null())
    return Part(
        id="rates",
        title="How often things fail",
        text=(
            "Incidents, not log lines: events of one node with less than 180 s of silence between "
            "them count once (definition coalesced-180s). Clock: in-service node-days. Intervals "
            "are exact 95 % (Garwood)."
        ),
        columns=named_columns("Class", "#Failures", "#Node-days", "#Per 1000 node-days (95 %)"),
        rows=[
            [
                r["class"],
                str(r["failures"]),
                f"{r['node_days']:,.1f}",
                rate(
                    r["per_1000_node_days"], r["per_1000_node_days_lo"], r["per_1000_node_days_hi"]
                ),
            ]
            for r in known.iter_rows(named=True)
        ],
        picture=charts.rates(known) if len(known) else None,
        empty="No exposure in these days: no rate can be given.",
    )


def incidents(frame: pl.DataFrame, price: Price) -> Part:
    return Part(
        id="incidents",
        title="The dearest incidents",
        text="`faultledger sql \"FROM incident_members WHERE incident = '...'\"` lists every raw line.",
        columns=named_columns(
            "~Began (UTC)",
            "~Node",
            "What",
            "Code",
            "Severity",
            "Runs",
            "#GPU-hours",
            "#Cost",
            "@Root line",
            "@Incident",
        ),
        rows=[
            [
                f"{r['began']:%d %b %H:%M:%S}",
                r["node"] or "-",
                f"{r['class']}: {r['component']}",
                str(r["root_code"] or "-"),
                r["severity"],
                r["runs"] or "-",
                hours(r["gpu_ms"]),
                price.of(r["gpu_ms"]),
                r["evidence"] or "-",
                r["incident"],
            ]
            for r in frame.iter_rows(named=True)
        ],
        empty="No incident took GPU time.",
    )


def runs(frame: pl.DataFrame, timeline: pl.DataFrame) -> Part:
    return Part(
        id="runs",
        title="Runs",
        text=(
            "ETTR: kept step time over the run's own wall time, its waits included (Meta's reading). "
            "Allocated goodput leaves the waits out; ideal is kept work at the run's ideal step time."
        ),
        columns=named_columns(
            "Run",
            "#GPUs",
            "#GPU-hours",
            "#ETTR",
            "#Allocated goodput",
            "#Ideal",
            "#Lost steps",
            "#Unplanned stops",
        ),
        rows=[
            [
                r["run"],
                str(r["gpus"]),
                hours(r["wall_gpu_ms"]),
                percent(r["kept_gpu_ms"], r["wall_gpu_ms"]),
                percent(r["kept_gpu_ms"], r["wall_gpu_ms"] - r["wait_gpu_ms"]),
                percent(r["ideal_gpu_ms"], r["wall_gpu_ms"]),
                f"{hours(r['lost_gpu_ms'])} h",
                str(r["interruptions"]),
            ]
            for r in frame.iter_rows(named=True)
        ],
        picture=charts.timeline(timeline) if len(timeline) else None,
        empty="No run logged steps in these days; their jobs are in 'Jobs without step logs'.",
    )


def telemetry(frame: pl.DataFrame) -> Part | None:
    """Readings of the GPUs that failed, before and after; None where nothing was sampled."""
    if frame.is_empty():
        return None
    first = frame.row(0, named=True)
    title = f"{first['gpu']} on {first['node']} before and after {first['component']} at {first['failed_at']:%d %b %H:%M} UTC"
    return Part(
        id="telemetry",
        title="Telemetry around a failure",
        text=f"{title}; the dashed line is the incident's first event.",
        picture=charts.telemetry(
            frame.select("observed_at", "metric", "value"), first["failed_at"], title
        ),
    )


def quality(frame: pl.DataFrame) -> Part:
    return Part(
        id="quality",
        title="How far to trust this",
        text="What was not observed is unknown, never healthy. What could not be read is a row of `rejects`.",
        columns=named_columns("Measure", "#Value", "#Of", "#Share", "Reading"),
        rows=[
            [
                r["measure"],
                _count(r["value"]),
                _count(r["whole"]),
                percent(r["value"], r["whole"]),
                r["reading"] or "",
            ]
            for r in frame.iter_rows(named=True)
        ],
        empty="No quality measure is available.",
    )


def _count(value: float | None) -> str:
    """A count as it is, an amount with one decimal."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
