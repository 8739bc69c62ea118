"""How good is each health check: does it find failures, in time, and how often for nothing (D-5)?

Reporters are health agents (by the name they report under), boards' controllers, and the checks
that a scheduler's reasons name (nhc and the like). Each is scored against failures that somebody
else saw too: ones that stopped a run, or that the kernel, a board or a ticket tells of as well. A
drain alone is no witness, since most agents drain what they suspect; without that rule every
check would be right about whatever it said itself.

An alarm hits a failure of its node that comes within the window after it, or came at most some
minutes before it. Alarms that repeat within the window are one.
"""

import math

import numpy as np
import polars as pl

from transforms.alike import heads
from transforms.fleet import place
from transforms.reliability import precursors as d5
from transforms.reliability.dispersion import rate_limits
from transforms.reported import board_reports
from transforms.studies.base import Asked, RefusalError, Study, at_risk, number
from transforms.studies.precursors import three
from transforms.studies.watch import Watch, between_nodes, failures_of, watched
from transforms.tables import derived as d
from transforms.tables import observed as o

CHECKS = r"(?i)\b(nhc|lbnl nhc|gpud|nvsentinel|dcgm|health ?check|node ?check)"
WITNESSES = ("kernel_events", "bmc_events", "outages")
CONTROLLER = "board controller"

ANSWER = {
    "reporter": pl.String,
    "alarms": pl.Int64,
    "alarms_hit": pl.Int64,
    "precision": pl.Float64,
    "precision_lo": pl.Float64,
    "precision_hi": pl.Float64,
    "failures": pl.Int64,
    "found": pl.Int64,
    "recall": pl.Float64,
    "recall_lo": pl.Float64,
    "recall_hi": pl.Float64,
    "found_early": pl.Int64,
    "lead_minutes_median": pl.Float64,
    "lead_minutes_p10": pl.Float64,
    "node_months": pl.Float64,
    "false_alarms_per_node_month": pl.Float64,
    "false_alarms_lo": pl.Float64,
    "false_alarms_hi": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
}


def detectors(
    asked: Asked,
    *,
    cluster_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    node_states: pl.DataFrame,
    incidents: pl.DataFrame,
    incident_members: pl.DataFrame,
    exposure: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """One row per reporter that raised an alarm, by name.

    Options: `window` (hours an alarm may come early, 24), `late` (minutes it may come late, 10).
    `failures` are those that others witnessed, and `found_early` those whose alarm was first; a
    lead below 0 is an alarm after the fact. Node-months are of all nodes watched, on wall time.
    `phi` is the scatter of alarms between nodes; a few chatty nodes widen the limits.
    """
    window = number(asked, "window", 24, 0.01, 8760) / 24
    late = number(asked, "late", 10, 0, 10_000) / 1440
    at_risk(exposure, asked)
    watch = watched(exposure, fleet)
    alarms = watch.numbered(_alarms(cluster_events, bmc_events, node_states, fleet))
    if alarms.is_empty():
        raise RefusalError(
            "no health agent, board or scheduler's check raised an alarm on the days asked: "
            "ingest their records"
        )
    failed = watch.numbered(failures_of(incidents, incident_members, asked))
    stopped = incidents.filter(pl.col("interrupts") > 0).select("incident")
    # Members of one incident and table stand side by side: most repeat what the one before said.
    told, _ = heads(incident_members, ("incident", "source_table"))
    told = told.cast({"source_table": pl.String})
    told = told.filter(pl.col("source_table").is_in(WITNESSES))
    told = told.join(failed.select("incident"), on="incident", how="semi").unique()
    rows = []
    for (reporter, own), mine in alarms.sort("reporter", "number", "day").group_by(
        "reporter", "own", maintain_order=True
    ):
        others = told.filter(pl.col("source_table") != own).select("incident")
        seen = failed.join(pl.concat([stopped, others]), on="incident", how="semi")
        rows.append(_row(str(reporter), mine, seen, watch, window, late, asked))
    return pl.DataFrame(rows, schema=ANSWER).with_columns(
        window_hours=pl.lit(24 * window),
        late_minutes=pl.lit(1440 * late),
        clock=pl.lit("wall"),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _row(
    reporter: str,
    alarms: pl.DataFrame,
    failed: pl.DataFrame,
    watch: Watch,
    window: float,
    late: float,
    asked: Asked,
) -> dict:
    sign = (alarms["number"].to_numpy(), alarms["day"].to_numpy())
    # Moved later by what an alarm may come late, a failure found afterwards is found before.
    fail = (failed["number"].to_numpy(), failed["day"].to_numpy() + late)
    if failed.is_empty():
        # Any failure of a node without alarms makes the episodes countable.
        fail = (np.zeros(1, np.int64), np.array([watch.entry.min() - window - 1]))
    shadows = d5.Shadows.of(*sign, *fail, watch.entry, watch.leave, window + late)
    found, any_time = (shadows.judged(lead, asked.level) for lead in (late, -1.0))
    wrong = found.alarms - any_time.alarms_hit
    is_new = (alarms["number"].diff() != 0) | (alarms["day"].diff() > window + late)
    opened = alarms.filter(is_new.fill_null(True))["number"].to_numpy()
    phi, assumption = between_nodes(opened, watch, asked.seed)
    wide = phi if phi and assumption == "not held" else 1.0
    lo, hi = rate_limits(wrong, watch.node_months, wide, asked.level)
    return {
        "reporter": reporter,
        "alarms": found.alarms,
        "alarms_hit": any_time.alarms_hit,
        **three("precision", any_time.precision),
        "failures": failed.height,
        "found": any_time.failures_in_time,
        **(three("recall", any_time.recall) if failed.height else {}),
        "found_early": found.failures_in_time,
        **_lead(any_time, late),
        "node_months": watch.node_months,
        "false_alarms_per_node_month": wrong / watch.node_months,
        "false_alarms_lo": lo,
        "false_alarms_hi": hi,
        "phi": phi,
        "assumption": assumption,
    }


def _lead(found: d5.Precursor, late: float) -> dict:
    if math.isnan(found.lead_median):
        return {}
    return {
        "lead_minutes_median": 1440 * (found.lead_median - late),
        "lead_minutes_p10": 1440 * (found.lead_p10 - late),
    }


def _alarms(
    cluster_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    node_states: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """cluster, node, at, reporter, and `own`: the table it reports into."""
    agents = place(cluster_events, fleet).filter(pl.col("level").cast(pl.String) != "info")
    boards = board_reports(place(bmc_events, fleet)).filter(
        pl.col("counts").is_in(["yes", "corroborate"])
    )
    checks = place(node_states, fleet).with_columns(
        check=pl.col("reason").str.extract(CHECKS).str.to_lowercase().str.replace_all(" ", "")
    )
    columns = ["cluster", "node", "at", "reporter", "own"]
    parts = (
        agents.rename({"observed_at": "at"}).with_columns(own=pl.lit("cluster_events")),
        boards.rename({"observed_at": "at"}).with_columns(
            own=pl.lit("bmc_events"), reporter=pl.lit(CONTROLLER)
        ),
        checks.filter(pl.col("check").is_not_null()).with_columns(
            at=pl.col("began"),
            own=pl.lit("node_states"),
            reporter=pl.format("scheduler: {}", "check"),
        ),
    )
    told = pl.concat([part.select(columns) for part in parts])
    return told.filter(pl.col("node") != "").unique()


STUDY = Study(
    name="detectors",
    title="How good is each health check: precision, recall, lead time, false alarms",
    reads=(
        o.CLUSTER_EVENTS,
        o.BMC_EVENTS,
        o.NODE_STATES,
        d.INCIDENTS,
        d.INCIDENT_MEMBERS,
        d.EXPOSURE,
        d.FLEET,
    ),
    by=detectors,
)
