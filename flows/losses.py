"""Why a run was slow: its losses in order, each with its incident, its cost and its raw lines.

    faultledger ask why-was-my-run-slow --run llm-70b

The saved question names the records behind each loss; what they said is looked up in the landed
bytes. A line is shown only where it is certain: its file arrived once under its name, and is a
text of lines.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from flows import holding, output, warehouse
from flows.errors import CallError
from flows.lake import Lake
from flows.output import tell
from flows.reading import LARGEST
from transforms.money import gpu_hours

QUESTION = "why_was_my_run_slow"
MOST = 20
"""Losses that a terminal shows."""
MOST_RUNS, MOST_NODES = 12, 4
WIDEST = 200
"""Characters of a raw line that a terminal shows."""
# A syslog line begins with its priority, <6>: no document.
_DOCUMENT = re.compile(r'\s*(?:<[?!a-zA-Z]|\{\s*\n|\[\s*[\[{"\]])')
_RUNS = """
    SELECT run FROM run_time GROUP BY run
    ORDER BY count(*) FILTER (WHERE is_kept(leaf)) > 0 DESC, sum(gpu_ms) DESC, run
"""
_WHOLE = """
    SELECT run_goodput.*, run_mfu.mfu, run_mfu.mfu_wall
    FROM run_goodput
    LEFT JOIN run_mfu ON
        run_goodput.cluster = run_mfu.cluster AND run_goodput.run = run_mfu.run AND run_mfu.day IS NULL
    WHERE run_goodput.run = $run::VARCHAR
"""
FURTHER = {
    "slow": "which spells, and what the nodes showed meanwhile: faultledger slow",
    "ckpt_stall": "how often to save instead: faultledger checkpoint",
}
"""What to ask next about a loss without an incident, by its first leaf."""
_ARRIVALS = "SELECT file, source, sha256, bytes, modified FROM arrivals"


def tell_losses(root: Path, given: Mapping[str, object], form: output.Format) -> int:
    """Print the losses of the run `given["run"]`; an error lists the runs where there is no such."""
    run = given.get("run", "")
    losses = warehouse.ask(root, QUESTION, {"run": run})
    if losses.is_empty() and run not in (runs := warehouse.query(root, _RUNS)["run"].to_list()):
        listed = ", ".join(runs[:MOST_RUNS]) or "none: run `faultledger derive`"
        more = f" and {len(runs) - MOST_RUNS} more" if len(runs) > MOST_RUNS else ""
        what = f"no run {run}" if run else "which run? Name it with --run"
        raise CallError(f"{what}: there are {listed}{more}.")
    cited = losses["raw_lines"].explode().drop_nulls().unique()
    said = _texts(root, cited.to_list())
    if form == "table":
        for whole in warehouse.query(root, _WHOLE, {"run": run}).iter_rows(named=True):
            tell(_headline(whole, losses))
        _show(losses, said, str(run))
        return 0
    texts = [None if row is None else [said.get(c) for c in row] for row in losses["raw_lines"]]
    told = losses.with_columns(pl.Series("raw_texts", texts, dtype=pl.List(pl.String)))
    output.show(told, form)
    return 0


def _headline(whole: Mapping[str, Any], losses: pl.DataFrame) -> str:
    """How much GPU time the run had, and what became of it in one breath."""
    ended = whole["last_ended"]
    until = f"to {ended:%Y-%m-%d %H:%M}" if ended else "on, still running"
    began = f"from {whole['first_started']:%Y-%m-%d %H:%M} " if whole["first_started"] else ""
    hours = gpu_hours(whole["wall_gpu_ms"])
    told = (
        f"{whole['run']}: {hours:,.1f} GPU-hours {began}{until}, up to {whole['gpus'] or 0:,} GPUs; "
        f"{_count(whole['disruptions'], 'unplanned stop')}."
    )
    if whole["goodput"] is None:
        return f"{told} It logs no steps: what it kept is not measured."
    lost = float(losses["gpu_hours"].sum())
    currencies = losses["currency"].unique()
    is_priced = len(currencies) == 1 and currencies[0] is not None
    cost = f", {losses['cost'].sum():,.0f} {currencies[0]}" if is_priced else ""
    return (
        f"{told} Kept at the ideal pace: {gpu_hours(whole['ideal_gpu_ms']) / hours:.1%}; "
        f"lost, the dearest first: {lost:,.1f} GPU-hours, {lost / hours:.1%}{cost}.{_mfu(whole)}"
    )


def _show(losses: pl.DataFrame, said: Mapping[str, str], run: str) -> None:
    if losses.is_empty():
        tell("The run lost nothing.")
    for again in _nodes_again(losses):
        tell(again)
    for loss in losses.head(MOST).iter_rows(named=True):
        cost = "" if loss["cost"] is None else f"  {loss['cost']:,.0f} {loss['currency']}"
        tell(
            f"{loss['rank']:>3}  {loss['gpu_hours']:,.1f} GPU-hours  "
            f"{100 * loss['share']:.1f} %{cost}  {loss['why']}"
        )
        when = f"{loss['began']:%Y-%m-%d %H:%M} to {loss['ended']:%Y-%m-%d %H:%M}"
        if loss["stood_h"] is None:
            when = f"{loss['began']:%Y-%m-%d} to {loss['ended']:%Y-%m-%d}"
        else:
            counts = {"stop": loss["stops"], "planned stop": loss["planned_stops"]}
            if counts != {"stop": 1, "planned stop": 0}:
                when += "".join(f", {_count(n, what)}" for what, n in counts.items() if n)
            when += f", {loss['stood_h']:.2f} h without a new step"
        where = [f"incident {loss['incident']}"] if loss["incident"] else []
        where += [f"node {loss['node']}"] if loss["node"] else []
        tell(f"       {'; '.join([when, *where])}")
        tell(f"       {loss['leaves']}")
        for cited in loss["raw_lines"] or ():
            tell(output.one_line(f"       {cited}  {_cut(said.get(cited, ''))}".rstrip()))
        if not loss["incident"] and (further := FURTHER.get(loss["leaves"].split()[0])):
            tell(f"       {further} {run}")
    if len(losses) > MOST:
        rest = losses[MOST:]
        tell(
            f"and {len(rest)} more of {rest['gpu_hours'].sum():,.1f} GPU-hours: "
            "--format csv and json list all."
        )


def _nodes_again(losses: pl.DataFrame) -> list[str]:
    """The nodes behind more than one loss: one that comes again is the first to be drained."""
    told = (
        losses.drop_nulls("node")
        .filter(pl.col("node") != "")
        .group_by("node")
        .agg(pl.len().alias("times"), pl.col("gpu_hours").sum())
        .filter(pl.col("times") > 1)
        .sort(-pl.col("gpu_hours"), "node")
    )
    named = [
        f"{row['node']} ({row['times']} losses, {row['gpu_hours']:,.1f} GPU-hours)"
        for row in told.head(MOST_NODES).iter_rows(named=True)
    ]
    more = f" and {len(told) - MOST_NODES} more" if len(told) > MOST_NODES else ""
    return [f"Again and again: {', '.join(named)}{more}."] if named else []


def _mfu(whole: Mapping[str, Any]) -> str:
    """Nothing where `run_mfu` has a reason instead of a number."""
    if whole["mfu"] is None:
        return ""
    return f" MFU {whole['mfu']:.1%} while it trains, {whole['mfu_wall']:.1%} of all its time."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[:WIDEST]} ..."


def _texts(root: Path, cited: list[str]) -> dict[str, str]:
    """The text behind each `file:line`, where it is certain."""
    wanted: dict[str, list[tuple[int, str]]] = {}
    for name in cited:
        file, _, number = name.rpartition(":")
        wanted.setdefault(file, []).append((int(number), name))
    arrivals = warehouse.query(root, _ARRIVALS).filter(pl.col("file").is_in(list(wanted)))
    lake = Lake(root)
    texts: dict[str, str] = {}
    for row in arrivals.filter(pl.col("file").is_unique()).iter_rows(named=True):
        path = lake.landed_path(row["source"], row["sha256"])
        if not path.exists() or row["bytes"] > LARGEST:
            continue
        held = holding.hold_landed(path, row["file"], row["bytes"], row["modified"], lake.staging)
        try:
            text = held.text().read_all(LARGEST).decode("utf-8", "replace")
        finally:
            held.close()
        # In a document a record's number is not that of its line.
        if _DOCUMENT.match(text):
            continue
        lines = text.split("\n")
        texts |= {name: lines[n - 1].strip() for n, name in wanted[row["file"]] if n <= len(lines)}
    return texts
