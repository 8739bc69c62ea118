"""The headline: five numbers, each with its interval or its bounds, against the week before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from transforms.comparison import rate_ratio, smallest_detectable_change
from transforms.report.parts import Price
from transforms.report.wording import hours, percent, rate

# Above this share of unmeasured GPU time a point would pretend: bounds are printed (methods Q-8).
UNKNOWN_GATE = 0.20


@dataclass(frozen=True)
class Card:
    name: str
    value: str
    lines: list[str]
    warns: bool = False


def cards(
    now: Mapping[str, Any], before: Mapping[str, Any], runs: pl.DataFrame, price: Price
) -> list[Card]:
    """Draw the headline from this stretch's and the previous stretch's week_headline."""
    return [
        _goodput(now, before),
        *([_largest_run(runs.row(0, named=True))] if len(runs) else []),
        _failures(now, before),
        _lost(now, before, price),
        _interruptions(now),
    ]


def _goodput(now: Mapping[str, Any], before: Mapping[str, Any]) -> Card:
    """Ideal step time over capacity; bounds above the gate; no number where nothing logs steps."""
    capacity, kept, unsure = now["capacity_gpu_ms"], now["kept_gpu_ms"], now["unknown_gpu_ms"]
    if not capacity:
        return Card("Fleet goodput", "-", ["no GPU was in the fleet: no capacity"], warns=True)
    logged = now["allocated_gpu_ms"] - now["not_measured_gpu_ms"]
    if not logged:
        allocated = percent(now["allocated_gpu_ms"], capacity)
        lines = [
            "no job logs its steps: give training logs",
            f"{allocated} of {hours(capacity)} GPU-hours capacity allocated",
        ]
        return Card("Fleet goodput", "not measured", lines, warns=True)
    if unsure / capacity > UNKNOWN_GATE:
        value = f"{percent(kept, capacity)} to {percent(kept + unsure, capacity)}"
        note = f"bounds only: {percent(unsure, capacity)} of GPU time has no evidence"
    else:
        value = percent(now["ideal_gpu_ms"], capacity)
        note = f"ideal step time of {hours(capacity)} GPU-hours capacity"
    lines = [
        note,
        f"kept work {percent(kept, capacity)}; jobs without step logs {percent(now['not_measured_gpu_ms'], capacity)}",
    ]
    if before["allocated_gpu_ms"] - before["not_measured_gpu_ms"]:
        lines.append(f"week before: {percent(before['ideal_gpu_ms'], before['capacity_gpu_ms'])}")
    return Card("Fleet goodput", value, lines, warns="bounds" in note)


def _largest_run(run: Mapping[str, Any]) -> Card:
    held = run["wall_gpu_ms"] - run["wait_gpu_ms"]
    return Card(
        f"ETTR of {run['run']}",
        percent(run["kept_gpu_ms"], run["wall_gpu_ms"]),
        [
            f"{run['gpus']} GPUs; {percent(run['kept_gpu_ms'], held)} of its allocated time",
            f"{run['interruptions']} unplanned stops",
        ],
    )


def _failures(now: Mapping[str, Any], before: Mapping[str, Any]) -> Card:
    count, days = now["failures"], now["node_days"]
    if not days:
        return Card("Failures per 1000 node-days", "-", ["no node was in service"], warns=True)
    scale = 1000 / days
    lines = [f"{count} failures in {days:,.1f} in-service node-days; exact 95 % interval"]
    if before["node_days"]:
        change = rate_ratio(count, days, before["failures"], before["node_days"])
        if change.is_evidence:
            lines.append(
                f"{change.ratio:.2f} times the week before ({change.low:.2f} to {change.high:.2f})"
            )
        else:
            least = smallest_detectable_change(before["failures"])
            power = (
                "no change could show"
                if least == 1
                else f"a fall below {100 * least:.0f} % could not show"
            )
            lines.append(
                f"no evidence of change from the week before ({before['failures']} failures: {power})"
            )
    shown = rate(count * scale, now["failures_lo"] * scale, now["failures_hi"] * scale)
    return Card("Failures per 1000 node-days", shown, lines)


def _lost(now: Mapping[str, Any], before: Mapping[str, Any], price: Price) -> Card:
    lost = now["failure_gpu_ms"]
    lines = [f"{percent(lost, now['capacity_gpu_ms'])} of capacity, owned by unplanned failures"]
    if price.per_gpu_hour is None:
        value = f"{hours(lost)} GPU-hours"
        lines.append("no price set: settings.toml, [[prices]]")
    else:
        value = f"{hours(lost)} GPU-hours, {price.of(lost)}"
        lines.append(f"at {price.per_gpu_hour:g} {price.currency} per GPU-hour")
    if before["capacity_gpu_ms"]:
        lines.append(f"week before: {hours(before['failure_gpu_ms'])} GPU-hours")
    return Card("Lost to failures", value, lines)


def _interruptions(now: Mapping[str, Any]) -> Card:
    return Card(
        "Stops of runs",
        f"{now['interruptions']} unplanned",
        [f"{now['planned_stops']} planned", f"{now['nodes']} nodes over {now['days']} days"],
    )
