"""The weekly reliability report: answers to the week's questions in, HTML, Markdown and JSON out.

Every question is a file of sql/questions and the study of suspects a command, so each number of the
report can be asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from transforms.report.headline import Card, cards
from transforms.report.markdown import markdown
from transforms.report.node_parts import nodes, suspected
from transforms.report.page import page
from transforms.report.parts import (
    Part,
    Price,
    causes,
    incidents,
    losses,
    quality,
    rates,
    runs,
    telemetry,
)
from transforms.report.sample_parts import samples

QUESTIONS = (
    "week_headline",
    "week_leaves",
    "week_causes",
    "week_rates",
    "week_nodes",
    "week_incidents",
    "week_runs",
    "run_timeline",
    "week_samples",
    "week_sample_hours",
    "week_sample_nodes",
    "week_telemetry",
    "week_quality",
)
"""Asked with since and until; `week_headline_before` is week_headline of the stretch before, and
`week_suspects` what the study of suspects says at the end of it (perhaps nothing)."""


@dataclass(frozen=True)
class Rendered:
    """One report in its three forms, and the headline as a terminal shows it."""

    html: str
    markdown: str
    summary: dict[str, object]
    headline: list[str]


def render(
    frames: Mapping[str, pl.DataFrame], since: date, until: date, title: str, as_of: str
) -> Rendered:
    """Draw up the report of [since, until) from the answers named in QUESTIONS."""
    now = frames["week_headline"].row(0, named=True)
    before = frames["week_headline_before"].row(0, named=True)
    price = Price(now["price"], now["currency"])
    shown: list[Card] = cards(now, before, frames["week_runs"], price)
    parts: list[Part] = [
        losses(frames["week_leaves"], price),
        causes(frames["week_causes"], price),
        runs(frames["week_runs"], frames["run_timeline"]),
        rates(frames["week_rates"]),
        incidents(frames["week_incidents"], price),
        nodes(frames["week_nodes"], frames["week_suspects"], price),
        *samples(
            frames["week_samples"],
            frames["week_sample_hours"],
            frames["week_sample_nodes"],
            since,
            until,
        ),
        *filter(None, [telemetry(frames["week_telemetry"])]),
        quality(frames["week_quality"]),
    ]
    last = until - timedelta(days=1)
    partial = (
        ""
        if now["days"] == (until - since).days
        else f" Partial: {now['days']} of {(until - since).days} days observed."
    )
    lead = f"{since:%A %d %B %Y} to {last:%A %d %B %Y}, UTC. {now['nodes']} nodes.{partial} As of {as_of}."
    footer = (
        "Definitions: failures are incidents after 180 s coalescing (coalesced-180s); rates run on the "
        "in-service clock; GPU time follows the tree of leaves in the README. Earlier reports of this "
        "week may differ: later failures discard steps that counted before."
    )
    return Rendered(
        html=page(title=title, lead=lead, cards=shown, parts=parts, footer=footer),
        markdown=markdown(title, lead, shown, parts, footer),
        summary={
            "since": since.isoformat(),
            "until": until.isoformat(),
            "as_of": as_of,
            **now,
            "runs": frames["week_runs"].to_dicts(),
            "leaves": frames["week_leaves"].to_dicts(),
            "causes": frames["week_causes"].to_dicts(),
            "rates": frames["week_rates"].to_dicts(),
            "samples": frames["week_samples"].to_dicts(),
            "suspects": suspected(frames["week_suspects"]).to_dicts(),
        },
        headline=[f"{card.name}: {card.value}  ({'; '.join(card.lines)})" for card in shown],
    )
