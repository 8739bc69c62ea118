"""The report's parts on telemetry: what the week's samples said, and what they left unsaid."""

from datetime import date

import polars as pl

from transforms.report import charts
from transforms.report.parts import Part, named_columns
from transforms.report.wording import percent

UNTOLD = {
    "busy": "utilisation",
    "energy": "power",
    "heat": "slowdown by heat",
    "brake": "slowdown by power brake or hardware",
    "ecc_corrected": "corrected ECC errors",
    "ecc_uncorrected": "uncorrected ECC errors",
    "rows": "remapped rows",
    "pcie": "PCIe replays",
    "nvlink": "NVLink errors",
    "links": "fabric ports",
}


def samples(
    measures: pl.DataFrame, hours: pl.DataFrame, nodes: pl.DataFrame, since: date, until: date
) -> list[Part]:
    """What the week's samples say of the fleet, and of the nodes that they speak against.

    No part where no GPU was sampled (week_samples, week_sample_hours, week_sample_nodes).
    """
    if measures.is_empty():
        return []
    return [_of_the_fleet(measures, hours, since, until), _of_nodes(nodes)]


def _of_the_fleet(measures: pl.DataFrame, hours: pl.DataFrame, since: date, until: date) -> Part:
    return Part(
        id="samples",
        title="What telemetry saw",
        text=(
            "From the hourly rollups of the samples; a sample speaks for at most two polling "
            f"intervals. {unobserved(measures)}"
        ),
        columns=named_columns("Measure", "#Value", "#Of", "#Share", "Reading"),
        rows=[
            [
                r["measure"],
                amount(r["value"]),
                amount(r["whole"]),
                percent(r["value"], r["whole"]),
                r["reading"] or "",
            ]
            for r in measures.filter(pl.col("value").is_not_null()).iter_rows(named=True)
        ],
        picture=charts.sampled_hours(hours, since, until),
    )


def unobserved(measures: pl.DataFrame) -> str:
    """The sentence on what the samples cannot say: GPU-hours, nodes and quantities without one."""
    said = {r["topic"]: r for r in measures.iter_rows(named=True)}
    coverage, nodes = said["coverage"], said.get("nodes")
    gaps = []
    if coverage["whole"]:
        missing = max(coverage["whole"] - coverage["value"], 0.0)
        if missing:
            gaps.append(
                f"{amount(missing)} of {amount(coverage['whole'])} GPU-hours "
                f"({percent(missing, coverage['whole'])})"
            )
    else:
        gaps.append("how many GPUs there were")
    if nodes and nodes["value"]:
        gaps.append(f"{amount(nodes['value'])} of {amount(nodes['whole'])} nodes all week")
    if silent := [name for topic, name in UNTOLD.items() if _is_untold(said.get(topic))]:
        gaps.append(f"{', '.join(silent)} of any")
    if not gaps:
        return "Every GPU-hour was observed, and all that is asked here was told."
    return f"Not observed, hence unknown and not healthy: {'; '.join(gaps)}."


def _is_untold(row: dict | None) -> bool:
    return row is not None and row["value"] is None


def _of_nodes(nodes: pl.DataFrame) -> Part:
    return Part(
        id="sampled-nodes",
        title="Nodes that their samples speak against",
        text=(
            "Nodes with errors, slowdowns or among the five hottest: uncorrected errors first, then "
            "the most kinds of signs, then heat. Counts are what counters rose by in the week, at "
            "least; a dash is what no sample tells, which is not none."
        ),
        columns=named_columns(
            "~Node",
            "#GPU-hours sampled",
            "#Hottest (C)",
            "#Slowed GPU-hours",
            "#ECC corrected",
            "#ECC uncorrected",
            "#PCIe replays",
            "#NVLink errors",
            "#Links down",
            "@Hottest GPU",
        ),
        rows=[
            [
                r["node"] or "(unnamed)",
                amount(r["heard_gpu_hours"]),
                amount(r["hottest_c"]),
                *(
                    amount(r[name])
                    for name in (
                        "slowed_gpu_hours",
                        "ecc_corrected",
                        "ecc_uncorrected",
                        "pcie_replays",
                        "nvlink_errors",
                        "link_downs",
                    )
                ),
                r["hottest_gpu"] or "-",
            ]
            for r in nodes.iter_rows(named=True)
        ],
        empty="No node's samples show anything.",
    )


def amount(value: float | None) -> str:
    """A count as it is, an amount with three digits or all those before the point."""
    if value is None:
        return "-"
    if value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
