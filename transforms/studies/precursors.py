"""Does a sign foretell a failure, and how much earlier (D-5)?

A sign is a kind of record that the catalogues call a precursor: a row remap, many corrected
errors, a hot GPU, corrected bus errors, a link that went down. After each there is a window
(seven days) under its shadow. Failures per node-day under the shadow are set against those
outside, exactly, and again within strata of cluster, hall and model (Mantel-Haenszel), so that a
bad hall with chatty boards is no sign.

Exposure starts at the sign. A failure happens at its root's instant, not at the first sign of its
burst; signs between that and the failure's end are part of it and foretell nothing.

Signs with fewer than five episodes are left out, and the rest judged together (Benjamini-
Hochberg, one false in ten). Nodes that fail often also show signs often: a ratio says whom to
watch, not that the sign is the cause.
"""

import math
from dataclasses import replace

import polars as pl

from transforms.mtbf import ALL
from transforms.precursor_signs import foretelling, outside
from transforms.reliability import precursors as d5
from transforms.reliability.domains import benjamini_hochberg
from transforms.studies.base import Asked, RefusalError, Study, at_risk, node_days_of, number
from transforms.studies.watch import Watch, between_nodes, failures_of, of_class, watched
from transforms.tables import derived as d
from transforms.tables import observed as o
from transforms.tables.hourly import SAMPLE_SIGNALS

FALSE_SHARE = 0.1
FEWEST_EPISODES = 5

ANSWER = {
    "sign": pl.String,
    "signs": pl.Int64,
    "episodes": pl.Int64,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "failures_without": pl.Int64,
    "node_days_without": pl.Float64,
    "ratio": pl.Float64,
    "ratio_lo": pl.Float64,
    "ratio_hi": pl.Float64,
    "p": pl.Float64,
    "adjusted_ratio": pl.Float64,
    "adjusted_lo": pl.Float64,
    "adjusted_hi": pl.Float64,
    "p_failure_in_window": pl.Float64,
    "drains_per_failure": pl.Float64,
    "lead_hours_median": pl.Float64,
    "lead_hours_p10": pl.Float64,
    "precision": pl.Float64,
    "precision_lo": pl.Float64,
    "precision_hi": pl.Float64,
    "recall": pl.Float64,
    "recall_lo": pl.Float64,
    "recall_hi": pl.Float64,
    "alarms_per_node_month": pl.Float64,
    "phi": pl.Float64,
    "assumption": pl.String,
    "verdict": pl.String,
}


def precursors(
    asked: Asked,
    *,
    kernel_events: pl.DataFrame,
    bmc_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    sample_signals: pl.DataFrame,
    incidents: pl.DataFrame,
    incident_members: pl.DataFrame,
    exposure: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """One row per sign with five episodes or more, the best told first.

    Options: `window` (days, 7), `lead` (minutes a warning must come early to be in time, 0).
    `failures` and `node_days` are those under the shadow. Time is wall time: a node that is out
    of service is still watched. The adjusted ratio is null where strata leave nothing to compare.
    `phi` is the scatter of failures between nodes; where it shows beyond chance (assumption: not
    held) it widens the limits of the ratio.
    """
    window = number(asked, "window", 7, 0.01, 365)
    lead = number(asked, "lead", 0, 0, 100_000) / 1440
    at_risk(exposure, asked)
    watch = watched(exposure, fleet)
    spells = failures_of(incidents, incident_members, replace(asked, klass=ALL))
    failed = watch.numbered(of_class(spells, asked)).sort("number", "day")
    if failed.is_empty():
        raise RefusalError("no failure to foretell on the days asked")
    told = watch.numbered(
        foretelling(kernel_events, bmc_events, cluster_events, sample_signals, fleet)
    )
    told = told.select("number", "day", "at", pl.col("sign").cast(pl.Categorical)).unique()
    signs = outside(told, watch.placed(spells))
    fn, ft = failed["number"].to_numpy(), failed["day"].to_numpy()
    rows = []
    for (sign,), mine in signs.sort("number", "day").partition_by("sign", as_dict=True).items():
        seen = (mine["number"].to_numpy(), mine["day"].to_numpy(), fn, ft, watch.entry, watch.leave)
        shadows = d5.Shadows.of(*seen, window)
        if int(shadows.opens.sum()) >= FEWEST_EPISODES:
            found, pooled = (
                shadows.judged(lead, asked.level),
                shadows.pooled(watch.stratum, asked.level),
            )
            rows.append((str(sign), mine.height, found, pooled))
    if not rows:
        raise RefusalError(
            f"no early sign has {FEWEST_EPISODES} episodes on the days asked, "
            f"of {signs['sign'].n_unique()} kinds seen: ask for more days"
        )
    stand_out = benjamini_hochberg([found.ratio.p for _, _, found, _ in rows], FALSE_SHARE)
    scatter = between_nodes(fn, watch, asked.seed)
    answer = pl.DataFrame(
        [
            _row(*one, bool(out), len(failed), watch, scatter)
            for one, out in zip(rows, stand_out, strict=True)
        ],
        schema=ANSWER,
    )
    return answer.sort("p", "sign").with_columns(
        tried=pl.lit(len(rows)),
        window_days=pl.lit(window),
        clock=pl.lit("wall"),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _row(
    sign: str,
    signs: int,
    found: d5.Precursor,
    pooled: tuple[float, float, float],
    stands_out: bool,
    failures: int,
    watch: Watch,
    scatter: tuple[float | None, str],
) -> dict:
    ratio, (phi, assumption) = found.ratio, scatter
    low, high = ratio.low, ratio.high
    if phi and assumption == "not held" and ratio.ratio > 0:
        low, high = (ratio.ratio * (edge / ratio.ratio) ** phi**0.5 for edge in (low, high))
    whole = float((watch.leave - watch.entry).sum())
    is_adjusted = not math.isnan(pooled[0])
    foretells = stands_out and low > 1 and (not is_adjusted or pooled[1] > 1)
    return {
        "sign": sign,
        "signs": signs,
        "episodes": found.alarms,
        "failures": found.exposed_failures,
        "node_days": found.exposed_days,
        "failures_without": failures - found.exposed_failures,
        "node_days_without": whole - found.exposed_days,
        "ratio": ratio.ratio,
        "ratio_lo": low,
        "ratio_hi": high,
        "p": ratio.p,
        **dict(
            zip(
                ("adjusted_ratio", "adjusted_lo", "adjusted_hi"),
                pooled if is_adjusted else (None, None, None),
                strict=True,
            )
        ),
        "p_failure_in_window": found.p_failure,
        "drains_per_failure": None
        if math.isinf(found.drains_per_failure)
        else found.drains_per_failure,
        "lead_hours_median": None if math.isnan(found.lead_median) else 24 * found.lead_median,
        "lead_hours_p10": None if math.isnan(found.lead_p10) else 24 * found.lead_p10,
        **three("precision", found.precision),
        **three("recall", found.recall),
        "alarms_per_node_month": found.alarms_per_node_month,
        "phi": phi,
        "assumption": assumption,
        "verdict": "foretells failures" if foretells else "no evidence that it foretells failures",
    }


def three(name: str, share: tuple[float, float, float]) -> dict[str, float]:
    """A share with its limits, as three columns."""
    return dict(zip((name, f"{name}_lo", f"{name}_hi"), share, strict=True))


STUDY = Study(
    name="precursors",
    title="Which early signs foretell a failure, how much earlier, and at what price in alarms",
    reads=(
        o.KERNEL_EVENTS,
        o.BMC_EVENTS,
        o.CLUSTER_EVENTS,
        SAMPLE_SIGNALS,
        d.INCIDENTS,
        d.INCIDENT_MEMBERS,
        d.EXPOSURE,
        d.FLEET,
    ),
    by=precursors,
    columns=lambda asked: {
        **node_days_of(asked),
        "kernel_events": {"cluster", "node", "observed_at", "kind", "code", "detail"},
    },
)
