"""The report's part on single nodes: the week's counts beside what their history makes likely."""

import polars as pl

from transforms.report.parts import Part, Price, named_columns
from transforms.report.wording import hours, rate


def suspected(suspects: pl.DataFrame) -> pl.DataFrame:
    """The rows of the study that name somebody."""
    if suspects.is_empty():
        return suspects
    return suspects.filter(pl.col("verdict") != "no evidence")


def nodes(frame: pl.DataFrame, suspects: pl.DataFrame, price: Price) -> Part:
    """Suspects first, likeliest lemon first, then the week's other nodes by count."""
    weighed = {(r["cluster"], r["node"]): r for r in suspects.iter_rows(named=True)}
    week = {(r["cluster"], r["node"]): r for r in frame.iter_rows(named=True)}
    named = [(r["cluster"], r["node"]) for r in suspected(suspects).iter_rows(named=True)]
    order = [*named, *(key for key in week if key not in set(named))]
    columns = ["~Node", "~Rack", "#Failures", "#Per 1000 node-days (95 %)", "What", "#GPU-hours", "#Cost"]  # fmt: skip
    if weighed:
        columns += ["#P(lemon)", "#Saved in 28 days", "Verdict"]
        first = next(iter(weighed.values()))
        text = (
            "Failures, rate and cost are the week's. P(lemon) is the chance that a node fails over "
            "three times as often as its fleet, from the last 90 days it was at risk on the "
            f"{first['clock'].replace('_', '-')} clock ({first['assumption']}); saved are the "
            "GPU-hours that a drain and test would spare, its own cost taken off. Suspects of one "
            "tier overlap: their order means nothing."
        )
    else:
        text = (
            "Sorted by count. Where intervals overlap, the order between two nodes means nothing. "
            "Too few failures or too little exposure to weigh nodes against their fleet."
        )
    rows = [
        _of_week(key, week.get(key), price) + (_weighed(weighed.get(key)) if weighed else [])
        for key in order
    ]
    for row, key in zip(rows, order, strict=True):
        if row[1] == "-" and (found := weighed.get(key)):
            row[1] = found["rack"] or "-"
    return Part(
        id="nodes",
        title="Nodes to look at",
        text=text,
        columns=named_columns(*columns),
        rows=rows,
        empty="No node failed.",
    )


def _of_week(key: tuple[str, str], r: dict | None, price: Price) -> list[str]:
    if r is None:
        return [key[1], "-", "0", "-", "nothing this week", "-", "-"]
    return [
        r["node"] or "(unnamed)",
        r["rack"] or "-",
        str(r["failures"]),
        rate(r["per_1000_node_days"], r["per_1000_node_days_lo"], r["per_1000_node_days_hi"]),
        r["components"],
        hours(r["gpu_ms"]),
        price.of(r["gpu_ms"]),
    ]


def _weighed(r: dict | None) -> list[str]:
    if r is None or r["p_lemon"] is None:
        return ["-", "-", "not weighed"]
    net = r["net_gpu_hours"]
    tier = "" if r["tier"] is None else f"tier {r['tier']}: "
    saved = "-" if net is None or r["verdict"] == "no evidence" else f"{net:,.0f}"
    return [f"{100 * r['p_lemon']:.0f} %", saved, f"{tier}{r['verdict']}"]
